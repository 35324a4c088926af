//! Options: how they are written, and in which order they run (hosts_options(5)).

use compat_tests::Case;
use compat_tests::alike::one;

use crate::{option, refused};

#[test]
fn fields_are_separated_by_colons() {
    assert_eq!(option("spawn a:spawn b : spawn c").all("spawn"), ["a", "b", "c"]);
}

#[test]
fn brackets_do_not_protect_colons_in_options() {
    assert_eq!(refused("spawn [a:b]"), "bad option name: \"b]\"");
}

#[test]
fn an_escaped_colon_is_literal() {
    assert_eq!(option("spawn a\\:b \\: c").all("spawn"), ["a:b : c"]);
}

#[test]
fn other_backslashes_stay() {
    assert_eq!(
        option("spawn a\\b \\\\ c\\ ").all("spawn"),
        ["a\\x5cb \\x5c\\x5c c\\x5c"]
    );
    // The second of two still escapes the colon.
    assert_eq!(option("spawn a\\\\:b").all("spawn"), ["a\\x5c:b"]);
}

#[test]
fn a_value_stands_after_blanks_or_one_equals_sign() {
    for written in [
        "spawn x y",
        "spawn=x y",
        "spawn = x y",
        "spawn= x y",
        "spawn =x y",
        "spawn\tx y",
        "  spawn   x y  ",
    ] {
        assert_eq!(option(written).all("spawn"), ["x y"], "{written}");
    }
}

#[test]
fn a_second_equals_sign_belongs_to_the_value() {
    assert_eq!(option("spawn==x").all("spawn"), ["=x"]);
    assert_eq!(option("spawn = = x").all("spawn"), ["= x"]);
    assert_eq!(option("spawn x=y").all("spawn"), ["x=y"]);
}

#[test]
fn keywords_are_case_insensitive() {
    assert_eq!(option("SPAWN x: Deny").granted(), Some(false));
}

#[test]
fn blanks_around_values_are_trimmed() {
    assert_eq!(option(" spawn \t a  b \r").all("spawn"), ["a  b"]);
}

#[test]
fn form_feed_and_vertical_tab_are_trimmed_but_end_no_keyword() {
    for written in [
        "\u{b}spawn x\u{c}",
        "spawn \u{b}x",
        "spawn = \u{c}x",
        "spawn x\u{b} ",
    ] {
        assert_eq!(option(written).all("spawn"), ["x"], "{written:?}");
    }
    assert_eq!(refused("spawn\u{b}x"), "bad option name: \"spawn\\x0bx\"");
    assert_eq!(refused("\u{b}"), "missing option name");
    // In front of a number any white space may stand, in front of a word none.
    assert_eq!(option("umask \u{b}22").all("umask"), ["022"]);
    assert_eq!(
        refused("severity \u{b}info"),
        "bad syslog facility or severity: \"\\x0binfo\""
    );
}

#[test]
fn options_run_left_to_right() {
    let answer = option("setenv A 1: umask 022: spawn x: nice 1: keepalive: linger 3");
    let effects: Vec<_> = answer
        .lines()
        .iter()
        .filter(|line| {
            ["setenv", "umask", "spawn", "nice", "socket"]
                .iter()
                .any(|word| line.starts_with(word))
        })
        .collect();
    assert_eq!(
        effects,
        [
            "setenv A",
            "umask 022",
            "spawn x",
            "nice 1",
            "socket keepalive",
            "socket linger 3"
        ]
    );
}

#[test]
fn options_before_an_error_have_run() {
    let answer = option("spawn x: nonsense: spawn y");
    assert_eq!(answer.all("spawn"), ["x"]);
    assert_eq!(answer.granted(), Some(false));
}

#[test]
fn an_error_denies_in_the_deny_table_too() {
    let answer = one(Case::new("", "sshd: ALL: nonsense: allow\n"));
    assert_eq!(answer.granted(), Some(false));
    assert_eq!(
        answer.problems(),
        ["error: DIR/hosts.deny, line 1: bad option name: \"nonsense\""]
    );
}

#[test]
fn allow_deny_and_twist_must_be_last() {
    assert_eq!(refused("allow: spawn x"), "option \"allow\" must be at end");
    assert_eq!(refused("deny: deny"), "option \"deny\" must be at end");
    assert_eq!(refused("twist x: allow"), "option \"twist\" must be at end");
}

#[test]
fn the_keyword_is_quoted_as_it_was_written() {
    assert_eq!(refused("ALLow: deny"), "option \"ALLow\" must be at end");
    assert_eq!(refused("NONSENSE x"), "bad option name: \"NONSENSE\"");
}

#[test]
fn a_colon_at_the_very_end_leaves_a_blank_option() {
    let answer = option("spawn x:");
    assert_eq!(answer.all("spawn"), ["x"]);
    assert_eq!(refused("spawn x:"), "missing option name");
    assert_eq!(refused("spawn x::spawn y"), "missing option name");
}

#[test]
fn options_that_need_a_value() {
    for keyword in [
        "severity", "spawn", "twist", "aclexec", "banners", "linger", "umask", "setenv", "user", "group",
    ] {
        let text = format!("option \"{keyword}\" requires value");
        for written in [
            keyword.to_owned(),
            format!("{keyword}="),
            format!(" {keyword} = "),
        ] {
            assert_eq!(refused(&written), text, "{written}");
        }
    }
}

#[test]
fn options_that_take_no_value() {
    for keyword in ["allow", "deny", "keepalive"] {
        assert_eq!(
            refused(&format!("{keyword} x")),
            format!("option \"{keyword}\" requires no value")
        );
        assert_eq!(
            refused(&format!("{keyword}=x")),
            format!("option \"{keyword}\" requires no value")
        );
    }
}

#[test]
fn the_value_is_looked_at_before_the_place() {
    assert_eq!(refused("allow x: spawn y"), "option \"allow\" requires no value");
    assert_eq!(refused("twist: spawn y"), "option \"twist\" requires value");
}

#[test]
fn a_bare_option_that_takes_no_value_may_have_an_equals_sign() {
    assert_eq!(option("keepalive=").all("socket"), ["keepalive"]);
}

#[test]
fn spawn_runs_a_command_whatever_its_status() {
    let answer = option("spawn echo %c");
    assert_eq!(answer.all("spawn"), ["echo 192.0.2.1"]);
    assert_eq!(answer.granted(), Some(true));
}

#[test]
fn twist_replaces_the_process() {
    let answer = option("twist echo %d from %a");
    assert_eq!(answer.all("twist"), ["echo sshd from 192.0.2.1"]);
    assert_eq!(answer.granted(), None);
}

#[test]
fn twist_in_the_deny_table_does_too() {
    let answer = one(Case::new("", "sshd: ALL: twist echo no\n"));
    assert_eq!(answer.all("twist"), ["echo no"]);
}

#[test]
fn twist_is_an_error_in_a_resident_process() {
    let answer = one(Case {
        resident: true,
        ..Case::new("sshd: ALL: twist echo no\n", "")
    });
    assert_eq!(answer.granted(), Some(false));
    assert_eq!(
        answer.problems(),
        ["error: DIR/hosts.allow, line 1: twist option in resident process"]
    );
}

#[test]
fn aclexec_that_succeeds_lets_the_rule_match() {
    let answer = option("aclexec true %a: spawn x");
    assert_eq!(answer.all("aclexec"), ["true 192.0.2.1"]);
    assert_eq!(answer.all("spawn"), ["x"]);
    assert_eq!(answer.granted(), Some(true));
    assert_eq!(
        one(Case::new("", "ALL: ALL: aclexec true\n")).granted(),
        Some(false)
    );
}

#[test]
fn a_failed_aclexec_in_the_allow_table_lets_the_deny_table_deny() {
    let answer = one(Case::new("sshd: ALL: aclexec false\nsshd: ALL\n", "ALL: ALL\n"));
    assert_eq!(answer.granted(), Some(false));
    assert!(answer.lines().contains(&"log 6 aclexec returned 1".to_owned()));
}

#[test]
fn options_after_a_failed_aclexec_still_run() {
    let answer = one(Case::new(
        "sshd: ALL: aclexec false: spawn x: aclexec false: spawn y\n",
        "ALL: ALL\n",
    ));
    assert_eq!(answer.all("spawn"), ["x", "y"]);
    assert_eq!(answer.all("aclexec"), ["false", "false"]);
    assert_eq!(answer.granted(), Some(false));
}

#[test]
fn a_deny_after_a_failed_aclexec_denies() {
    assert_eq!(option("aclexec false: deny").granted(), Some(false));
}

#[test]
fn an_aclexec_command_ended_by_a_signal_has_failed() {
    let answer = one(Case::new("sshd: ALL: aclexec kill\n", "ALL: ALL\n"));
    assert_eq!(answer.granted(), Some(false));
}

#[test]
fn banners_are_sent_with_carriage_returns() {
    let case = |banner: &[u8]| Case {
        banner: Some(banner.to_vec()),
        ..Case::new("sshd: ALL: banners DIR/banners\n", "")
    };
    assert_eq!(
        one(case(b"hello %c\nsecond\n")).all("banner"),
        ["hello 192.0.2.1\\x0d\\x0asecond\\x0d\\x0a"]
    );
    assert_eq!(one(case(b"no newline")).all("banner"), ["no newline"]);
    assert_eq!(one(case(b"\r\n")).all("banner"), ["\\x0d\\x0d\\x0a"]);
    assert_eq!(
        one(case(b"\0\0hello\n")).all("banner"),
        ["\\x00\\x00hello\\x0d\\x0a"]
    );
    assert_eq!(one(case(b"")).all("banner"), [""; 0]);
}

#[test]
fn a_missing_banner_is_silent() {
    assert_eq!(option("banners DIR/banners").problems(), [""; 0]);
}

#[test]
fn a_missing_banner_directory_is_logged() {
    let answer = option("banners DIR/nowhere");
    assert_eq!(answer.granted(), Some(true));
    assert_eq!(
        answer.problems(),
        ["warning: DIR/hosts.allow, line 1: DIR/nowhere: No such file or directory"]
    );
}

#[test]
fn the_directory_of_banners_is_not_expanded() {
    let answer = option("banners DIR/%d");
    assert_eq!(
        answer.problems(),
        ["warning: DIR/hosts.allow, line 1: DIR/%d: No such file or directory"]
    );
}
