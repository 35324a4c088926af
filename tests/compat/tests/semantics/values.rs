//! Option values: which are good, and what bad ones say (hosts_options(5)).

use compat_tests::Case;
use compat_tests::alike::one;

use crate::{option, refused};

/// The severities after a decision, for granted and for denied connections.
#[track_caller]
fn severity(value: &str) -> String {
    option(&format!("severity {value}"))
        .all("severity")
        .first()
        .map(|s| (*s).to_owned())
        .unwrap_or_default()
}

#[test]
fn a_severity_is_a_level_with_or_without_a_facility() {
    assert_eq!(severity("info"), "6 6");
    assert_eq!(severity("auth.info"), "38 38");
    assert_eq!(severity("AUTH.Debug"), "39 39");
    assert_eq!(severity("local0.emerg"), "128 128");
    assert_eq!(severity("local7.warning"), "188 188");
}

#[test]
fn every_facility_is_known() {
    let facilities = [
        "kern", "user", "mail", "daemon", "auth", "lpr", "news", "uucp", "cron",
    ];
    for name in facilities {
        assert!(
            option(&format!("severity {name}.info")).problems().is_empty(),
            "{name}"
        );
    }
    for number in 0..8 {
        assert_eq!(
            severity(&format!("local{number}.info")),
            format!("{0} {0}", (16 + number) * 8 + 6)
        );
    }
}

#[test]
fn every_level_is_known() {
    for (number, name) in [
        "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(severity(name), format!("{number} {number}"));
    }
}

#[test]
fn other_severities_are_refused() {
    for value in [
        "nope",
        "auth",
        "auth.",
        ".info",
        "auth.nope",
        "nope.info",
        "auth.info.x",
        "info.auth",
        "6",
        "auth info",
        "au[th.info",
        "[x.y].info",
        "x].info",
    ] {
        let answer = option(&format!("severity {value}"));
        assert_eq!(answer.granted(), Some(false), "{value}");
        assert_eq!(answer.problems().len(), 1, "{value}");
    }
    assert_eq!(
        refused("severity nope"),
        "bad syslog facility or severity: \"nope\""
    );
}

#[test]
fn the_severity_is_remembered_for_both_verdicts() {
    let answer = one(Case::new("", "ALL: ALL: severity notice\n"));
    assert_eq!(answer.granted(), Some(false));
    assert_eq!(answer.all("severity"), ["5 5"]);
}

#[test]
fn the_last_severity_counts() {
    assert_eq!(option("severity info: severity crit").all("severity"), ["2 2"]);
}

#[test]
fn a_umask_is_octal_up_to_0777() {
    for (value, mask) in [
        ("022", "022"),
        ("22", "022"),
        ("0", "000"),
        ("0777", "777"),
        ("+7", "007"),
        ("0000022", "022"),
    ] {
        assert_eq!(option(&format!("umask {value}")).all("umask"), [mask], "{value}");
    }
    for value in ["8", "1000", "-1", "x", "22x", "0x12", "22 22"] {
        assert_eq!(
            refused(&format!("umask {value}")),
            format!("bad umask value: \"{value}\"")
        );
    }
}

#[test]
fn a_linger_time_is_zero_or_more() {
    for (value, seconds) in [("5", 5), ("0", 0), ("+3", 3), ("05", 5)] {
        assert_eq!(
            option(&format!("linger {value}")).all("socket"),
            [format!("linger {seconds}")],
            "{value}"
        );
    }
    for value in ["-1", "x", "5x", "5 5", "1.5", "0x5"] {
        assert_eq!(
            refused(&format!("linger {value}")),
            format!("bad linger value: \"{value}\"")
        );
    }
}

#[test]
fn an_ident_timeout_is_more_than_zero() {
    for value in ["0", "-1", "x", "5x", "5 5"] {
        assert_eq!(
            refused(&format!("rfc931 {value}")),
            format!("bad rfc931 timeout: \"{value}\"")
        );
    }
}

#[test]
fn rfc931_looks_the_user_up_now() {
    let answer = option("rfc931: spawn %c");
    assert_eq!(answer.lookups().first(), Some(&"user"));
    assert_eq!(answer.all("timeout"), ["10"]);
    assert_eq!(answer.all("spawn"), ["u1@192.0.2.1"]);
}

#[test]
fn rfc931_sets_the_timeout() {
    assert_eq!(option("rfc931 3").all("timeout"), ["3"]);
    assert_eq!(option("rfc931=+3").all("timeout"), ["3"]);
}

#[test]
fn a_nice_value_is_any_number_and_10_by_default() {
    for (written, number) in [
        ("nice", "10"),
        ("nice 5", "5"),
        ("nice -5", "-5"),
        ("nice +5", "5"),
        ("nice 0", "0"),
        ("nice =", "10"),
    ] {
        assert_eq!(option(written).all("nice"), [number], "{written}");
    }
    for value in ["x", "5x", "5 6", "0x5"] {
        assert_eq!(
            refused(&format!("nice {value}")),
            format!("bad nice value: \"{value}\"")
        );
    }
}

#[test]
fn numbers_overflow_as_in_c() {
    assert_eq!(option("nice 4294967301").all("nice"), ["5"]);
    assert_eq!(option("linger 4294967301").all("socket"), ["linger 5"]);
    assert_eq!(option("umask 40000000022").all("umask"), ["022"]);
}

#[test]
fn setenv_takes_a_name_and_a_value() {
    let variable = |written: &str| {
        let answer = option(written);
        [answer.all("setenv").concat(), answer.all("value").concat()]
    };
    assert_eq!(variable("setenv A b"), ["A", "b"]);
    assert_eq!(variable("setenv A  b c "), ["A", "b c"]);
    assert_eq!(variable("setenv A\tb"), ["A", "b"]);
    assert_eq!(variable("setenv A"), ["A", ""]);
    assert_eq!(variable("setenv = A b"), ["A", "b"]);
    assert_eq!(refused("setenv A=b c"), "memory allocation failure");
    assert_eq!(variable("setenv A = b"), ["A", "= b"]);
    assert_eq!(variable("setenv CLIENT %c"), ["CLIENT", "192.0.2.1"]);
    assert_eq!(variable("setenv %d x"), ["sshd", "x"]);
}

#[test]
fn values_are_trimmed_after_expansion() {
    let case = Case {
        user: " u ".into(),
        ..Case::new("sshd: ALL: setenv A %u\n", "")
    };
    assert_eq!(one(case).all("value"), ["_u_"]);
}

#[test]
fn only_commands_and_variables_are_expanded() {
    assert_eq!(refused("umask %p"), "bad umask value: \"%p\"");
    assert_eq!(refused("linger %r"), "bad linger value: \"%r\"");
    assert_eq!(refused("severity %d"), "bad syslog facility or severity: \"%d\"");
}
