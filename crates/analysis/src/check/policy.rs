//! What the two tables say together: who gets in where no rule matches (hosts_access(5), ACCESS CONTROL
//! FILES).

use std::collections::HashSet;

use super::code::{Code, Example, Level, allow, codes};
use super::finding::{Edit, Fix, Span};
use super::reach::{Reach, masked_v6};
use super::{Context, Finding, Options};
use crate::document::{Documents, Rule};
use hosts_access::TableKind;
use hosts_access::source::Ending;
use hosts_access::string_matches;
use hosts_access::syntax::option::{ActsOn, Keyword};
use hosts_access::syntax::pattern::{ClientPattern, HostPattern, Service, StringPattern};

codes! {
    pub(super) POINTLESS = "W411" "nothing-denied" Warning {
        meaning: "The allow table lets some clients in, but no rule in either table refuses the others. Where no \
            rule matches, access is granted, so everyone gets in, as if the rule were not there.",
        remedy: "Close `hosts.deny` with `ALL: ALL`, or name the daemon there.",
        bad: Example {
            allow: "sshd: 10.0.0.1\n",
            deny: "",
        },
        good: Example {
            allow: "sshd: 10.0.0.1\n",
            deny: "sshd: ALL\n",
        },
    }

    pub(super) ALL_ALLOWED = "W412" "everyone-allowed" Warning {
        meaning: "This rule lets every client use every service, and nothing above it refuses anyone: no other \
            rule, in either table, has any effect.",
        remedy: "Name the daemons or the clients that are to be allowed. What is to refuse everyone else belongs into \
            `hosts.deny`.",
        bad: allow("ALL: ALL\n"),
        good: allow("ALL: LOCAL\n"),
    }

    pub(super) NO_DEFAULT = "W413" "no-default" Info {
        meaning: "No rule for `ALL: ALL` closes the tables, so whoever no rule mentions gets in. That is how a \
            mostly open policy is written; a mostly closed one ends in `ALL: ALL` in `hosts.deny`.",
        remedy: "Add `ALL: ALL` to `hosts.deny` if whoever is not mentioned is to be refused.",
        bad: Example {
            allow: "",
            deny: "sshd: 10.0.0.1\n",
        },
        good: Example {
            allow: "sshd: 10.0.0.1\n",
            deny: "ALL: ALL\n",
        },
    }

    pub(super) IMPLICIT = "W414" "implicit-allow" Info {
        meaning: "The rule grants access without saying `allow`. Some sites want the word in every rule that \
            does, so that a rule cannot change its meaning by moving to the other table. Looked for only where \
            it is asked for.",
        remedy: "End the rule in `: allow`.",
        bad: allow("sshd: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1 : allow\n"),
    }

    pub(super) LOOPBACK = "W415" "loopback-without-ipv6" Warning {
        meaning: "The machine itself is let in by its IPv4 address 127.0.0.1, and by IPv6 it is refused: programs that \
            connect to `localhost` try `::1` first, and are turned away or wait.",
        remedy: "Add `[::1]`.",
        bad: allow("sshd: 127.0.0.1\n"),
        good: allow("sshd: 127.0.0.1 [::1]\n"),
    }
}

/// What is remembered of all rules.
#[derive(Default)]
pub(super) struct Whole {
    /// A rule refuses clients of every daemon, or of daemons given by a pattern.
    denies_many: bool,
    /// Daemons by name that some rule refuses clients of.
    denied: HashSet<Vec<u8>>,
    /// Where daemons by name are granted to some clients only.
    granted: Vec<(Vec<u8>, Span)>,
    has_default: bool,
    /// The default refuses.
    is_closed: bool,
    /// Where the machine itself is granted access by IPv4, and whether it is by IPv6.
    loopback: Option<(TableKind, Span)>,
    has_loopback_v6: bool,
}

/// What a rule that matches does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RuleVerdict {
    Grants {
        explicitly: bool,
    },
    Denies,
    Depends,
    /// None: it is on trial.
    Nothing,
}

pub(super) fn outcome(table: TableKind, rule: &Rule<'_>) -> RuleVerdict {
    for option in &rule.options {
        if option.problem.is_some() {
            return RuleVerdict::Denies;
        }
        match option.keyword {
            Some(Keyword::Trial) => return RuleVerdict::Nothing,
            Some(Keyword::Allow) => return RuleVerdict::Grants { explicitly: true },
            Some(Keyword::Deny) => return RuleVerdict::Denies,
            Some(Keyword::Twist | Keyword::Aclexec) => return RuleVerdict::Depends,
            _ => {}
        }
    }
    match table {
        TableKind::Allow => RuleVerdict::Grants { explicitly: false },
        TableKind::Deny => RuleVerdict::Denies,
    }
}

/// May the rule let somebody in?
pub(super) fn may_grant(table: TableKind, rule: &Rule<'_>) -> bool {
    !matches!(outcome(table, rule), RuleVerdict::Denies | RuleVerdict::Nothing)
}

/// Where it is not known whether a client matches the rule: is it denied, rather than the rule passed over?
pub fn denies_in_doubt(table: TableKind, rule: &Rule<'_>) -> bool {
    let is_of_process = |keyword: Keyword| keyword.acts_on() == ActsOn::Process;
    match outcome(table, rule) {
        RuleVerdict::Denies | RuleVerdict::Depends => true,
        RuleVerdict::Grants { .. } => rule.options.iter().any(|o| o.keyword.is_some_and(is_of_process)),
        RuleVerdict::Nothing => false,
    }
}

/// Has the rule an option by which it decides only some of what its lists match, or not always the same?
fn has_condition(rule: &Rule<'_>) -> bool {
    let is_one = |keyword: Keyword| matches!(keyword, Keyword::If | Keyword::Limit | Keyword::Max);
    rule.options.iter().any(|o| o.keyword.is_some_and(is_one))
}

/// Does the rule match every client of its daemons, whatever else is so?
pub(super) fn is_for_all_clients(rule: &Rule<'_>) -> bool {
    names_everyone(rule) && !has_condition(rule)
}

fn names_everyone(rule: &Rule<'_>) -> bool {
    let is_everyone = |client: &ClientPattern<'_>| {
        let is_all = matches!(
            client.host,
            HostPattern::Text {
                pattern: StringPattern::All,
                ..
            }
        );
        client.user.is_none() && is_all
    };
    is_all(&rule.clients.parts[0], is_everyone) && rule.clients.excepts.is_empty()
}

/// Does the client's pattern match the machine itself, as `::1` or by its name?
fn is_loopback_v6(client: &ClientPattern<'_>) -> bool {
    match Reach::of(client.host) {
        Reach::V6(net, length) => masked_v6(1, length) == net,
        Reach::Name(name) => {
            string_matches(name, b"localhost") || string_matches(name, b"localhost.localdomain")
        }
        Reach::V4(..) | Reach::Nothing => false,
        Reach::All | Reach::Other(_) => true,
    }
}

impl Whole {
    /// Remembers whether the machine itself is let in.
    fn remember_loopback(&mut self, cx: &Context<'_, '_>, rule: &Rule<'_>, has_condition: bool) {
        for token in &rule.clients.parts[0] {
            if token.text.starts_with(b"127.") {
                let is_v4 = matches!(Reach::of(token.pattern.host), Reach::V4(..));
                if is_v4 && !has_condition && self.loopback.is_none() {
                    self.loopback = Some((cx.table, cx.span(&token.span)));
                }
            } else if !self.has_loopback_v6
                && token.text.iter().any(|b| !matches!(b, b'0'..=b'9' | b'.' | b'/'))
            {
                self.has_loopback_v6 = is_loopback_v6(&token.pattern);
            }
        }
    }

    /// Looks at one rule.
    pub(super) fn rule(&mut self, cx: &mut Context<'_, '_>, rule: &Rule<'_>, options: &Options) {
        // No more is needed of a million rules than that some of them refuse.
        const MOST_DAEMONS: usize = 4096;
        let outcome = outcome(cx.table, rule);
        if outcome == RuleVerdict::Nothing {
            return;
        }
        let has_condition = has_condition(rule);
        let all_daemons = is_all(&rule.daemons.parts[0], |t| {
            matches!(t.service, Service::Name(StringPattern::All)) && t.host.is_none()
        }) && rule.daemons.excepts.is_empty();
        let all_clients = names_everyone(rule);
        let is_default = all_daemons && all_clients && !has_condition;
        self.has_default |= is_default;
        if outcome == (RuleVerdict::Grants { explicitly: false }) && options.implicit_allow {
            let whole = cx.whole();
            let edit = cx.edit(&(whole.end..whole.end), " : allow");
            cx.report(
                &IMPLICIT,
                &whole,
                "this rule grants access without the word `allow`",
            )
            .fix(super::Fix::suggested("end the rule in `: allow`", vec![edit]));
        }
        self.is_closed |= is_default && outcome == RuleVerdict::Denies;
        if outcome != RuleVerdict::Denies {
            self.remember_loopback(cx, rule, has_condition);
        }
        if let RuleVerdict::Grants { .. } = outcome {
            if is_default && cx.table == TableKind::Allow && !self.refuses_anyone() {
                let whole = cx.whole();
                let at = whole.start..rule.clients.span.end.min(whole.end);
                cx.report(
                    &ALL_ALLOWED,
                    &at,
                    "every client may use every service: no other rule has any effect",
                )
                .help("name the daemons or clients that are to be allowed; a rule that refuses belongs into hosts.deny");
            }
            let is_limited = !all_clients && cx.table == TableKind::Allow;
            if is_limited && self.granted.len() < MOST_DAEMONS {
                for token in &rule.daemons.parts[0] {
                    if let Service::Name(StringPattern::Exact(name)) = token.pattern.service {
                        let name = name.to_ascii_lowercase();
                        self.granted.push((name, cx.span(&token.span)));
                    }
                }
            }
            return;
        }
        for token in &rule.daemons.parts[0] {
            match token.pattern.service {
                Service::Name(StringPattern::Exact(name)) => {
                    if self.denied.len() < MOST_DAEMONS && !self.denied.contains(name) {
                        self.denied.insert(name.to_ascii_lowercase());
                    }
                }
                Service::Port(_) | Service::Name(_) => self.denies_many = true,
            }
        }
    }

    /// Leaves out grants of the allow table by rules that do not do what they say anyway.
    pub(super) fn forget_grants(&mut self, is_broken: impl Fn(usize) -> bool) {
        self.granted.retain(|(_, span)| !is_broken(span.bytes.start));
        let loopback = self.loopback.take();
        self.loopback =
            loopback.filter(|(table, span)| *table == TableKind::Deny || !is_broken(span.bytes.start));
    }

    fn refuses_anyone(&self) -> bool {
        self.denies_many || !self.denied.is_empty()
    }

    /// What can be said when all rules have been seen.
    pub(super) fn end(self, tables: Documents<'_>, found: &mut Vec<Finding>) {
        let (Some(_), Some(deny)) = (tables.allow, tables.deny) else {
            return;
        };
        let in_error = deny.entries.iter().any(|e| e.ending != Ending::Newline);
        if in_error {
            // Everyone who gets that far is denied.
            return;
        }
        let open = self
            .granted
            .iter()
            .find(|(daemon, _)| !self.denies_many && !self.denied.contains(daemon));
        if let Some((daemon, span)) = open {
            let message = format!(
                "no rule refuses anyone {}, so everyone gets in, not only these clients",
                super::quoted(daemon)
            );
            found.push(Finding::with_remedy(
                &POINTLESS,
                TableKind::Allow,
                span.clone(),
                message,
            ));
        }
        if self.is_closed
            && !self.has_loopback_v6
            && let Some((table, span)) = self.loopback
        {
            let message = "the machine itself is let in by IPv4 alone: as `::1` it is refused".to_owned();
            let edit = Edit::new(span.bytes.end..span.bytes.end, " [::1]");
            let mut finding = Finding::with_remedy(&LOOPBACK, table, span, message);
            finding.fix = Some(Fix {
                lets_in: true,
                ..Fix::suggested("add `[::1]`, which lets in this one client", vec![edit])
            });
            finding.help = None;
            found.push(finding);
        }
        if !self.has_default
            && let Some((table, document)) = tables.iter().last()
        {
            let end = document.text.len();
            let line = document.entries.last().map_or(1, |e| e.last_line);
            let span = Span {
                line,
                column: 1,
                bytes: end..end,
            };
            let message = "no rule is for `ALL: ALL`: whoever no rule mentions gets in".to_owned();
            found.push(Finding::with_remedy(&NO_DEFAULT, table, span, message));
        }
    }
}

fn is_all<'t, P>(part: &[crate::document::Token<'t, P>], is: impl Fn(&P) -> bool) -> bool {
    part.iter().any(|token| is(&token.pattern))
}
