//! A decision that is stepped: it waits for nothing, holds nothing open, goes on in another thread, and comes to the
//! same as one that is waited for.

use std::path::Path;
use std::thread;
use std::time::Duration;

use hosts_access::dry::DryHost;
use hosts_access::source::FileId;
use hosts_access::{
    Decision, Diagnostic, Effect, Evaluation, Fact, Found, Host, Need, Outcome, Policy, Request, Side, Step,
    TableKind, Tables, Verdict, host, index_file,
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

/// Writes the index of a table beside it. Small tables have one that nobody uses.
fn write_index(table: &Path) {
    let id = FileId::of(&table.metadata().unwrap());
    let image = index_file::of_text(&std::fs::read(table).unwrap(), &id).unwrap();
    std::fs::write(index_file::path_of(table), image.bytes).unwrap();
}

const ALLOW: &str = "no rule\nsshd: LIST, .example.net: spawn a %n\nsshd: ALL: aclexec b\n";
const DENY: &str = "22@.example.org: @group, @group, u2@ALL: severity info\n\
                    no rule\nsshd: {country=DE}: trial\nsshd: 192.0.2.1: aclexec d: severity debug\n\
                    sshd: ALL: aclexec %u: severity %x: \nsshd: @group, ALL: rfc931 5: twist %N %x\n";

#[test]
fn every_step_may_be_taken_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    // Longer than the piece that is read at once.
    let padding = "sshd: 192.0.2.99\n".repeat(9_000);
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
        let mut waited = Vec::new();
        for name in ["host.example.com", "host.example.net", "unknown"] {
            let host = DryHost::new("192.0.2.1")
                .named(name)
                .with_user("u1")
                .with_server("10.0.0.1", "server.example.org", Some(22))
                .commands_succeed(false);
            let mut log = host.clone();
            let decision = tables.decide(&mut Request::new("sshd").verbose(2), &mut log);
            waited.push((host, decision, log));
        }
        // With an index beside each table, too.
        for has_index in [false, true] {
            for kind in [TableKind::Allow, TableKind::Deny]
                .into_iter()
                .filter(|_| has_index)
            {
                write_index(tables.path(kind));
            }
            for (host, decision, waited) in &waited {
                for evaluation in [tables.evaluate(), policy.evaluate()] {
                    let mut host = host.clone();
                    let (stepped, steps) = stepped(evaluation, Request::new("sshd").verbose(2), &mut host);
                    assert_eq!(stepped, *decision);
                    assert_eq!(host.log, waited.log);
                    assert_eq!(host.lookups, waited.lookups);
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
}

/// The index of another state of a table is of no use, and one that is damaged costs a line in the log.
#[test]
fn an_index_that_is_not_whole_is_done_without() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::in_directory(directory.path());
    let deny = tables.path(TableKind::Deny);
    let padding = "sshd: 192.0.2.99\n".repeat(20_000);
    let index = index_file::path_of(deny);
    let write = || {
        std::fs::write(deny, format!("{padding}no rule\nsshd: .example.org\n")).unwrap();
        write_index(deny);
    };
    let decide = |meanwhile: &dyn Fn()| {
        let mut host = DryHost::new("192.0.2.1").named("host.example.org");
        let mut request = Request::new("sshd");
        let mut evaluation = tables.evaluate();
        loop {
            match evaluation.step(&mut request) {
                Step::Log(line) => host.log(&line),
                Step::Need(need) => {
                    meanwhile();
                    host::answer(&need, &mut request, &mut host);
                }
                Step::Do(effect) => panic!("{effect:?}"),
                Step::Done(decision) => {
                    assert_eq!(decision.verdict, Verdict::Denied);
                    let lines = host
                        .log
                        .iter()
                        .map(|line| (line.place.as_ref().map(|at| at.line), line.to_string()));
                    return lines.collect::<Vec<_>>();
                }
            }
        }
    };
    write();
    let usual = decide(&|| {});
    assert_eq!(
        usual.iter().map(|line| line.0).collect::<Vec<_>>(),
        [Some(20_001)]
    );
    // Gone, or that of another state, before or meanwhile.
    let remove = || drop(std::fs::remove_file(&index));
    assert_eq!(decide(&remove), usual);
    assert_eq!(decide(&remove), usual);
    write();
    let touch = || {
        std::fs::copy(&index, directory.path().join("other")).unwrap();
        std::fs::rename(directory.path().join("other"), &index).unwrap();
    };
    assert_eq!(decide(&touch), usual);
    // Damaged from the beginning, or further on.
    for (at, is_told) in [(0, false), (30, true), (4096, true)] {
        write();
        let mut bytes = std::fs::read(&index).unwrap();
        for byte in &mut bytes[at..] {
            *byte ^= 0x55;
        }
        std::fs::write(&index, bytes).unwrap();
        let lines = decide(&|| {});
        let told: Vec<_> = lines
            .iter()
            .filter(|(_, line)| line.contains(".index: damaged"))
            .collect();
        assert_eq!(told.len(), usize::from(is_told), "{at}: {lines:?}");
        assert!(told.iter().all(|(line, _)| line.is_none()), "{told:?}");
        let others: Vec<_> = lines
            .iter()
            .filter(|line| !told.contains(line))
            .cloned()
            .collect();
        assert_eq!(others, usual, "{at}");
    }
}

/// Files that name each other are read so deep and no deeper, with an index beside them and without.
#[test]
fn files_with_indexes_nest_no_deeper_than_others() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::in_directory(directory.path());
    let list = |n: usize| directory.path().join(format!("list{n}"));
    let filler = "198.51.100.1\n".repeat(3_000);
    for n in 0..20 {
        std::fs::write(list(n), format!("{}\n{filler}", list(n + 1).display())).unwrap();
    }
    std::fs::write(list(20), "192.0.2.1\n").unwrap();
    let decide = |first: usize| {
        std::fs::write(
            tables.path(TableKind::Allow),
            format!("sshd: {}\n", list(first).display()),
        )
        .unwrap();
        std::fs::write(tables.path(TableKind::Deny), "ALL: ALL\n").unwrap();
        let mut host = DryHost::new("192.0.2.1");
        let decision = tables.decide(&mut Request::new("sshd"), &mut host);
        (
            decision.verdict,
            host.log.iter().map(ToString::to_string).collect::<Vec<_>>(),
        )
    };
    let without = [decide(0), decide(3), decide(4), decide(5), decide(6)];
    for n in 0..20 {
        let id = FileId::of(&list(n).metadata().unwrap());
        let image = index_file::of_list(&std::fs::read(list(n)).unwrap(), &id).unwrap();
        std::fs::write(index_file::path_of(&list(n)), image.bytes).unwrap();
    }
    assert_eq!([decide(0), decide(3), decide(4), decide(5), decide(6)], without);
    assert!(without[0].0 == Verdict::Denied && without[0].1[0].contains("nested too deeply"));
    assert!(without[4].0 == Verdict::Granted && without[4].1.is_empty());
}

/// What can be answered on the spot is not asked for in a step, unless lines wait that come before.
#[test]
fn answers_at_hand_are_taken_on_the_spot() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::in_directory(directory.path());
    let list = directory.path().join("list");
    std::fs::write(&list, format!("{}\n", list.display())).unwrap();
    let limit = "sshd: ALL: limit 5/minute\n";
    for (allow, verbose, wanted) in [
        (
            "sshd: {banned}\nsshd: {banned}\n",
            0,
            &["asked banned", "done"][..],
        ),
        (limit, 0, &["asked rate", "done"]),
        // The log has the option, or the list that names itself, first.
        (limit, 1, &["log", "need", "done"]),
        ("sshd: LIST {banned}\n", 0, &["log", "need", "done"]),
    ] {
        let text = allow.replace("LIST", &list.to_string_lossy());
        std::fs::write(tables.path(TableKind::Allow), text).unwrap();
        for has_answer in [true, false] {
            for mut evaluation in [tables.evaluate(), Policy::new(tables.clone()).evaluate()] {
                let mut request = Request::new("sshd")
                    .known_address(Side::Client, "192.0.2.1")
                    .known_name(Side::Client, "host.example.org")
                    .verbose(verbose);
                let mut happened = Vec::new();
                loop {
                    let mut asked = Vec::new();
                    let step = evaluation.step_asking(&mut request, &mut |fact, _| {
                        let (what, found) = match fact {
                            Fact::Banned => ("asked banned", Found::No),
                            _ => ("asked rate", Found::Yes),
                        };
                        asked.push(what);
                        has_answer.then_some(Ok(found))
                    });
                    happened.extend(asked);
                    match step {
                        Step::Log(_) => happened.push("log"),
                        Step::Need(Need::Fact(fact)) => {
                            happened.push("need");
                            let found = if fact == Fact::Banned {
                                Found::No
                            } else {
                                Found::Yes
                            };
                            request.set_fact(fact, Ok(found));
                        }
                        Step::Done(decision) => {
                            assert!(decision.verdict.is_granted());
                            happened.push("done");
                            break;
                        }
                        step => panic!("{step:?}"),
                    }
                }
                let is_asked = wanted[0].starts_with("asked");
                if is_asked && !has_answer {
                    assert_eq!(happened, [wanted[0], "need", "done"], "{allow}");
                } else {
                    assert_eq!(happened, wanted, "{allow}");
                }
            }
        }
    }
}

/// Who only has comments asks nothing of anybody.
#[test]
fn comments_ask_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::in_directory(directory.path());
    for kind in [TableKind::Allow, TableKind::Deny] {
        std::fs::write(tables.path(kind), "# nothing\n\n").unwrap();
    }
    for mut evaluation in [tables.evaluate(), Policy::new(tables.clone()).evaluate()] {
        let step = evaluation.step(&mut Request::new("sshd"));
        assert!(matches!(step, Step::Done(decision) if decision.verdict.is_granted()));
    }
}

/// A table full of mistakes is logged line by line, not collected.
#[test]
fn lines_are_logged_before_there_are_many() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::in_directory(directory.path());
    let count = 20_000;
    std::fs::write(
        tables.path(TableKind::Deny),
        "no rule\n".repeat(count) + "sshd: .org\n",
    )
    .unwrap();
    write_index(tables.path(TableKind::Deny));
    let evaluations = [tables.evaluate(), Policy::new(tables.clone()).evaluate(), {
        std::fs::remove_file(index_file::path_of(tables.path(TableKind::Deny))).unwrap();
        tables.evaluate()
    }];
    for mut evaluation in evaluations {
        let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
        let mut said = Vec::new();
        let decision = loop {
            match evaluation.step(&mut request) {
                Step::Log(line) => said.push(line.place.unwrap().line),
                Step::Need(need) => {
                    assert_eq!((need, said.len()), (Need::Name(Side::Client), count));
                    request.set_name(Side::Client, b"host.example.org");
                }
                Step::Do(effect) => panic!("{effect:?}"),
                Step::Done(decision) => break decision,
            }
        };
        assert_eq!(decision.verdict, Verdict::Denied);
        let in_order: Vec<_> = (1..=count as u32).collect();
        assert!(
            said == in_order,
            "each once and in order: {:?}",
            &said[said.len() - 5..]
        );
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

/// A file that a pattern names is waited for, not for ever; then it names nobody, which is logged.
#[test]
fn a_file_that_never_holds_still_names_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::in_directory(directory.path());
    // It is never as long as it says.
    let file = "/sys/devices/system/cpu/online";
    assert!(Path::new(file).metadata().unwrap().len() > 1000);
    std::fs::write(tables.path(TableKind::Allow), format!("sshd: {file} 192.0.2.1\n")).unwrap();
    std::fs::write(tables.path(TableKind::Deny), "ALL: ALL\n").unwrap();
    for kept in [false, true] {
        let policy = Policy::new(tables.clone());
        let mut evaluation = if kept {
            policy.evaluate()
        } else {
            tables.evaluate()
        };
        let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
        let (mut pauses, mut log) = (Vec::new(), Vec::new());
        let decision = loop {
            match evaluation.step(&mut request) {
                Step::Need(Need::Name(side)) => request.set_name(side, b"host.example.org"),
                Step::Need(Need::Pause(time)) => pauses.push(time),
                Step::Log(line) => log.push(line.to_string()),
                Step::Done(decision) => break decision,
                step => panic!("{step:?}"),
            }
            assert!(pauses.len() < 50, "{pauses:?}");
        };
        assert_eq!(decision.verdict, Verdict::Granted);
        assert!(pauses.is_sorted() && (kept || pauses.len() > 2), "{pauses:?}");
        assert!(
            matches!(&log[..], [line] if line.contains("keeps changing")),
            "{log:?}"
        );
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
