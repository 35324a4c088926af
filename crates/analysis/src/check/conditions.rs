//! Conditions that never hold, and times that are over (hosts_options(5), `if`; hosts_access(5), ADDITIONS).

use super::code::{Code, Level, allow, codes};
use super::reach::Reach;
use super::{Context, braces, clients, lists, policy, quoted};
use crate::document::{List, OptionField, Rule};
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::pattern::{ClientPattern, HostPattern};
use hosts_access::syntax::time::{Moment, Times, times};

codes! {
    pub(super) NEVER = "W706" "condition-never-holds" Warning {
        meaning: "What the rule asks of a client cannot all be so at once: networks that have no address in common, \
            hours that exclude each other. It has been computed: the rule matches nobody.",
        remedy: "Correct the lists, or remove the rule.",
        bad: allow("sshd: 10. : if 192.168.\n"),
        good: allow("sshd: 10. : if 10.1.\n"),
    }

    pub(super) PAST = "W707" "past-dates" Warning {
        meaning: "All dates of this pattern are over, so it never holds again.",
        remedy: "Remove the pattern, or correct its dates.",
        bad: allow("sshd: {time=2020-12-24..2020-12-26}\n"),
        good: allow("sshd: {time=Sat|Sun}\n"),
    }
}

type Clients<'t> = List<'t, ClientPattern<'t>>;

/// Lints of the `if` options, and of what they and the list of clients ask together.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    // Most rules ask nothing of the kind.
    if rule.options.is_empty() && !cx.line.contains(&b'{') {
        return;
    }
    let options = rule.options.iter().filter(|option| option.span.start < end);
    let conditions: Vec<(&OptionField<'_>, Clients<'_>)> = options
        .take_while(|option| option.problem.is_none())
        .filter_map(|option| Some((option, option.condition()?)))
        .collect();
    let verdict = policy::outcome(cx.table, rule);
    for (option, list) in &conditions {
        // Where there are backslashes in it, the places of its words are not known.
        if list.span == option.span {
            continue;
        }
        lists::list(cx, list, "clients", end);
        for (at, part) in list.parts.iter().enumerate() {
            for token in part {
                braces::client(cx, token, verdict, at % 2 == 1);
                let user = token.pattern.user.map_or(0, |user| user.len() + 1);
                let span = token.span.start + user..token.span.end;
                clients::pattern(cx, token.pattern.host, &token.text[user..], span);
            }
        }
    }
    never(cx, rule, &conditions);
}

/// Can all of it be so at once?
fn never(cx: &mut Context<'_, '_>, rule: &Rule<'_>, conditions: &[(&OptionField<'_>, Clients<'_>)]) {
    /// Longer lists are not compared.
    const MOST: usize = 64;
    let all: Vec<&Clients<'_>> = std::iter::once(&rule.clients)
        .chain(conditions.iter().map(|(_, list)| list))
        .collect();
    let is_short = |list: &&Clients<'_>| (1..=MOST).contains(&list.parts[0].len());
    for (at, list) in all.iter().enumerate().filter(|(_, list)| is_short(list)) {
        for (before, other) in all[..at].iter().enumerate().filter(|(_, list)| is_short(list)) {
            let (one, two) = (reaches(list), reaches(other));
            // What matches nothing by itself is told of by itself.
            let is_something = |reaches: &[Reach<'_>]| reaches.iter().any(|reach| *reach != Reach::Nothing);
            let is_apart = one.iter().all(|a| two.iter().all(|b| a.is_apart_from(b)));
            if is_apart && is_something(&one) && is_something(&two) {
                let whose = if before == 0 {
                    "of the rule"
                } else {
                    "of the other `if`"
                };
                let message = format!("no client of this list is a client {whose}: the rule matches nobody");
                let (option, _) = conditions[at - 1];
                cx.report(&NEVER, &option.span, message).help(NEVER.remedy);
                return;
            }
        }
    }
    if has_no_moment(&all) {
        let span = conditions
            .last()
            .map_or(rule.clients.span.clone(), |(option, _)| option.span.clone());
        let blanks = cx.line[span.clone()].len() - cx.line[span.clone()].trim_ascii_start().len();
        let span = span.start + blanks..span.start + cx.line[span.clone()].trim_ascii_end().len().max(blanks);
        cx.report(
            &NEVER,
            &span,
            "these times exclude each other: the rule matches nobody",
        )
        .help(NEVER.remedy);
    }
}

/// What the clients of a list reach, its exceptions apart.
fn reaches<'t>(list: &Clients<'t>) -> Vec<Reach<'t>> {
    let hosts = list.parts[0].iter().map(|token| token.pattern.host);
    hosts.map(Reach::of).collect()
}

/// The times of a part, and whether anything else stands there.
fn part_times<'t>(list: &Clients<'t>, part: usize) -> Option<(Vec<Times<'t>>, bool)> {
    let (mut found, mut has_other) = (Vec::new(), false);
    for token in list.parts.get(part)? {
        match token.pattern.host {
            HostPattern::Brace(Brace::Time(value)) => match (times(value), token.pattern.user) {
                (Ok(times), None) => found.push(times),
                _ => has_other = true,
            },
            HostPattern::Netgroup(_)
            | HostPattern::File(_)
            | HostPattern::Known
            | HostPattern::Local
            | HostPattern::Net { .. }
            | HostPattern::Text { .. }
            | HostPattern::Brace(_) => has_other = true,
        }
    }
    Some((found, has_other))
}

/// Is there no moment at which all the lists may match? Lists hold at most when one of their own times does, if they
/// have nothing else, and never while an excepted one does.
fn has_no_moment(lists: &[&Clients<'_>]) -> bool {
    let mut must: Vec<Vec<Times<'_>>> = Vec::new();
    let mut must_not: Vec<Times<'_>> = Vec::new();
    for list in lists {
        if let Some((times, false)) = part_times(list, 0)
            && !times.is_empty()
        {
            must.push(times);
        }
        if list.parts.len() == 2
            && let Some((times, _)) = part_times(list, 1)
        {
            must_not.extend(times);
        }
    }
    if must.is_empty() || must.len() + must_not.len() < 2 {
        return false;
    }
    let all = || must.iter().flatten().chain(&must_not);
    // The clocks of two zones are not compared.
    let zone = |times: &Times<'_>| times.zone.map(<[u8]>::to_ascii_lowercase);
    let first = all().next().and_then(zone);
    if all().any(|times| zone(times) != first) {
        return false;
    }
    let (mut days, mut minutes) = (vec![0], vec![0]);
    for times in all() {
        let (some_days, some_minutes) = times.edges();
        days.extend(some_days);
        minutes.extend(some_minutes);
    }
    // Between two of these days, as between two of these minutes, only the day of the week makes a difference, and
    // the day before, for hours over midnight.
    let days = days.iter().flat_map(|day| day - 9..day + 9);
    let moments = days.flat_map(|day| minutes.iter().map(move |minute| Moment { day, minute: *minute }));
    let may_be = |moment: Moment| {
        must.iter()
            .all(|times| times.iter().any(|times| times.contain(moment)))
            && !must_not.iter().any(|times| times.contain(moment))
    };
    !{ moments }.any(may_be)
}

/// Dates that are over; `today` in days since 1970.
pub(super) fn past(cx: &mut Context<'_, '_>, rule: &Rule<'_>, today: i64) {
    if !cx.line.contains(&b'{') {
        return;
    }
    let conditions: Vec<Clients<'_>> = rule.options.iter().filter_map(OptionField::condition).collect();
    let tokens = rule
        .clients
        .tokens()
        .chain(conditions.iter().flat_map(List::tokens));
    for token in tokens {
        let HostPattern::Brace(Brace::Time(value)) = token.pattern.host else {
            continue;
        };
        // Somewhere it may still be yesterday.
        let last = times(value).ok().and_then(|times| times.last_day());
        if last.is_some_and(|last| last < today - 1) {
            let message = format!(
                "the dates of {} are over: it never holds again",
                quoted(token.text)
            );
            cx.report(&PAST, &token.span, message).help(PAST.remedy);
        }
    }
}
