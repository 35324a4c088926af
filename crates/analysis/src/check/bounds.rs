//! Limits, bounds and bans that cannot do what they say, and additions out of their place (hosts_options(5)).

use super::Context;
use super::code::{Code, Example, Level, allow, codes};
use super::finding::Fix;
use super::policy::{RuleVerdict, outcome};
use crate::document::{OptionField, Rule};
use hosts_access::TableKind;
use hosts_access::options::check_order;
use hosts_access::syntax::option::{Keyword, Limit, Max, Source, limit, max};

codes! {
    pub(super) DENIES = "W708" "limit-in-denying-rule" Error {
        meaning: "`limit` and `max` say how much a rule lets in. In a rule that refuses anyway, by its table or by `deny`, \
            they are an error, and it refuses everyone it matches.",
        remedy: "Put the bound into the rule that lets these clients in.",
        bad: Example {
            allow: "",
            deny: "sshd: ALL : limit 5/minute\n",
        },
        good: allow("sshd: ALL : limit 5/minute\n"),
    }

    pub(super) IDLE = "W709" "idle-limit" Warning {
        meaning: "Another bound of the same rule is never wider than this one, and stands before it: whoever is within \
            that is within this, so this one never refuses anybody.",
        remedy: "Remove it, or correct its numbers.",
        bad: allow("sshd: ALL : limit 5/minute : limit 10/minute\n"),
        good: allow("sshd: ALL : limit 5/minute : limit 20/day\n"),
    }

    pub(super) NO_BAN = "W710" "ban-in-granting-rule" Error {
        meaning: "`ban` bans whom its rule refuses. This rule refuses nobody, so nobody is banned, and whoever it was for is \
            let in.",
        remedy: "Write the rule into `hosts.deny`, end it in `: deny`, or give it a `limit` or `max`.",
        bad: allow("in.telnetd: ALL : ban 1d\n"),
        good: Example {
            allow: "",
            deny: "in.telnetd: ALL : ban 1d\n",
        },
    }

    pub(super) ORDER = "W711" "option-out-of-order" Error {
        meaning: "`if`, `trial`, `limit` and `max`, and `ban` stand in this order, before all other options: other \
            implementations run what stands before an option that they do not know. Out of this order they are an \
            error, and everyone the rule matches is denied.",
        remedy: "Put the options in order.",
        bad: allow("sshd: ALL : severity auth.info : if {time=Mon-Fri}\n"),
        good: allow("sshd: ALL : if {time=Mon-Fri} : severity auth.info\n"),
    }

    pub(super) BURST = "W713" "large-burst" Warning {
        meaning: "`burst` is how many connections may come at once, from a source that has not come for a while. This one is \
            ten times what the rate allows in a period, or more: the rate says little of what a source can do.",
        remedy: "Lower it, or write the rate that is meant.",
        bad: allow("sshd: ALL : limit 5/minute burst 500\n"),
        good: allow("sshd: ALL : limit 5/minute burst 10\n"),
    }
}

/// So many times what the rate allows in a period is much at once.
const LARGE: u32 = 10;

/// Lints of bounds and bans; options from `end` on are a comment's.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    if rule.options.is_empty() {
        return;
    }
    let options: Vec<&OptionField<'_>> = rule
        .options
        .iter()
        .filter(|option| option.span.start < end)
        .collect();
    let is =
        |option: &OptionField<'_>, wanted: &[Keyword]| option.keyword.is_some_and(|k| wanted.contains(&k));
    if options
        .iter()
        .any(|option| option.problem.is_some() || is(option, &[Keyword::Trial]))
    {
        return;
    }
    let bound = options
        .iter()
        .find(|option| is(option, &[Keyword::Limit, Keyword::Max]));
    let ban = options.iter().find(|option| is(option, &[Keyword::Ban]));
    match (outcome(cx.table, rule), bound, ban) {
        (RuleVerdict::Denies, Some(bound), _) => {
            let why = match cx.table {
                _ if options.iter().any(|option| is(option, &[Keyword::Deny])) => "`deny` refuses anyway",
                TableKind::Deny => "a rule in hosts.deny refuses anyway",
                TableKind::Allow => "this rule refuses anyway",
            };
            let message =
                format!("{why}: a bound is an error there, and everyone the rule matches is denied");
            cx.report(&DENIES, &bound.span, message).help(DENIES.remedy);
        }
        (RuleVerdict::Grants { .. } | RuleVerdict::Depends, None, Some(ban)) => {
            let message = "this rule refuses nobody, so nobody is banned";
            cx.report(&NO_BAN, &ban.span, message).help(NO_BAN.remedy);
        }
        _ => {}
    }
    idle(cx, &options);
}

/// A bound, read.
enum Bound {
    Rate(Limit),
    Count(Max),
}

impl Bound {
    fn of(option: &OptionField<'_>) -> Option<Self> {
        match option.keyword? {
            Keyword::Limit => limit(option.value()?).map(Bound::Rate),
            Keyword::Max => max(option.value()?).map(Bound::Count),
            Keyword::Allow
            | Keyword::Deny
            | Keyword::Severity
            | Keyword::Spawn
            | Keyword::Aclexec
            | Keyword::Twist
            | Keyword::Banners
            | Keyword::Keepalive
            | Keyword::Linger
            | Keyword::Rfc931
            | Keyword::Nice
            | Keyword::Umask
            | Keyword::Setenv
            | Keyword::User
            | Keyword::Group
            | Keyword::If
            | Keyword::Trial
            | Keyword::Ban => None,
        }
    }

    /// Is whoever is within this one within `other`?
    fn implies(&self, other: &Bound) -> bool {
        // What is counted for a wider network is counted for those in it.
        let wider = |a: Source, b: Source| a.v4 <= b.v4 && a.v6 <= b.v6;
        match (self, other) {
            (Bound::Rate(a), Bound::Rate(b)) => {
                let is_slower = u128::from(a.count) * u128::from(b.seconds)
                    <= u128::from(b.count) * u128::from(a.seconds);
                is_slower && a.burst <= b.burst && wider(a.per, b.per)
            }
            (Bound::Count(a), Bound::Count(b)) => {
                let is_wider = match (a.per, b.per) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(a), Some(b)) => wider(a, b),
                };
                a.count <= b.count && is_wider
            }
            (Bound::Rate(_), Bound::Count(_)) | (Bound::Count(_), Bound::Rate(_)) => false,
        }
    }
}

/// Bounds that another makes idle, or that allow much at once.
fn idle(cx: &mut Context<'_, '_>, options: &[&OptionField<'_>]) {
    let mut before: Vec<Bound> = Vec::new();
    for option in options {
        let Some(bound) = Bound::of(option) else { continue };
        if before.iter().any(|other| other.implies(&bound)) {
            let message = "the bound before it is never wider, so this one refuses nobody";
            cx.report(&IDLE, &option.span, message).help(IDLE.remedy);
        }
        if let Bound::Rate(limit) = bound
            && limit.burst / limit.count.max(1) >= LARGE
        {
            let message = format!(
                "{} may come at once, {} times as many as the rate allows in a period",
                limit.burst,
                limit.burst / limit.count.max(1)
            );
            cx.report(&BURST, &option.span, message).help(BURST.remedy);
        }
        before.push(bound);
    }
}

/// An option behind one that it must stand before.
pub(super) fn out_of_order(cx: &mut Context<'_, '_>, options: &[&OptionField<'_>], at: usize) -> bool {
    let last = options[..at].last().and_then(|option| option.keyword);
    let Some(keyword) = options[at].keyword else {
        return false;
    };
    if check_order(last, keyword).is_ok() {
        return false;
    }
    let message = format!(
        "`{}` must stand before `{}`, so everyone the rule matches is denied",
        keyword.as_str(),
        last.map_or("", Keyword::as_str)
    );
    // Only where all options are sound is the order all that is wrong, and what was meant beyond doubt.
    let is_sound = |option: &&OptionField<'_>| {
        let value = option.value();
        option.keyword.is_some_and(|keyword| {
            hosts_access::options::effect(keyword, value).is_ok()
                && (keyword.takes() == hosts_access::syntax::option::Takes::Nothing) == value.is_none()
        })
    };
    let mut ordered: Vec<&&OptionField<'_>> = options.iter().collect();
    ordered.sort_by_key(|option| option.keyword.map(Keyword::order));
    let edit = options.iter().all(is_sound).then(|| {
        let texts: Vec<&[u8]> = ordered
            .iter()
            .map(|option| &cx.line[option.span.clone()])
            .collect();
        let all = options[0].span.start..options[options.len() - 1].span.end;
        cx.edit(&all, texts.join(&b" : "[..]))
    });
    let finding = cx.report(&ORDER, &options[at].span, message);
    match edit {
        Some(edit) => finding.fix(Fix::suggested("put the options in order", vec![edit])),
        None => finding.help(ORDER.remedy),
    };
    true
}
