//! Our libwrap.so.0 in the place of Debian's, under the same C program: generated cases.
//!
//! Needs the library of `cargo xtask test`.

#![forbid(unsafe_code)]

use compat_tests::reference::{Driver, comparable, has_no_say};
use compat_tests::{Case, generate};

/// An answer without commands that decide or take over: here they are run, not seen. Their effect on the
/// rest of the answer is compared; how a command ends that took over is its own affair.
fn seen(answer: &[String]) -> Vec<String> {
    let decided = answer.iter().any(|line| line.starts_with("verdict "));
    let run = |line: &String| {
        let is_end = line.starts_with("end ") && !decided;
        is_end || line.starts_with("aclexec ") || line.starts_with("twist ")
    };
    comparable(answer).into_iter().filter(|line| !run(line)).collect()
}

/// The same with the log lines as ours writes them: control characters are escaped (deviation 11).
fn escaped(answer: &[String]) -> Vec<String> {
    let escape = |line: String| {
        let mut out = String::new();
        let mut rest = line.as_str();
        while let Some((before, after)) = rest.split_once("\\x") {
            out.push_str(before);
            match u8::from_str_radix(&after[..2], 16) {
                Ok(byte) if byte.is_ascii_control() => out.push_str(&format!("\\x5c{byte:03o}")),
                _ => out.push_str(&format!("\\x{}", &after[..2])),
            }
            rest = &after[2..];
        }
        out + rest
    };
    let lines = seen(answer).into_iter();
    lines
        .map(|line| {
            if line.starts_with("log ") {
                escape(line)
            } else {
                line
            }
        })
        .collect()
}

#[test]
fn the_library_answers_as_the_reference() {
    let library = support::library("usr/lib/libwrap.so.0");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let reference = Driver::new(directory.path());
    let ours = Driver::new(directory.path()).on(library.parent().expect("its directory"));
    let cases: Vec<Case> = (500_000..506_000).map(generate::case).collect();
    let expected = reference.ask(&cases);
    let found = ours.ask(&cases);
    let mut differences = 0;
    for ((case, expected), found) in cases.iter().zip(&expected).zip(&found) {
        if !has_no_say(expected) && escaped(expected) != seen(found) {
            differences += 1;
            if differences <= 10 {
                println!(
                    "{case:?}\nreference {:#?}\nours {:#?}",
                    seen(expected),
                    seen(found)
                );
            }
        }
    }
    assert_eq!(differences, 0, "cases that differ");
}
