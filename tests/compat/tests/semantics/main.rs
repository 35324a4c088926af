//! One test for each sentence of the compatibility specification, its name the sentence. Each asks
//! Debian's libwrap and the engine, holds their answers equal, and then says what the answer is.

#![forbid(unsafe_code)]

mod diagnostics;
mod expansion;
mod hosts;
mod lines;
mod lists;
mod networks;
mod numbers;
mod options;
mod servers;
mod strings;
mod tables;
mod values;

use compat_tests::Case;
use compat_tests::alike::{Answer, alike, one};

/// Is access granted, with these tables and the usual request?
#[track_caller]
fn granted(allow: &str, deny: &str) -> bool {
    one(Case::new(allow, deny)).granted().expect("a verdict")
}

/// The clients of a list: who of these, given as address and name, matches it?
#[track_caller]
fn matching<'c>(list: &str, clients: &[(&'c str, &'c str)]) -> Vec<&'c str> {
    let cases: Vec<_> = clients
        .iter()
        .map(|(address, name)| Case::new(format!("sshd: {list}\n"), "ALL: ALL\n").client(address, name))
        .collect();
    let answers = alike(&cases);
    let matched = clients
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.granted() == Some(true));
    matched.map(|((address, _), _)| *address).collect()
}

/// Which of these client lists match the usual client?
#[track_caller]
fn matching_lists<'l>(lists: &[&'l str], address: &str, name: &str) -> Vec<&'l str> {
    let cases: Vec<_> = lists
        .iter()
        .map(|list| Case::new(format!("sshd: {list}\n"), "ALL: ALL\n").client(address, name))
        .collect();
    let answers = alike(&cases);
    let matched = lists
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.granted() == Some(true));
    matched.map(|(list, _)| *list).collect()
}

/// What is said where a rule with these options decides.
#[track_caller]
fn option(options: &str) -> Answer {
    one(Case::new(format!("sshd: ALL: {options}\n"), "ALL: ALL\n"))
}

/// The one problem that options have; they deny then.
#[track_caller]
fn refused(options: &str) -> String {
    let answer = option(options);
    assert_eq!(answer.granted(), Some(false), "{options}");
    let problem = answer
        .problems()
        .last()
        .map(|problem| (*problem).to_owned())
        .expect("a line in the log");
    let text = problem.strip_prefix("error: DIR/hosts.allow, line 1: ");
    text.unwrap_or_else(|| panic!("{problem}")).to_owned()
}
