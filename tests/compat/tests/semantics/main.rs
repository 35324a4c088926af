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

/// Those of these whose case is granted.
#[track_caller]
fn served<T: Copy>(of: &[T], case: impl Fn(T) -> Case) -> Vec<T> {
    let cases: Vec<_> = of.iter().map(|one| case(*one)).collect();
    let answers = alike(&cases);
    let served = of
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.granted() == Some(true));
    served.map(|(one, _)| *one).collect()
}

/// The clients of a list: who of these, given as address and name, matches it?
#[track_caller]
fn matching<'c>(list: &str, clients: &[(&'c str, &'c str)]) -> Vec<&'c str> {
    let served = served(clients, |(address, name)| {
        Case::new(format!("sshd: {list}\n"), "ALL: ALL\n").client(address, name)
    });
    served.into_iter().map(|(address, _)| address).collect()
}

/// Which of these client lists match the usual client?
#[track_caller]
fn matching_lists<'l>(lists: &[&'l str], address: &str, name: &str) -> Vec<&'l str> {
    served(lists, |list| {
        Case::new(format!("sshd: {list}\n"), "ALL: ALL\n").client(address, name)
    })
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
