//! Generated cases: the reference, the scan and the compiled policy say the same.
//!
//! `COMPAT_CASES` sets how many, `COMPAT_FIRST` where to start.

use compat_tests::engine::{self, Way};
use compat_tests::reference::{Driver, comparable, has_no_say};
use compat_tests::{Case, generate};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn reference_and_engine_agree_on_every_generated_case() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let driver = Driver::new(directory.path());
    let first = number("COMPAT_FIRST", 0);
    let cases: Vec<Case> = (first..first + number("COMPAT_CASES", 24_000))
        .map(generate::case)
        .collect();
    let expected = driver.ask(&cases);
    let mut differences = 0;
    for (number, (case, expected)) in cases.iter().zip(&expected).enumerate() {
        if has_no_say(expected) {
            continue;
        }
        let expected = comparable(expected);
        for way in [Way::Scan, Way::Policy] {
            let found = comparable(&engine::ask(case, directory.path(), way));
            if found != expected {
                differences += 1;
                if differences <= 10 {
                    let number = number as u64 + first;
                    let text = |t: &Option<Vec<u8>>| t.as_ref().map(|t| t.escape_ascii().to_string());
                    println!(
                        "case {number} {way:?}\nallow {:?}\ndeny  {:?}\nlist {}",
                        text(&case.allow),
                        text(&case.deny),
                        case.list.escape_ascii()
                    );
                    println!(
                        "client {} {} {} lookup {}",
                        case.client_address, case.client_name, case.user, case.lookup
                    );
                    let same = expected.iter().zip(&found).take_while(|(e, f)| e == f).count();
                    let line =
                        |lines: &[String]| lines.get(same).cloned().unwrap_or_else(|| "(nothing)".into());
                    println!(
                        "  reference: {}\n  engine:    {}\n",
                        line(&expected),
                        line(&found)
                    );
                }
            }
        }
    }
    assert_eq!(differences, 0, "cases that differ");
}
