//! Standard output of tcpdmatch and `tcpdchk -v`, letter by letter beside the reference's.
//!
//! Two comparisons each: with the reference as Debian ships it, whose libwrap keeps the lines about
//! matched rules and their options from the terminal, and with the reference unmuted, where ours must be
//! the same with nothing left out. Differences are those of `docs/deviations.md` only, and each
//! is undone here by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use tools_tests::{Host, Whose, corpus, each, own_rules};

/// What to ask tcpdmatch in a directory: its `ask` file, or daemons and clients that its rules name.
fn questions(directory: &Path) -> Vec<Vec<String>> {
    let text = |name: &str| {
        let bytes = fs::read(directory.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    if directory.join("ask").exists() {
        let lines = text("ask");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        return lines.lines().map(words).collect();
    }
    let tables = text("hosts.allow") + &text("hosts.deny");
    let (mut daemons, mut clients) = (
        BTreeSet::from(["sshd"]),
        BTreeSet::from(["192.0.2.1", "localhost"]),
    );
    for line in tables.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line
            .split(':')
            .map(|f| f.split(|c: char| c == ',' || c.is_whitespace()));
        let plain = |word: &&str| !word.is_empty() && !word.contains(['/', '[', '\0', '\u{fffd}']);
        daemons.extend(fields.next().into_iter().flatten().filter(plain).take(1));
        clients.extend(fields.next().into_iter().flatten().filter(plain).take(1));
    }
    let daemons = daemons.iter().take(3).cycle();
    let pairs = clients.iter().take(3).zip(daemons);
    pairs
        .map(|(client, daemon)| vec![(*daemon).to_owned(), (*client).to_owned()])
        .collect()
}

/// The reference's tcpdchk shows the CR of a CR LF as part of a line's last token; its own library, and
/// ours everywhere, takes CR for a blank.
fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let line = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
    let mut lines: Vec<_> = bytes.split(|b| *b == b'\n').map(line).collect();
    // What follows the last newline, where that is nothing, is no line.
    lines.pop_if(|last| last.is_empty());
    lines
}

fn starts(line: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| line.starts_with(word.as_bytes()))
}

/// What a hardened reference leaves unsaid.
fn muted(lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let said = |line: &Vec<u8>| !starts(line, &["option:   ", "matched:  "]);
    lines.into_iter().filter(said).collect()
}

/// What ours says on standard error instead.
fn without_problems(lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let result = |line: &Vec<u8>| !starts(line, &["warning: ", "error: "]);
    lines.into_iter().filter(result).collect()
}

/// Stands for the answer where a command decides.
const OPEN: &[u8] = b"access:   ?";

/// Deviation 18: where a command decides, ours says `delegated`. The reference says `granted` or `denied`, as
/// if the command had succeeded; that is tested with the deviations, and here either will do.
fn with_open_answers(ours: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut decides = false;
    let lines = ours.into_iter().map(|line| {
        decides =
            (decides && !line.is_empty()) || line.to_ascii_lowercase().starts_with(b"option:   aclexec ");
        if decides && line == b"access:   delegated" {
            OPEN.to_vec()
        } else {
            line
        }
    });
    lines.collect()
}

/// Deviation 1: the reference takes on the user or group of a rule even here, and fails at the next one.
fn changes_user(line: &[u8]) -> bool {
    starts(
        &line.to_ascii_lowercase(),
        &["option:   user ", "option:   group "],
    )
}

fn show(lines: &[Vec<u8>]) -> String {
    let text: Vec<_> = lines.iter().map(|l| String::from_utf8_lossy(l)).collect();
    text.join("\n")
}

/// Compares one program's answers in one directory, ours and the reference's.
fn compare(
    host: &Host<'_>,
    directory: &Path,
    whose: Whose,
    program: &str,
    questions: &[Vec<String>],
) -> Vec<String> {
    let mut problems = Vec::new();
    for arguments in questions {
        let ours = host.run(directory, Whose::Ours, program, arguments);
        let reference = host.run(directory, whose, program, arguments);
        problems.extend(status_problem(directory, program, arguments, &ours, &reference));
        let mut theirs = without_problems(lines(&reference.stdout));
        let mut said = with_open_answers(lines(&ours.stdout));
        let from = said.iter().position(|line| changes_user(line));
        said.truncate(from.unwrap_or(said.len()));
        if whose == Whose::Reference {
            said = muted(said);
        }
        if from.is_some() {
            // From there on the reference is somebody else, or has failed to become so.
            theirs.truncate(said.len());
        }
        for (said, theirs) in said.iter_mut().zip(&theirs) {
            if said == OPEN && theirs.starts_with(b"access:   ") {
                said.clone_from(theirs);
            }
        }
        if said != theirs {
            problems.push(difference(directory, program, arguments, &said, &theirs));
        }
    }
    problems
}

/// tcpdmatch exits as the reference does; tcpdchk with 1 exactly where it said something (deviation 20).
fn status_problem(
    directory: &Path,
    program: &str,
    arguments: &[String],
    ours: &Output,
    theirs: &Output,
) -> Option<String> {
    let expected = match program {
        "tcpdchk" => i32::from(!ours.stderr.is_empty()),
        _ => theirs.status.code()?,
    };
    (ours.status.code() != Some(expected)).then(|| {
        format!(
            "{}: {program} {arguments:?}: exits with {}",
            directory.display(),
            ours.status
        )
    })
}

fn difference(
    directory: &Path,
    program: &str,
    arguments: &[String],
    ours: &[Vec<u8>],
    theirs: &[Vec<u8>],
) -> String {
    format!(
        "{}: {program} {arguments:?}\n--- ours\n{}\n--- the reference\n{}\n",
        directory.display(),
        show(ours),
        show(theirs)
    )
}

fn tcpdmatch(host: &Host<'_>, directory: &Path, whose: Whose) -> Vec<String> {
    let with_flags = |question: Vec<String>| [vec!["-d".to_owned()], question].concat();
    let questions: Vec<_> = questions(directory).into_iter().map(with_flags).collect();
    compare(host, directory, whose, "tcpdmatch", &questions)
}

fn tcpdchk(host: &Host<'_>, directory: &Path, whose: Whose) -> Vec<String> {
    compare(host, directory, whose, "tcpdchk", &[vec!["-dv".to_owned()]])
}

fn assert_none(problems: &[String]) {
    assert!(
        problems.is_empty(),
        "{} differences\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn there_are_sixty_rule_directories() {
    assert!(own_rules().len() >= 60);
}

#[test]
fn tcpdmatch_answers_as_the_reference() {
    support::alone(|machine| {
        let host = Host::on(machine);
        for whose in [Whose::Reference, Whose::Unmuted] {
            assert_none(&each(&own_rules(), |directory| {
                tcpdmatch(&host, directory, whose)
            }));
        }
    });
}

#[test]
fn tcpdchk_lists_rules_as_the_reference() {
    support::alone(|machine| {
        let host = Host::on(machine);
        for whose in [Whose::Reference, Whose::Unmuted] {
            assert_none(&each(&own_rules(), |directory| tcpdchk(&host, directory, whose)));
        }
    });
}

#[test]
fn both_agree_with_the_reference_on_files_from_the_wild() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let both = |directory: &Path| {
            let [one, other] = [tcpdmatch, tcpdchk].map(|program| program(&host, directory, Whose::Unmuted));
            [one, other].concat()
        };
        assert_none(&each(&corpus(), both));
    });
}
