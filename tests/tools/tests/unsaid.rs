//! Nothing that the reference would have warned of, had Debian's build not swallowed it, goes unsaid.

use std::collections::BTreeSet;
use std::path::Path;

use tools_tests::{Host, Whose, corpus, each, own_rules};

/// The places that warnings and errors name, which ours must name too. `late` is added to the line of a
/// table without a last newline.
fn places(said: &[u8], counts: impl Fn(&str) -> bool, late: u32) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(said).into_owned();
    let problems = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("warning: ").or(line.strip_prefix("error: "))?;
        let (file, rest) = rest.split_once(", line ")?;
        let (line, problem) = rest.split_once(": ")?;
        let late = if problem.starts_with("missing newline") {
            late
        } else {
            0
        };
        counts(problem).then(|| format!("{file}:{}", line.parse::<u32>().unwrap() + late))
    });
    problems.collect()
}

/// What the reference warns of without need: it asks the name service for wildcards, and knows neither ports
/// nor daemons that run by themselves, of which this machine may have some.
fn deserved(problem: &str) -> bool {
    let (subject, _) = problem.split_once(": ").unwrap_or((problem, ""));
    let wildcard = subject.contains(['*', '?']);
    let port = subject.parse::<u16>().is_ok();
    let runs_by_itself = problem.ends_with("no such process name in /etc/inetd.conf")
        && system::services::program(subject.as_bytes()).is_some();
    // Deviation 1: it tries to become the user or group of a rule.
    let becomes = subject.starts_with("setgid(") || subject.starts_with("setuid(");
    // A CR before the newline belongs to no token.
    !(wildcard || port || runs_by_itself || becomes || subject.ends_with('\r'))
}

#[test]
fn what_the_reference_warns_of_is_reported() {
    let found = [own_rules(), corpus()].concat();
    support::alone(|machine| {
        let host = Host::on(machine);
        let missed = each(&found, |directory| missed(&host, directory).into_iter().collect());
        assert!(missed.is_empty(), "{}", missed.join("\n"));
    });
}

/// What the reference reports of a rule directory and ours does not.
fn missed(host: &Host<'_>, directory: &Path) -> Option<String> {
    let run = |whose| host.run(directory, whose, "tcpdchk", &["-a", "-d"]);
    let (theirs, ours) = (run(Whose::Unmuted), run(Whose::Ours));
    // Deviation 19: the reference counts an unterminated line with the one before it.
    let reported = places(&theirs.stdout, deserved, 1);
    let missed: Vec<_> = reported
        .difference(&places(&ours.stderr, |_| true, 0))
        .cloned()
        .collect();
    (!missed.is_empty()).then(|| {
        let said = String::from_utf8_lossy(&theirs.stdout).into_owned();
        format!("{}: {missed:?}\n{said}", directory.display())
    })
}
