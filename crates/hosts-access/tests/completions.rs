//! What cannot be determined never opens a door (hosts_access(5), ADDITIONS).
//!
//! For generated tables with patterns in braces and options, and every subset of their questions that has no answer:
//! the request is granted only if it is under **every** completion of the unknown answers, with no more privilege;
//! and nothing runs, and nobody is banned, by a rule that is not known to match.

mod cases;

use std::collections::BTreeSet;

use hosts_access::dry::DryHost;
use hosts_access::options::{self, Doubt, End, Next, Options};
use hosts_access::{
    Cause, Decision, Effect, Fact, Found, Known, Policy, Reason, Request, Side, Step, TableKind, Tables,
    Verdict, host,
};
use proptest::prelude::*;
use proptest::sample::select;

/// Questions, as patterns and as facts, and an answer to each way round.
fn questions() -> Vec<(&'static str, Fact, [Found; 2])> {
    let location = |country: Option<[u8; 2]>| Found::Location {
        country,
        continent: None,
    };
    vec![
        (
            "{country=DE}",
            Fact::Location,
            [location(Some(*b"FR")), location(Some(*b"DE"))],
        ),
        (
            "{asn=64496}",
            Fact::System,
            [Found::System(None), Found::System(Some(64496))],
        ),
        (
            "{dns=home.example.net}",
            Fact::Addresses(b"home.example.net".to_vec()),
            [
                Found::Addresses(Vec::new()),
                Found::Addresses(vec!["192.0.2.1".parse().unwrap()]),
            ],
        ),
        ("{banned}", Fact::Banned, [Found::No, Found::Yes]),
    ]
}

const CLIENTS: &[&str] = &[
    "ALL",
    "192.0.2.1",
    "198.51.100.1",
    "{country=DE}",
    "{asn=64496}",
    "{dns=home.example.net}",
    "{banned}",
    "u1@{country=DE}",
    "u2@{banned}",
    "EXCEPT",
    "EXCEPT",
];

fn list() -> impl Strategy<Value = String> {
    prop::collection::vec(select(CLIENTS), 1..5).prop_map(|tokens| tokens.join(" "))
}

fn options() -> impl Strategy<Value = String> {
    let additions = (
        prop::option::weighted(0.3, list()),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.2, select(&["limit 5/minute", "max 3", "limit 0/x"][..])),
        prop::option::weighted(0.2, Just("ban 1h")),
    );
    const CLASSIC: &[&str] = &[
        "spawn a",
        "severity info",
        "keepalive",
        "umask 077",
        "user nobody",
        "group mail",
        "nice 5",
        "setenv A b",
        "aclexec b",
        "rfc931",
        "linger 1",
        "nonsense",
    ];
    const LAST: &[&str] = &["allow", "deny", "twist c", "aclexec d"];
    let classic = prop::collection::vec(select(CLASSIC), 0..3);
    (additions, classic, prop::option::of(select(LAST))).prop_map(|(additions, classic, last)| {
        let (list, trial, bound, ban) = additions;
        let mut options: Vec<String> = list.into_iter().map(|list| format!("if {list}")).collect();
        options.extend(trial.then(|| "trial".to_owned()));
        options.extend(bound.into_iter().chain(ban).map(str::to_owned));
        options.extend(classic.into_iter().chain(last).map(str::to_owned));
        options.iter().map(|option| format!(": {option}")).collect()
    })
}

fn table() -> impl Strategy<Value = String> {
    let rule = (select(&["sshd", "ALL", "ftpd"][..]), list(), options())
        .prop_map(|(daemon, clients, options)| format!("{daemon}: {clients} {options}\n"));
    prop::collection::vec(rule, 0..4).prop_map(|rules| rules.concat())
}

/// What the process is or gets by a decision, in the order of what was done.
fn privileges(decision: &Decision) -> BTreeSet<String> {
    let is_privilege = |effect: &&Effect| {
        matches!(
            effect,
            Effect::User { .. }
                | Effect::Group(_)
                | Effect::Nice(_)
                | Effect::Umask(_)
                | Effect::Setenv { .. }
        )
    };
    let shown = decision
        .effects
        .iter()
        .filter(is_privilege)
        .map(|effect| format!("{effect:?}"));
    shown.collect()
}

fn decide(tables: &Tables, answers: &[(Fact, Known)], commands: bool) -> Decision {
    let mut host = DryHost::new("192.0.2.1")
        .with_user("u1")
        .commands_succeed(commands);
    for (fact, known) in answers {
        host = host.told(fact.clone(), known.clone());
    }
    let ask = || Request::new("sshd").known_address(Side::Client, "192.0.2.1");
    let scanned = tables.decide(&mut ask(), &mut host.clone());
    let compiled = Policy::new(tables.clone()).decide(&mut ask(), &mut host);
    assert_eq!(scanned, compiled);
    scanned
}

/// All that rules may ask, bounds too, with two answers to each.
fn asked() -> Vec<(Fact, [Found; 2])> {
    let mut asked: Vec<_> = questions()
        .into_iter()
        .map(|(_, fact, found)| (fact, found))
        .collect();
    let limit = hosts_access::syntax::option::limit(b"5/minute").unwrap();
    let max = hosts_access::syntax::option::max(b"3").unwrap();
    let rule = Vec::new();
    asked.push((Fact::Rate { rule, limit }, [Found::No, Found::Yes]));
    asked.push((Fact::Connections(max), [Found::No, Found::Yes]));
    asked
}

/// One of the two answers to each.
fn told(asked: &[(Fact, [Found; 2])], known: &[bool]) -> Vec<(Fact, Known)> {
    let one = |((fact, found), known): (&(Fact, [Found; 2]), &bool)| {
        (fact.clone(), Ok(found[usize::from(*known)].clone()))
    };
    asked.iter().zip(known).map(one).collect()
}

/// Every choice of some of so many questions.
fn subsets(count: usize) -> impl Iterator<Item = Vec<usize>> {
    (1..1usize << count).map(move |subset| (0..count).filter(|at| subset >> at & 1 == 1).collect())
}

/// The answers where these are not known.
fn without(answers: &[(Fact, Known)], unknown: &[usize]) -> Vec<(Fact, Known)> {
    let mut open = answers.to_vec();
    for at in unknown {
        open[*at].1 = Err(Cause::new("nobody knows"));
    }
    open
}

/// Every answer to the questions of which the bit is set in `unknown`.
fn completions(
    answers: &[(Fact, Known)],
    unknown: &[usize],
    others: &[(Fact, [Found; 2])],
) -> Vec<Vec<(Fact, Known)>> {
    (0..1usize << unknown.len())
        .map(|chosen| {
            let mut answers = answers.to_vec();
            for (bit, at) in unknown.iter().enumerate() {
                let (fact, found) = &others[*at];
                answers[*at] = (fact.clone(), Ok(found[chosen >> bit & 1].clone()));
            }
            answers
        })
        .collect()
}

proptest! {
    #![proptest_config(cases::cases(100))]

    #[test]
    fn a_door_opens_only_if_every_answer_opens_it(
        allow in table(),
        deny in table(),
        known in prop::collection::vec(any::<bool>(), 6),
        commands in any::<bool>(),
    ) {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("hosts.allow"), &allow)?;
        std::fs::write(dir.path().join("hosts.deny"), &deny)?;
        let tables = Tables::in_directory(dir.path());
        let asked = asked();
        let answers = told(&asked, &known);
        for unknown in subsets(asked.len()) {
            let open = without(&answers, &unknown);
            let decision = decide(&tables, &open, commands);
            // A command that decides is as good as granted where it succeeds; it was given what it answers.
            let granted = decision.verdict.is_granted();
            if granted || decision.verdict == hosts_access::Verdict::Delegated {
                for completion in completions(&answers, &unknown, &asked) {
                    let whole = decide(&tables, &completion, commands);
                    prop_assert_ne!(
                        whole.verdict, hosts_access::Verdict::Denied,
                        "{:?} unknown, {:?} says otherwise:\n{}\n{}", unknown, completion, allow, deny
                    );
                    // What a completion takes from the process, this decision takes too.
                    if granted && whole.verdict.is_granted() {
                        prop_assert!(
                            privileges(&whole).is_subset(&privileges(&decision)),
                            "{:?} unknown:\n{}\n{}\n{:?}\n{:?}", unknown, allow, deny, decision, whole
                        );
                    }
                }
            }
            if decision.reason == Reason::NotKnown {
                prop_assert!(!decision.effects.iter().any(|effect| matches!(effect, Effect::Ban(_))));
            }
        }
    }
}

/// Options that act, each under the number of its rule: what ran says by which rule.
fn acting() -> impl Strategy<Value = Vec<String>> {
    let conditions = (
        prop::option::weighted(0.4, list()),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.3, select(&["limit 5/minute", "max 3"][..])),
        prop::bool::weighted(0.5),
    );
    const LAST: &[&str] = &["allow", "deny", "twist N", "aclexec N"];
    let acts = prop::collection::vec(select(&["spawn N", "banners /N", "aclexec N"][..]), 0..3);
    (conditions, acts, prop::option::of(select(LAST))).prop_map(|(conditions, acts, last)| {
        let (list, trial, bound, ban) = conditions;
        let list = list.map(|list| format!("if {list}"));
        let others = [trial.then_some("trial"), bound, ban.then_some("ban Ns")];
        let others = others.into_iter().flatten().chain(acts).chain(last);
        list.into_iter().chain(others.map(str::to_owned)).collect()
    })
}

/// The number of the rule by which something was done.
fn number(effect: &Effect) -> Option<usize> {
    let text = match effect {
        Effect::Spawn(command) | Effect::Aclexec(command) | Effect::Twist(command) => command.as_slice(),
        Effect::Banner { directory, .. } => &directory[1..],
        Effect::Ban(seconds) => return usize::try_from(*seconds).ok(),
        _ => return None,
    };
    std::str::from_utf8(text).ok()?.parse().ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// No command, banner or ban but by a rule that matches and gets as far whatever the unknown answers were.
    #[test]
    fn nothing_acts_by_a_rule_that_is_not_known_to_match(
        rules in prop::collection::vec((any::<bool>(), list(), acting()), 1..5),
        known in prop::collection::vec(any::<bool>(), 6),
        commands in any::<bool>(),
    ) {
        let texts: Vec<(bool, String)> = (1..)
            .zip(&rules)
            .map(|(number, (is_allow, clients, options))| {
                let options: String = options
                    .iter()
                    .map(|option| format!(": {}", option.replace('N', &number.to_string())))
                    .collect();
                (*is_allow, format!("sshd: {clients} {options}\n"))
            })
            .collect();
        let dir = tempfile::tempdir()?;
        let tables = Tables::in_directory(dir.path());
        let put = |rules: &[(bool, String)]| {
            for (name, wanted) in [("hosts.allow", true), ("hosts.deny", false)] {
                let text: String = rules
                    .iter()
                    .filter(|(is_allow, _)| *is_allow == wanted)
                    .map(|(_, rule)| rule.as_str())
                    .collect();
                std::fs::write(dir.path().join(name), text).unwrap();
            }
        };
        let asked = asked();
        let answers = told(&asked, &known);
        for unknown in subsets(asked.len()) {
            let open = without(&answers, &unknown);
            put(&texts);
            let decision = decide(&tables, &open, commands);
            for effect in &decision.effects {
                let Some(number) = number(effect) else { continue };
                put(&texts[number - 1..number]);
                for completion in completions(&answers, &unknown, &asked) {
                    let alone = decide(&tables, &completion, commands);
                    prop_assert!(
                        alone.effects.contains(effect),
                        "{:?} by rule {} of {:?}, though {:?} may be so", effect, number, texts, completion
                    );
                }
            }
        }
    }
}

fn one(table: TableKind, rule: &str, answers: &[(Fact, Known)]) -> (Decision, Vec<String>) {
    one_from("192.0.2.1", table, rule, answers)
}

/// Decides by one rule on a client at this address.
fn one_from(
    address: &str,
    table: TableKind,
    rule: &str,
    answers: &[(Fact, Known)],
) -> (Decision, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let name = match table {
        TableKind::Allow => "hosts.allow",
        TableKind::Deny => "hosts.deny",
    };
    std::fs::write(dir.path().join(name), format!("{rule}\n")).unwrap();
    let mut host = DryHost::new(address);
    for (fact, known) in answers {
        host = host.told(fact.clone(), known.clone());
    }
    let decision = Tables::in_directory(dir.path()).decide(&mut Request::new("sshd"), &mut host);
    let path = dir.path().display().to_string();
    let log = host
        .log
        .iter()
        .map(|line| line.to_string().replace(&path, ""))
        .collect();
    (decision, log)
}

#[test]
fn what_is_not_known_is_logged_with_its_cause() {
    let (decision, log) = one(TableKind::Deny, "sshd: {country=DE}", &[]);
    assert_eq!(decision.reason, Reason::NotKnown);
    assert_eq!(
        log,
        [
            "warning: /hosts.deny, line 1: denied, since it is not known whether the client matches: \
          it was not said beforehand"
        ]
    );
    let (decision, log) = one(TableKind::Allow, "sshd: {country=DEU}: spawn a", &[]);
    assert!(decision.verdict.is_granted() && decision.effects.is_empty());
    assert_eq!(
        log,
        [
            "warning: /hosts.allow, line 1: passed over, since it is not known whether the client matches: \
          \"DEU\" is not a country by its two letters (ISO 3166)"
        ]
    );
}

#[test]
fn limits_deny_and_ban() {
    let limit = hosts_access::syntax::option::limit(b"5/minute").unwrap();
    let rate = |known: Known| {
        [(
            Fact::Rate {
                rule: Vec::new(),
                limit,
            },
            known,
        )]
    };
    let rule = "sshd: ALL: limit 5/minute: ban 2h: spawn a";
    let (decision, log) = one(TableKind::Allow, rule, &rate(Ok(Found::No)));
    assert_eq!(decision.reason, Reason::OverLimit);
    assert_eq!(decision.effects, [Effect::Ban(7200)]);
    assert_eq!(log, ["over limit:  /hosts.allow line 1"]);
    let (decision, _) = one(TableKind::Allow, rule, &rate(Ok(Found::Yes)));
    assert!(decision.verdict.is_granted());
    assert_eq!(decision.effects, [Effect::Spawn(b"a".to_vec())]);
    let (decision, log) = one(TableKind::Allow, rule, &rate(Err(Cause::new("it is full"))));
    assert_eq!(
        (decision.reason, &decision.effects[..]),
        (Reason::NotKnown, &[][..])
    );
    assert!(
        log[0].ends_with("denied, since it is not known whether it is over limit: it is full"),
        "{log:?}"
    );
    // In a rule that denies anyway it is a mistake.
    let (decision, log) = one(TableKind::Deny, "sshd: ALL: limit 5/minute", &[]);
    assert_eq!(decision.reason, Reason::OptionError);
    assert!(
        log[0].ends_with("option \"limit\" in a rule that denies"),
        "{log:?}"
    );
}

#[test]
fn whom_a_rule_denies_is_banned() {
    for (table, rule, banned) in [
        (TableKind::Deny, "sshd: ALL: ban 30m", Some(1800)),
        (TableKind::Deny, "sshd: ALL: ban 30m: spawn a", Some(1800)),
        (TableKind::Allow, "sshd: ALL: ban 30m: deny", Some(1800)),
        (TableKind::Deny, "sshd: ALL: ban 30m: allow", None),
        (TableKind::Allow, "sshd: ALL: ban 30m", None),
        (TableKind::Deny, "sshd: ALL: ban 30m: nonsense", None),
        (TableKind::Deny, "sshd: {country=DE}: ban 30m", None),
    ] {
        let (decision, _) = one(table, rule, &[]);
        let found = decision.effects.iter().find_map(|effect| match effect {
            Effect::Ban(seconds) => Some(*seconds),
            _ => None,
        });
        assert_eq!(found, banned, "{rule}");
    }
}

/// Whoever is over a limit is banned by the `ban` behind it, where the rule is known to match.
#[test]
fn whoever_is_over_a_limit_is_banned() {
    let limit = hosts_access::syntax::option::limit(b"5/minute").unwrap();
    let over = (
        Fact::Rate {
            rule: Vec::new(),
            limit,
        },
        Ok(Found::No),
    );
    let country = |code: &[u8; 2]| {
        let found = Found::Location {
            country: Some(*code),
            continent: None,
        };
        (Fact::Location, Ok(found))
    };
    for (clients, options, facts, banned) in [
        ("ALL", "limit 5/minute: ban 2h", &[][..], true),
        ("ALL", "limit 5/minute: max 3: ban 2h", &[], true),
        ("ALL", "limit 5/minute: limit 1/day: max 3: ban 2h", &[], true),
        ("ALL", "limit 5/minute: max 3", &[], false),
        ("ALL", "limit 5/minute: trial: ban 2h", &[], false),
        ("ALL", "limit 5/minute: spawn a: ban 2h", &[], false),
        ("{country=DE}", "limit 5/minute: ban 2h", &[country(b"DE")], true),
        ("{country=DE}", "limit 5/minute: ban 2h", &[], false),
    ] {
        let facts: Vec<_> = facts.iter().cloned().chain([over.clone()]).collect();
        let (decision, _) = one(TableKind::Allow, &format!("sshd: {clients}: {options}"), &facts);
        assert_eq!(decision.reason, Reason::OverLimit, "{clients}: {options}");
        let wanted = if banned { vec![Effect::Ban(7200)] } else { vec![] };
        assert_eq!(decision.effects, wanted, "{clients}: {options}");
    }
}

/// What becomes of a request for which it is not known whether a rule with these options matches, in the allow table
/// and in the deny table.
#[test]
fn a_rule_that_may_match() {
    use Doubt::{Asks, Denies, Passes};
    for (options, allow, deny) in [
        (None, Passes, Denies),
        (Some("spawn a: severity info: keepalive"), Passes, Denies),
        (Some("allow"), Passes, Passes),
        (Some("deny"), Denies, Denies),
        (Some("trial"), Passes, Passes),
        (Some("trial: deny"), Passes, Passes),
        (Some("if ALL"), Passes, Denies),
        (Some("limit 5/minute"), Asks, Denies),
        (Some("max 3: spawn a: allow"), Asks, Asks),
        (Some("limit 5/minute: deny"), Denies, Denies),
        (Some("ban 1h"), Passes, Denies),
        // With more privilege, or by a command.
        (Some("umask 022"), Denies, Denies),
        (Some("user nobody: allow"), Denies, Denies),
        (Some("aclexec a"), Denies, Denies),
        (Some("twist a"), Denies, Denies),
        // Mistakes.
        (Some("nonsense"), Denies, Denies),
        (Some("allow: spawn a"), Denies, Denies),
        (Some("keepalive: trial"), Denies, Denies),
        (Some("keepalive: if ALL"), Denies, Denies),
        (Some("linger x"), Denies, Denies),
        (Some("limit x: allow"), Denies, Denies),
        (Some("if ,: allow"), Denies, Denies),
    ] {
        let doubt = |table| options::doubt(options.map(str::as_bytes), table);
        assert_eq!(
            (doubt(TableKind::Allow), doubt(TableKind::Deny)),
            (allow, deny),
            "{options:?}"
        );
    }
}

/// Options that a program runs by itself stand in no table, and are those there have always been.
#[test]
fn options_without_a_rule_are_the_classic_ones() {
    let run = |text: &str| {
        let mut options = Options::new(text);
        let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
        let end = options.step(&mut request).unwrap();
        (end, request.next_log().map(|line| line.to_string()))
    };
    assert_eq!(run("severity info"), (Next::End(End::Through), None));
    for addition in ["if ALL", "trial", "limit 5/minute", "max 3", "ban 1h"] {
        let (end, said) = run(addition);
        let denied = End::Verdict(Verdict::Denied, Reason::OptionError);
        assert_eq!(end, Next::End(denied), "{addition}");
        assert!(said.unwrap().contains(addition.split(' ').next().unwrap()));
    }
}

#[test]
fn a_rule_on_trial_decides_nothing() {
    let (decision, log) = one(TableKind::Deny, "sshd: ALL: trial: spawn a", &[]);
    assert!(decision.verdict.is_granted() && decision.effects.is_empty());
    assert_eq!(
        log,
        ["trial:  /hosts.deny line 1: 192.0.2.1 would be denied with spawn"]
    );
    let (decision, _) = one(TableKind::Deny, "sshd: ALL: trial\nsshd: ALL", &[]);
    assert_eq!(decision.rule.unwrap().place.line, 2);
}

#[test]
fn a_condition_is_part_of_the_match() {
    let banned = |known: Known| [(Fact::Banned, known)];
    for (rule, granted) in [
        ("sshd: ALL: if 192.0.2.1", true),
        ("sshd: ALL: if 198.51.100.1", false),
        ("sshd: ALL: if ALL: if [2001:db8::]/32 192.0.2.", true),
    ] {
        assert_eq!(
            one(TableKind::Allow, &format!("{rule}: spawn a"), &[])
                .0
                .effects
                .len(),
            usize::from(granted)
        );
    }
    for (rule, found, denied) in [
        ("sshd: ALL: if {banned}", Found::Yes, true),
        ("sshd: ALL: if {banned}", Found::No, false),
        ("sshd: ALL: if ALL EXCEPT {banned}", Found::Yes, false),
        ("sshd: ALL: if {banned}: if 198.51.100.1", Found::Yes, false),
        ("sshd: ALL: if {banned} : if 192.0.2.0/24", Found::Yes, true),
        ("sshd: ALL: if [2001:db8::]/32 {banned}", Found::Yes, true),
    ] {
        let (decision, _) = one(TableKind::Deny, rule, &banned(Ok(found)));
        assert_eq!(!decision.verdict.is_granted(), denied, "{rule}");
    }
}

#[test]
fn a_time_is_compared_with_the_moment() {
    // 1970-01-01 was a Thursday.
    let told = |minute| {
        let moment = hosts_access::syntax::time::Moment { day: 0, minute };
        [(Fact::Time(None), Ok(Found::Time(moment)))]
    };
    for (rule, minute, denied) in [
        ("sshd: {time=Thu/0800-1800}", 8 * 60, true),
        ("sshd: {time=Thu/0800-1800}", 8 * 60 - 1, false),
        ("sshd: {time=Fri}", 8 * 60, false),
        ("sshd: {time=1970-01-01}", 0, true),
    ] {
        let (decision, _) = one(TableKind::Deny, rule, &told(minute));
        assert_eq!(!decision.verdict.is_granted(), denied, "{rule}");
    }
    // Another answer is none.
    let (decision, _) = one(
        TableKind::Deny,
        "sshd: {time=Thu}",
        &[(Fact::Time(None), Ok(Found::Yes))],
    );
    assert_eq!(decision.reason, Reason::NotKnown);
}

#[test]
fn additions_come_first_and_in_their_order() {
    for rule in [
        "sshd: ALL: spawn a: if ALL",
        "sshd: ALL: limit 5/minute: if ALL",
        "sshd: ALL: ban 1h: limit 5/minute",
        "sshd: ALL: keepalive: trial",
        "sshd: ALL: if",
        "sshd: ALL: if ,",
        "sshd: ALL: trial x",
        "sshd: ALL: ban soon",
        "sshd: ALL: max none",
    ] {
        let limit = hosts_access::syntax::option::limit(b"5/minute").unwrap();
        let rate = [(
            Fact::Rate {
                rule: Vec::new(),
                limit,
            },
            Ok(Found::Yes),
        )];
        let (decision, _) = one(TableKind::Allow, rule, &rate);
        assert_eq!(decision.reason, Reason::OptionError, "{rule}");
    }
}

#[test]
fn braces_that_are_no_pattern_stay_text() {
    for (rule, granted) in [
        ("sshd: {ip}", true),
        ("{banned}: ALL", true),
        ("sshd@{banned}: ALL", true),
    ] {
        let (decision, log) = one(TableKind::Deny, rule, &[]);
        assert_eq!((decision.verdict.is_granted(), log.len()), (granted, 0), "{rule}");
    }
    let (decision, _) = one(TableKind::Deny, "sshd: {Banned}@ALL", &[]);
    assert!(decision.verdict.is_granted());
}

/// A block list is best effort: no answer is *no*.
#[test]
fn a_list_that_does_not_answer_lists_nobody() {
    let listed = |known: Known| [(Fact::Listed(b"zen.example.net".to_vec()), known)];
    let codes = |codes: &[&str]| {
        Ok(Found::Listed(
            codes.iter().map(|code| code.parse().unwrap()).collect(),
        ))
    };
    for (rule, known, denied) in [
        ("sshd: {rbl=zen.example.net}", Err(Cause::new("timed out")), false),
        ("sshd: {rbl=zen.example.net}", codes(&["127.0.0.4"]), true),
        ("sshd: {rbl=zen.example.net}", codes(&["127.255.255.254"]), false),
        ("sshd: {rbl=zen.example.net}", codes(&["10.0.0.1"]), false),
        ("sshd: {rbl=zen.example.net}", codes(&[]), false),
        (
            "sshd: {rbl=zen.example.net|127.0.0.2}",
            codes(&["127.0.0.4"]),
            false,
        ),
        (
            "sshd: {rbl=zen.example.net|127.0.0.2|127.0.0.4}",
            codes(&["127.0.0.4"]),
            true,
        ),
    ] {
        let (decision, _) = one(TableKind::Deny, rule, &listed(known));
        assert_eq!(!decision.verdict.is_granted(), denied, "{rule}");
    }
}

/// A program may pass no address. That it has none is known, so that nothing is asked.
#[test]
fn whoever_has_no_address_is_nowhere_and_in_no_list() {
    let noon = hosts_access::syntax::time::Moment { day: 0, minute: 720 };
    let told = [
        (Fact::Time(None), Ok(Found::Time(noon))),
        (Fact::Banned, Ok(Found::Yes)),
        (
            Fact::Nearness,
            Ok(Found::Nearness {
                same_host: true,
                same_net: true,
            }),
        ),
    ];
    for address in ["unknown", "a.socket"] {
        for pattern in [
            "{country=DE}",
            "{continent=EU}",
            "{asn=1}",
            "{dns=home.example.net}",
            "{rbl=zen.example.net}",
            "{samehost}",
            "{samenet}",
            "{banned}",
        ] {
            for answers in [&[][..], &told] {
                let (decision, log) =
                    one_from(address, TableKind::Deny, &format!("sshd: {pattern}"), answers);
                assert_eq!((decision.reason, log), (Reason::NoMatch, Vec::new()), "{pattern}");
            }
        }
        // The time is the same for all; a mistake is one for all.
        let (decision, _) = one_from(address, TableKind::Deny, "sshd: {time=Thu}", &told);
        assert_eq!(decision.reason, Reason::Rule);
        let (decision, _) = one_from(address, TableKind::Deny, "sshd: {country=DEU}", &told);
        assert_eq!(decision.reason, Reason::NotKnown);
    }
}

/// Each pattern is held against its own answer.
#[test]
fn a_pattern_matches_by_what_was_found() {
    let location = |country: Option<&[u8; 2]>, continent: Option<&[u8; 2]>| {
        let found = Found::Location {
            country: country.copied(),
            continent: continent.copied(),
        };
        (Fact::Location, found)
    };
    let near = |same_host, same_net| (Fact::Nearness, Found::Nearness { same_host, same_net });
    let addresses = |list: &[&str]| {
        let list = list.iter().map(|address| address.parse().unwrap());
        let name = Fact::Addresses(b"home.example.net".to_vec());
        (name, Found::Addresses(list.collect()))
    };
    for (pattern, (fact, found), matches) in [
        ("{country=DE|AT}", location(Some(b"AT"), None), true),
        ("{country=de}", location(Some(b"DE"), Some(b"EU")), true),
        ("{country=EU}", location(Some(b"DE"), Some(b"EU")), false),
        ("{country=DE}", location(None, None), false),
        ("{continent=EU}", location(None, Some(b"EU")), true),
        ("{continent=NA|EU}", location(Some(b"DE"), Some(b"EU")), true),
        ("{continent=AS}", location(Some(b"AS"), Some(b"OC")), false),
        ("{asn=AS64496}", (Fact::System, Found::System(Some(64496))), true),
        (
            "{asn=64497|64496}",
            (Fact::System, Found::System(Some(64496))),
            true,
        ),
        ("{asn=64497}", (Fact::System, Found::System(Some(64496))), false),
        ("{asn=64496}", (Fact::System, Found::System(None)), false),
        ("{samehost}", near(true, false), true),
        ("{samehost}", near(false, true), false),
        ("{samenet}", near(false, true), true),
        ("{samenet}", near(true, false), false),
        (
            "{dns=Home.Example.Net}",
            addresses(&["2001:db8::1", "192.0.2.1"]),
            true,
        ),
        ("{dns=home.example.net}", addresses(&["::ffff:192.0.2.1"]), true),
        ("{dns=home.example.net}", addresses(&["192.0.2.2"]), false),
        ("{banned}", (Fact::Banned, Found::Yes), true),
        ("{banned}", (Fact::Banned, Found::No), false),
    ] {
        let (decision, _) = one(
            TableKind::Deny,
            &format!("sshd: {pattern}"),
            &[(fact, Ok(found.clone()))],
        );
        let wanted = if matches { Reason::Rule } else { Reason::NoMatch };
        assert_eq!(decision.reason, wanted, "{pattern} {found:?}");
    }
}

/// One question about a client, whatever asks it.
#[test]
fn each_question_is_asked_once() {
    let dir = tempfile::tempdir().unwrap();
    let rules = "sshd: {country=DE} {continent=EU}\nsshd: {country=FR}: allow\nsshd: {samenet}, {samehost}\n";
    std::fs::write(dir.path().join("hosts.deny"), rules).unwrap();
    let mut host = DryHost::new("192.0.2.1")
        .told(
            Fact::Location,
            Ok(Found::Location {
                country: None,
                continent: None,
            }),
        )
        .told(
            Fact::Nearness,
            Ok(Found::Nearness {
                same_host: false,
                same_net: false,
            }),
        );
    let mut request = Request::new("sshd");
    let mut evaluation = Tables::in_directory(dir.path()).evaluate();
    let mut asked = Vec::new();
    loop {
        match evaluation.step(&mut request) {
            Step::Need(need) => {
                host::answer(&need, &mut request, &mut host);
                asked.push(need);
            }
            Step::Log(line) => panic!("{line}"),
            Step::Do(effect) => panic!("{effect:?}"),
            Step::Done(decision) => {
                assert!(decision.verdict.is_granted());
                break;
            }
        }
    }
    assert_eq!(asked.len(), 3, "{asked:?}");
}

/// What setenv(3) refuses is refused in a dry run, too.
#[test]
fn a_dry_run_reaches_the_verdict_of_the_real_one() {
    for (rule, granted) in [
        ("sshd: ALL: setenv A b", true),
        ("sshd: ALL: setenv A=b c", false),
        ("sshd: ALL: setenv A", true),
    ] {
        let (decision, log) = one(TableKind::Allow, rule, &[]);
        assert_eq!(decision.verdict.is_granted(), granted, "{rule}");
        let said = log
            .first()
            .is_some_and(|line| line.ends_with("memory allocation failure"));
        assert_eq!(said, !granted, "{log:?}");
    }
}

/// What a rule has two limits for: a few at once, and not many in a day. Each has its own bucket.
#[test]
fn each_limit_of_a_rule_counts_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let rule = "sshd: ALL: limit 5/minute: limit 100/day\n";
    std::fs::write(dir.path().join("hosts.allow"), rule).unwrap();
    let limit = hosts_access::syntax::option::limit(b"1/second").unwrap();
    let rate = Fact::Rate {
        rule: Vec::new(),
        limit,
    };
    let mut host = DryHost::new("192.0.2.1").told(rate, Ok(Found::Yes));
    let mut request = Request::new("sshd");
    let decision = Tables::in_directory(dir.path()).decide(&mut request, &mut host);
    assert!(decision.verdict.is_granted());
    let keys = request.facts().iter().filter_map(|(fact, _)| match fact {
        Fact::Rate { rule, .. } => Some(rule.clone()),
        _ => None,
    });
    let keys: BTreeSet<_> = keys.collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
}
