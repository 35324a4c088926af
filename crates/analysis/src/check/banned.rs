//! Rules that ask for the ban list when it is too late (hosts_access(5), ADDITIONS: a ban takes effect only where a rule
//! says `{banned}`, and the first match decides).

use super::code::{Code, Example, Level, codes};
use super::finding::Span;
use super::policy::{self, RuleVerdict};
use super::shadow::{self, daemon_covers, daemons_apart};
use super::{Context, Finding};
use crate::document::{OptionField, Rule, Token};
use hosts_access::TableKind;
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::option::Keyword;
use hosts_access::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern};

codes! {
    pub(super) LATE = "W712" "banned-too-late" Warning {
        meaning: "The rule refuses whoever is banned, but below it nobody is let in, and rules above it do let clients in: \
            they are let in whether they are banned or not, and everybody else is refused anyway. Bans change nothing.",
        remedy: "Put the rule above those that let in: `ALL: {banned} : deny` at the top of hosts.allow.",
        bad: Example {
            allow: "sshd: 10.\n",
            deny: "ALL: {banned}\nALL: ALL\n",
        },
        good: Example {
            allow: "ALL: {banned} : deny\nsshd: 10.\n",
            deny: "ALL: ALL\n",
        },
    }
}

/// So many rules that ask are followed, and so many of those that let in.
const MOST: usize = 64;

/// What is remembered of all rules.
#[derive(Default)]
pub(super) struct Banned<'t> {
    grants: Vec<(Vec<DaemonPattern<'t>>, TableKind, Span)>,
    asking: Vec<Asking<'t>>,
    too_many: bool,
}

/// A rule that refuses whoever is banned.
struct Asking<'t> {
    daemons: Vec<DaemonPattern<'t>>,
    table: TableKind,
    span: Span,
    /// A rule above it lets in.
    above: Option<(TableKind, Span)>,
    /// Below it somebody may be let in.
    is_useful: bool,
    /// Below it all others are refused.
    is_closed: bool,
}

impl<'t> Banned<'t> {
    /// Looks at one rule.
    pub(super) fn rule(&mut self, cx: &Context<'t, '_>, rule: &Rule<'t>) {
        let verdict = policy::outcome(cx.table, rule);
        let daemons =
            || -> Vec<DaemonPattern<'t>> { rule.daemons.parts[0].iter().map(|t| t.pattern).collect() };
        let overlaps = |a: &[DaemonPattern<'_>]| {
            let one =
                |token: &Token<'_, DaemonPattern<'_>>| a.iter().any(|a| !daemons_apart(a, &token.pattern));
            rule.daemons.parts[0].iter().any(one)
        };
        let whole = cx.whole();
        match verdict {
            RuleVerdict::Nothing => {}
            RuleVerdict::Grants { .. } | RuleVerdict::Depends => {
                for asking in self.asking.iter_mut().filter(|asking| !asking.is_closed) {
                    asking.is_useful |= overlaps(&asking.daemons);
                }
                if self.grants.len() < MOST {
                    self.grants.push((daemons(), cx.table, cx.span(&whole)));
                }
            }
            RuleVerdict::Denies => {
                if policy::is_for_all_clients(rule) {
                    let covers = |inner: &DaemonPattern<'_>| {
                        rule.daemons.excepts.is_empty()
                            && rule.daemons.parts[0]
                                .iter()
                                .any(|t| daemon_covers(&t.pattern, inner))
                    };
                    for asking in &mut self.asking {
                        asking.is_closed |= asking.daemons.iter().all(covers);
                    }
                }
                if cx.line.contains(&b'{') && asks(rule) {
                    let above = self.grants.iter().find(|(daemons, ..)| overlaps(daemons));
                    let above = above.map(|(_, table, span)| (*table, span.clone()));
                    self.too_many |= self.asking.len() == MOST;
                    if !self.too_many {
                        self.asking.push(Asking {
                            daemons: daemons(),
                            table: cx.table,
                            span: cx.span(&whole),
                            above,
                            is_useful: false,
                            is_closed: false,
                        });
                    }
                }
            }
        }
    }

    /// What can be said when all rules have been seen.
    pub(super) fn end(self, found: &mut Vec<Finding>) {
        let told: Vec<_> = found
            .iter()
            .filter(|f| shadow::CODES.contains(&f.code))
            .map(|f| (f.table, f.span.line))
            .collect();
        for asking in self.asking {
            let Some((table, span)) = asking.above else {
                continue;
            };
            if asking.is_useful || !asking.is_closed || told.contains(&(asking.table, asking.span.line)) {
                continue;
            }
            let message = "bans change nothing here: nobody is let in below, and whom rules above let in is let in, \
                banned or not";
            let mut finding = Finding::new(&LATE, asking.table, asking.span, message);
            finding
                .help(LATE.remedy)
                .related(table, span, "this lets in first");
            found.push(finding);
        }
    }
}

/// Does the rule match whoever is banned, among others perhaps?
fn asks(rule: &Rule<'_>) -> bool {
    let is_banned = |token: &Token<'_, ClientPattern<'_>>| {
        matches!(token.pattern.host, HostPattern::Brace(Brace::Banned))
    };
    rule.clients.parts[0].iter().any(is_banned)
        || rule
            .options
            .iter()
            .filter(|option| option.keyword == Some(Keyword::If))
            .filter_map(OptionField::condition)
            .any(|list| list.parts[0].iter().any(is_banned))
}
