//! Where the engine differs from the reference on purpose: one test for each entry of the list of
//! deviations that shows in a decision, its number in the name. What the reference does is asserted too,
//! so that an entry that is no longer true is noticed.

#![forbid(unsafe_code)]

use std::fs;
use std::time::{Duration, Instant};

use compat_tests::Case;
use compat_tests::alike::{Answer, Apart, alike, apart};
use compat_tests::engine::{self, Way};
use compat_tests::reference::Driver;

fn one(case: Case) -> Apart {
    apart(&[case]).remove(0)
}

/// Is access granted, by the reference and by the engine?
fn granted(allow: &str, deny: &str) -> (Option<bool>, Option<bool>) {
    let both = one(Case::new(allow, deny));
    (both.reference.granted(), both.engine.granted())
}

fn count(answer: &Answer, words: &[&str]) -> usize {
    words.iter().map(|word| answer.all(word).len()).sum()
}

#[test]
fn deviation_1_user_and_group_take_effect() {
    let both = one(Case::new("sshd: ALL: user nobody.nogroup: group nogroup\n", ""));
    assert_eq!(
        count(&both.reference, &["setuid", "setgid", "initgroups", "setgroups"]),
        0
    );
    assert_eq!(both.engine.all("user"), ["nobody.nogroup"]);
    assert_eq!(both.engine.all("group"), ["nogroup"]);
}

#[test]
fn deviation_2_lines_have_any_length() {
    let rule = |length: usize| {
        let tail = ", sshd: ALL\n";
        format!("{}{tail}", "x".repeat(length - tail.len()))
    };
    let both = apart(&[2047, 2048, 100_000].map(|length| Case::new(rule(length), "ALL: ALL\n")));
    let all = |side: fn(&Apart) -> &Answer| -> Vec<_> { both.iter().map(|b| side(b).granted()).collect() };
    assert_eq!(
        all(|both| &both.reference),
        [Some(true), Some(false), Some(false)]
    );
    assert_eq!(all(|both| &both.engine), [Some(true); 3]);
    // What is too long in the deny table denies everybody there.
    assert_eq!(
        granted("", &format!("vsftpd: {}\n", "x ".repeat(2000))),
        (Some(false), Some(true))
    );
}

#[test]
fn deviation_2_holds_for_continued_lines_too() {
    let rule = format!("x {}sshd: ALL\n", "\\\nx ".repeat(1500));
    assert_eq!(granted(&rule, "ALL: ALL\n"), (Some(false), Some(true)));
}

#[test]
fn deviation_3_a_file_that_names_itself_matches_nothing() {
    let both = one(Case {
        list: b"DIR/list".to_vec(),
        ..Case::new("sshd: DIR/list\n", "ALL: ALL\n")
    });
    assert!(
        !both.reference.ended_well() || both.reference.problems().len() > 100,
        "{:?}",
        both.reference
    );
    assert_eq!(both.engine.granted(), Some(false));
    assert_eq!(
        both.engine.problems(),
        ["warning: DIR/hosts.allow, line 1: open DIR/list: names itself"]
    );
}

#[test]
fn deviation_3_files_nest_sixteen_deep() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |number: usize| directory.path().join(number.to_string()).display().to_string();
    for number in 1..20 {
        fs::write(file(number), file(number + 1)).expect("a file");
    }
    fs::write(file(20), "192.0.2.1").expect("a file");
    let both = apart(&[5, 4].map(|first| Case::new(format!("sshd: {}\n", file(first)), "ALL: ALL\n")));
    assert_eq!(both[0].reference.granted(), Some(true));
    assert_eq!(both[0].engine.granted(), Some(true));
    assert_eq!(both[1].reference.granted(), Some(true));
    assert_eq!(both[1].engine.granted(), Some(false));
    assert_eq!(both[1].engine.problems().len(), 1);
}

#[test]
fn deviation_4_a_failed_command_belongs_to_its_rule() {
    let allow = "sshd: ALL: aclexec false\n";
    assert_eq!(granted(allow, "ALL: ALL: spawn x\n"), (Some(true), Some(false)));
    assert_eq!(
        granted(allow, "ALL: ALL: severity info\n"),
        (Some(true), Some(false))
    );
    assert_eq!(granted(allow, "ALL: ALL\n"), (Some(false), Some(false)));
}

#[test]
fn deviation_5_a_failed_command_is_never_granted_by_default() {
    assert_eq!(
        granted("sshd: ALL: aclexec false\n", ""),
        (Some(true), Some(false))
    );
    assert_eq!(
        granted("sshd: ALL: aclexec false\n", "vsftpd: ALL\n"),
        (Some(true), Some(false))
    );
}

#[test]
fn deviation_5_the_rest_of_the_allow_table_is_skipped() {
    assert_eq!(
        granted("sshd: ALL: aclexec false\nsshd: ALL\n", "ALL: ALL\n"),
        (Some(false), Some(false))
    );
}

#[test]
fn deviation_5_allow_in_the_same_rule_does_not_grant() {
    assert_eq!(
        granted("sshd: ALL: aclexec false: allow\n", "ALL: ALL\n"),
        (Some(true), Some(false))
    );
}

#[test]
fn deviation_5_another_command_that_succeeds_does_not_grant() {
    assert_eq!(
        granted("sshd: ALL: aclexec false: aclexec true\n", "ALL: ALL\n"),
        (Some(true), Some(false))
    );
}

#[test]
fn deviation_5_an_allow_in_the_deny_table_still_grants() {
    let tables = ("sshd: ALL: aclexec false\n", "sshd: ALL: allow\n");
    assert_eq!(granted(tables.0, tables.1), (Some(true), Some(true)));
}

#[test]
fn deviation_7_names_are_matched_whole() {
    let name = format!("{}.example.org", "x".repeat(130));
    let both = one(Case::new("sshd: .example.org\n", "ALL: ALL\n").client("192.0.2.1", &name));
    assert_eq!(both.reference.granted(), Some(false));
    assert_eq!(both.engine.granted(), Some(true));
    let user = format!("{}x", "u".repeat(127));
    let list = format!("sshd: {}@ALL\n", &user[..127]);
    let both = one(Case {
        user,
        ..Case::new(list, "ALL: ALL\n")
    });
    assert_eq!(
        (both.reference.granted(), both.engine.granted()),
        (Some(true), Some(false))
    );
}

#[test]
fn deviation_8_expansion_has_no_limit() {
    let command = "%d".repeat(4000);
    let daemon = "x".repeat(100);
    let expanded = daemon.repeat(4000);
    let case = Case {
        daemon,
        expand: command.into_bytes(),
        ..Case::default()
    };
    let both = one(case);
    // It sleeps, and ends the process.
    assert_eq!(both.reference.all("sleep"), ["5"]);
    assert_eq!(both.reference.expanded(), "");
    assert_eq!(both.engine.expanded(), expanded);
}

#[test]
fn deviation_10_a_nul_byte_is_an_error_from_there_on() {
    let allow = b"vsftpd: ALL\0\nsshd: ALL\n";
    let both = one(Case {
        allow: Some(allow.to_vec()),
        ..Case::new("", "ALL: ALL\n")
    });
    assert_eq!(both.reference.granted(), Some(false));
    assert_eq!(both.reference.problems(), [""; 0]);
    assert_eq!(both.engine.granted(), Some(false));
    assert_eq!(
        both.engine.problems(),
        [
            "warning: DIR/hosts.allow, line 1: NUL byte in line",
            "warning: DIR/hosts.allow, line N: all the subsequent rules will be ignored",
        ]
    );
    // The reference glues the next line to it; what that grants is not granted here.
    let both = one(Case {
        allow: Some(b"sshd\0 junk\n: ALL\n".to_vec()),
        ..Case::new("", "ALL: ALL\n")
    });
    assert_eq!(
        (both.reference.granted(), both.engine.granted()),
        (Some(true), Some(false))
    );
    let both = one(Case {
        deny: Some(b"vsftpd: ALL\0\n".to_vec()),
        ..Case::new("", "")
    });
    assert_eq!(both.engine.granted(), Some(false));
}

#[test]
fn deviation_14_banners_expand_without_limit() {
    let banner = "%d".repeat(200);
    let both = one(Case {
        daemon: "x".repeat(100),
        banner: Some(banner.into_bytes()),
        ..Case::new("ALL: ALL: banners DIR/banners\n", "")
    });
    assert_eq!(both.reference.granted(), None);
    assert_eq!(both.engine.granted(), Some(true));
    assert_eq!(both.engine.all("banner"), ["x".repeat(20_000)]);
}

#[test]
fn deviation_15_a_failed_command_in_the_deny_table_is_no_match() {
    assert_eq!(
        granted("", "ALL: ALL: aclexec false\nALL: ALL\n"),
        (Some(true), Some(false))
    );
    assert_eq!(granted("", "ALL: ALL: aclexec false\n"), (Some(true), Some(true)));
    assert_eq!(
        granted("", "ALL: ALL: aclexec false: deny\n"),
        (Some(false), Some(false))
    );
}

#[test]
fn deviation_17_wildcards_take_time_in_proportion() {
    let pattern = |stars: usize| format!("{}b", "*a".repeat(stars));
    let name = "a".repeat(120);
    // Small enough for the reference, and it says the same.
    let small = Case::new(format!("sshd: {}\n", pattern(3)), "ALL: ALL\n").client("192.0.2.1", &name);
    assert_eq!(alike(&[small])[0].granted(), Some(false));
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(directory.path().join("banners")).expect("a directory");
    let large = Case::new(format!("sshd: {}\n", pattern(24)), "ALL: ALL\n").client("192.0.2.1", &name);
    let start = Instant::now();
    engine::ask(&large, directory.path(), Way::Scan);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "it would take the reference years"
    );
}

#[test]
fn deviation_19_the_unterminated_line_itself_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let case = Case::new("# one\n# two\nsshd: ALL", "ALL: ALL\n");
    let line = |answer: &[String]| {
        let problem = answer
            .iter()
            .find(|line| line.ends_with("missing newline or line too long"));
        let problem = problem.expect("a line in the log");
        problem
            .split_once(", line ")
            .map(|(_, rest)| rest[..1].to_owned())
            .expect("a line number")
    };
    let reference = Driver::new(directory.path()).ask(std::slice::from_ref(&case));
    assert_eq!(line(&reference[0]), "2");
    assert_eq!(line(&engine::ask(&case, directory.path(), Way::Scan)), "3");
}

#[test]
fn deviation_30_stars_at_the_end_stand_for_nothing_too() {
    for (pattern, alike) in [
        ("host.example.org**", false),
        ("host.example.org***", false),
        ("host.example.org*", true),
        ("host.**", true),
        ("**host.example.org", true),
        ("host.example.org*?", true),
        ("host.example.or?**", false),
        ("host.example.*g**", false),
        ("**", true),
        ("u1@host.example.org**", false),
        ("u1**@host.example.org", false),
        ("u**@host.example.org", true),
    ] {
        let both = one(Case::new(format!("sshd: {pattern}\n"), "ALL: ALL\n"));
        let is_match = pattern != "host.example.org*?";
        assert_eq!(both.engine.granted(), Some(is_match), "{pattern}");
        assert_eq!(both.reference.granted(), Some(is_match && alike), "{pattern}");
    }
}
