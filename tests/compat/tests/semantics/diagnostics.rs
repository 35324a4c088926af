//! Log lines (hosts_access(5), DIAGNOSTICS).

use compat_tests::Case;
use compat_tests::alike::one;

#[test]
fn errors_and_warnings_name_file_and_line() {
    let answer = one(Case::new("x\n", "y\nsshd: ALL: z\n"));
    assert_eq!(
        answer.problems(),
        [
            "warning: DIR/hosts.allow, line 1: missing \":\" separator",
            "warning: DIR/hosts.deny, line 1: missing \":\" separator",
            "error: DIR/hosts.deny, line 2: bad option name: \"z\"",
        ]
    );
}

#[test]
fn outside_tables_no_file_is_named() {
    let answer = one(Case {
        expand: b"%z".to_vec(),
        ..Case::default()
    });
    assert_eq!(answer.problems(), ["warning: unrecognized %z"]);
}

#[test]
fn an_unterminated_line_is_logged_in_two_lines() {
    let answer = one(Case::new("", "ALL: ALL"));
    let lines = answer.lines();
    assert!(lines.iter().all(|line| !line.starts_with("log 4")));
    assert_eq!(answer.problems().len(), 2);
}

#[test]
fn verbose_1_tells_each_option() {
    let answer = one(Case {
        verbose: 1,
        ..Case::new(
            "sshd: ALL: Spawn  a %a: umask=022: nice: rfc931: setenv A  b : allow\n",
            "",
        )
    });
    assert_eq!(
        answer.all("log 7"),
        [
            "option:   Spawn a 192.0.2.1",
            "option:   umask 022",
            "option:   nice ",
            "option:   rfc931 ",
            "option:   setenv A  b",
            "option:   allow ",
        ]
    );
}

#[test]
fn verbose_2_tells_the_rule_too() {
    let answer = one(Case {
        verbose: 2,
        ..Case::new("x: ALL\nsshd: \\\nALL: allow\n", "")
    });
    assert_eq!(
        answer.all("log 7"),
        ["matched:  DIR/hosts.allow line 3", "option:   allow "]
    );
}

#[test]
fn not_verbose_tells_nothing() {
    let answer = one(Case {
        verbose: 0,
        ..Case::new("sshd: ALL: spawn x: allow\n", "")
    });
    assert_eq!(answer.all("log 7"), [""; 0]);
}

#[test]
fn options_are_told_once_they_are_expanded_and_before_they_run() {
    let answer = one(Case {
        verbose: 1,
        ..Case::new("sshd: ALL: umask x\n", "")
    });
    assert_eq!(
        answer.all("log"),
        [
            "7 option:   umask x",
            "3 error: DIR/hosts.allow, line 1: bad umask value: \"x\""
        ]
    );
}

#[test]
fn options_that_are_wrong_in_form_are_not_told() {
    for options in ["nonsense", "umask", "allow x", "allow: deny"] {
        let answer = one(Case {
            verbose: 1,
            ..Case::new(format!("sshd: ALL: {options}\n"), "")
        });
        assert_eq!(answer.all("log 7"), [""; 0], "{options}");
    }
}

#[test]
fn a_command_that_failed_is_told_at_info() {
    let answer = one(Case {
        verbose: 0,
        ..Case::new("sshd: ALL: aclexec false\n", "ALL: ALL\n")
    });
    assert_eq!(answer.all("log"), ["6 aclexec returned 1"]);
}

#[test]
fn a_command_ended_by_a_signal_is_warned_of() {
    let answer = one(Case {
        verbose: 0,
        ..Case::new("sshd: ALL: aclexec kill\n", "ALL: ALL\n")
    });
    assert_eq!(
        answer.all("log"),
        [
            "3 warning: DIR/hosts.allow, line 1: process N exited with signal 9",
            "6 aclexec returned 1"
        ]
    );
}

#[test]
fn control_characters_in_options_are_quoted_as_they_are() {
    let answer = one(Case::new("sshd: ALL: \u{1b}[m\n", ""));
    assert_eq!(
        answer.problems(),
        ["error: DIR/hosts.allow, line 1: bad option name: \"\\x1b[m\""]
    );
}
