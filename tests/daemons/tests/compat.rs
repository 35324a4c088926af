//! The generated cases of the compatibility suite through the C interface: one program, on Debian's library
//! and on ours.
//!
//! `COMPAT_CASES` sets how many, `COMPAT_FIRST` where to start.

#![forbid(unsafe_code)]

use compat_tests::reference::{Driver, comparable, has_no_say};
use compat_tests::{Case, generate};
use daemons_tests::Whose;

fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Ours writes control characters to the log as the system's logger would, `\013`, where the reference hands
/// them on: the driver shows those as `\x0b`.
fn with_plain_controls(answer: &[String]) -> Vec<String> {
    let line = |line: &String| {
        if !line.starts_with("log ") {
            return line.clone();
        }
        let mut pieces = line.split("\\x5c");
        let mut plain = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            match piece.get(..3).map(|digits| u8::from_str_radix(digits, 8)) {
                Some(Ok(byte)) => plain += &format!("\\x{byte:02x}{}", &piece[3..]),
                _ => plain += &format!("\\x5c{piece}"),
            }
        }
        plain
    };
    answer.iter().map(line).collect()
}

#[test]
fn both_libraries_say_the_same_in_every_generated_case() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = number("COMPAT_FIRST", 100_000);
    let cases: Vec<Case> = (first..first + number("COMPAT_CASES", 6000))
        .map(generate::case)
        .collect();
    let expected = Driver::new(directory.path()).ask(&cases);
    let ours = Driver::new(directory.path())
        .on(&Whose::Ours.directory())
        .ask(&cases);
    let mut differences = 0;
    for (number, ((case, expected), found)) in (first..).zip(cases.iter().zip(expected).zip(ours)) {
        if has_no_say(&expected) {
            continue;
        }
        let [expected, found] = [&expected, &found].map(|answer| with_plain_controls(&comparable(answer)));
        if found != expected {
            differences += 1;
            if differences <= 10 {
                println!("case {number} {case:#?}\n reference {expected:#?}\n ours {found:#?}");
            }
        }
    }
    assert_eq!(differences, 0, "cases that differ");
}
