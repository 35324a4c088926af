//! A decision that is stepped: it waits for nothing, holds nothing open, goes on in another thread, and comes to the
//! same as one that is waited for.

use std::thread;
use std::time::Duration;

use hosts_access::dry::DryHost;
use hosts_access::{
    Decision, Diagnostic, Effect, Evaluation, Host, Need, Outcome, Policy, Request, Side, Step, Tables,
    Verdict, host,
};

/// How many descriptors this process has.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Takes one step in a thread of its own.
fn step_elsewhere(
    mut evaluation: Evaluation<'static>,
    mut request: Request,
) -> (Step, Evaluation<'static>, Request) {
    let step = move || (evaluation.step(&mut request), evaluation, request);
    thread::spawn(step).join().unwrap()
}

/// Decides step by step, each in another thread; tells what was asked for.
fn stepped(
    mut evaluation: Evaluation<'static>,
    mut request: Request,
    host: &mut DryHost,
) -> (Decision, Vec<String>) {
    let before = descriptors();
    let mut steps = Vec::new();
    loop {
        let step;
        (step, evaluation, request) = step_elsewhere(evaluation, request);
        assert_eq!(descriptors(), before, "{step:?}");
        if !matches!(step, Step::Done(_)) {
            steps.push(format!("{step:?}"));
        }
        match step {
            Step::Log(diagnostic) => host.log(&diagnostic),
            Step::Need(need) => host::answer(&need, &mut request, host),
            Step::Do(effect) => evaluation.done(host.perform(&effect, request.place())),
            Step::Done(decision) => return (decision, steps),
        }
    }
}

const ALLOW: &str = "no rule\nsshd: LIST, .example.net: spawn a %n\nsshd: ALL: aclexec b\n";
const DENY: &str = "22@.example.org: @group, @group, u2@ALL: severity info\n\
                    sshd: ALL: aclexec %u: severity %x: \nsshd: @group, ALL: rfc931 5: twist %N %x\n";

#[test]
fn every_step_may_be_taken_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    // Longer than the piece that is read at once.
    let padding = "sshd: 192.0.2.99\n".repeat(20_000);
    std::fs::write(&list, "/nowhere\n@group host.example.com\n.example.com\n").unwrap();
    for (before, after) in [
        ("", ""),
        (padding.as_str(), ""),
        ("", &padding),
        (&padding, &padding),
    ] {
        let write = |name: &str, text: &str| {
            let text = text.replace("LIST", &list.to_string_lossy());
            std::fs::write(directory.path().join(name), [before, &text, after].concat()).unwrap();
        };
        write("hosts.allow", ALLOW);
        write("hosts.deny", DENY);
        let tables = Tables::in_directory(directory.path());
        let policy = Policy::new(tables.clone());
        for name in ["host.example.com", "host.example.net", "unknown"] {
            let host = DryHost::new("192.0.2.1")
                .named(name)
                .with_user("u1")
                .with_server("10.0.0.1", "server.example.org", Some(22))
                .commands_succeed(false);
            let mut waited = host.clone();
            let decision = tables.decide(&mut Request::new("sshd").verbose(2), &mut waited);
            for evaluation in [tables.evaluate(), policy.evaluate()] {
                let mut host = host.clone();
                let (stepped, steps) = stepped(evaluation, Request::new("sshd").verbose(2), &mut host);
                assert_eq!(stepped, decision, "{name}");
                assert_eq!(host.log, waited.log, "{name}");
                assert_eq!(host.lookups, waited.lookups, "{name}");
                // Each thing is asked for once.
                let mut needs: Vec<_> = steps.iter().filter(|step| step.starts_with("Need")).collect();
                let count = needs.len();
                needs.sort();
                needs.dedup();
                assert_eq!(needs.len(), count, "{needs:?}");
            }
        }
    }
}

#[test]
fn a_table_that_changes_meanwhile_is_read_anew() {
    let directory = tempfile::tempdir().unwrap();
    let deny = directory.path().join("hosts.deny");
    let padding = "sshd: 192.0.2.99\n".repeat(20_000);
    for (before, after) in [("", ""), (padding.as_str(), padding.as_str())] {
        std::fs::write(&deny, format!("{before}sshd: .example.org\n{after}")).unwrap();
        let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
        let mut evaluation = Tables::in_directory(directory.path()).evaluate();
        assert_eq!(
            evaluation.step(&mut request),
            Step::Need(Need::Name(Side::Client))
        );
        std::fs::write(&deny, format!("{before}sshd: .example.com\nALL: ALL\n{after}")).unwrap();
        request.set_name(Side::Client, b"host.example.org");
        // It is given time to settle.
        assert!(
            matches!(evaluation.step(&mut request), Step::Need(Need::Pause(time)) if time > Duration::ZERO)
        );
        let Step::Done(decision) = evaluation.step(&mut request) else {
            panic!("no decision");
        };
        assert_eq!(decision.verdict, Verdict::Denied);
        assert_eq!(decision.rule.unwrap().text(), b"ALL: ALL");
    }
}

#[test]
fn a_table_that_is_gone_meanwhile_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    let deny = directory.path().join("hosts.deny");
    std::fs::write(&deny, "sshd: .example.org\n").unwrap();
    let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
    let mut evaluation = Tables::in_directory(directory.path()).evaluate();
    assert_eq!(
        evaluation.step(&mut request),
        Step::Need(Need::Name(Side::Client))
    );
    std::fs::remove_file(&deny).unwrap();
    request.set_name(Side::Client, b"host.example.org");
    let Step::Done(decision) = evaluation.step(&mut request) else {
        panic!("no decision");
    };
    assert_eq!(decision.verdict, Verdict::Granted);
}

/// What was carried out before an effect that fails stays carried out, and what comes after it is not looked at.
#[test]
fn effects_are_done_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("hosts.allow"),
        "ALL: ALL: keepalive: group g: spawn a: nonsense\n",
    )
    .unwrap();
    let tables = Tables::in_directory(directory.path());
    for evaluation in [tables.evaluate(), Policy::new(tables.clone()).evaluate()] {
        let mut evaluation = evaluation;
        let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
        assert_eq!(evaluation.step(&mut request), Step::Do(Effect::Keepalive));
        // Not answered, it is asked for again.
        assert_eq!(evaluation.step(&mut request), Step::Do(Effect::Keepalive));
        evaluation.done(Outcome::Done);
        assert_eq!(
            evaluation.step(&mut request),
            Step::Do(Effect::Group(b"g".to_vec()))
        );
        evaluation.done(Outcome::Refused(b"unknown group: \"g\"".to_vec()));
        let Step::Log(Diagnostic { text, place, .. }) = evaluation.step(&mut request) else {
            panic!("nothing logged");
        };
        assert_eq!((text, place.unwrap().line), (b"unknown group: \"g\"".to_vec(), 1));
        let Step::Done(decision) = evaluation.step(&mut request) else {
            panic!("no decision");
        };
        assert_eq!(decision.verdict, Verdict::Denied);
        assert_eq!(decision.effects.len(), 2);
    }
}

#[test]
fn a_table_that_never_holds_still_denies() {
    let directory = tempfile::tempdir().unwrap();
    let deny = directory.path().join("hosts.deny");
    std::fs::write(&deny, "sshd: @g\n").unwrap();
    let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
    let mut evaluation = Tables::in_directory(directory.path()).evaluate();
    let (mut asked, mut log) = (0, Vec::new());
    let decision = loop {
        match evaluation.step(&mut request) {
            Step::Need(Need::Name(side)) => request.set_name(side, b"host.example.org"),
            Step::Need(Need::Netgroup { group, host }) => {
                asked += 1;
                assert!(asked < 50, "{log:?}");
                std::fs::write(&deny, format!("sshd: @{}\n", "g".repeat(asked + 1))).unwrap();
                request.set_netgroup(&group, &host, false);
            }
            Step::Need(Need::Pause(_)) => {}
            Step::Log(line) => log.push(line.to_string()),
            Step::Done(decision) => break decision,
            step => panic!("{step:?}"),
        }
    };
    assert_eq!(decision.verdict, Verdict::Denied);
    assert!(
        asked > 2 && log.iter().any(|line| line.contains("keeps changing")),
        "{asked} {log:?}"
    );
}
