//! The two tables (hosts_access(5), FILES).

use compat_tests::Case;
use compat_tests::alike::one;

use crate::granted;

#[test]
fn the_allow_table_is_read_before_the_deny_table() {
    assert!(granted("sshd: 192.0.2.1\n", "sshd: 192.0.2.1\n"));
}

#[test]
fn the_first_rule_that_matches_decides() {
    assert!(!granted("sshd: 192.0.2.1: deny\nsshd: ALL\n", ""));
    assert!(granted("", "sshd: 192.0.2.1: allow\nsshd: ALL\n"));
}

#[test]
fn later_rules_are_not_read() {
    let answer = one(Case::new("sshd: ALL\nno separator\nsshd: ALL: nonsense\n", ""));
    assert_eq!(answer.problems(), [""; 0]);
}

#[test]
fn a_rule_matches_where_its_daemon_list_and_its_client_list_match() {
    assert!(!granted("vsftpd: ALL\nsshd: 192.0.2.2\n", "ALL: ALL\n"));
    assert!(granted("vsftpd: ALL\nsshd: 192.0.2.1\n", "ALL: ALL\n"));
}

#[test]
fn a_match_in_the_allow_table_grants_after_its_options_ran() {
    let answer = one(Case::new("sshd: ALL: spawn one: spawn two\n", "ALL: ALL\n"));
    assert_eq!(answer.all("spawn"), ["one", "two"]);
    assert_eq!(answer.granted(), Some(true));
}

#[test]
fn a_match_in_the_deny_table_denies_after_its_options_ran() {
    let answer = one(Case::new("", "ALL: ALL: spawn one: spawn two\n"));
    assert_eq!(answer.all("spawn"), ["one", "two"]);
    assert_eq!(answer.granted(), Some(false));
}

#[test]
fn no_match_in_either_table_grants() {
    assert!(granted("vsftpd: ALL\n", "vsftpd: ALL\n"));
    assert!(granted("", ""));
}

#[test]
fn a_missing_table_is_an_empty_one() {
    let answer = one(Case {
        allow: None,
        deny: None,
        ..Case::default()
    });
    assert_eq!(answer.granted(), Some(true));
    assert_eq!(answer.problems(), [""; 0]);
    let answer = one(Case {
        allow: None,
        ..Case::new("", "ALL: ALL\n")
    });
    assert_eq!(answer.granted(), Some(false));
}

#[test]
fn an_unterminated_last_line_of_the_allow_table_never_grants() {
    let answer = one(Case::new("sshd: ALL", "ALL: ALL\n"));
    assert_eq!(answer.granted(), Some(false));
    assert_eq!(answer.problems().len(), 2);
    assert!(!granted("# comment\nsshd: ALL", "ALL: ALL\n"));
}

#[test]
fn rules_before_an_unterminated_line_count() {
    let answer = one(Case::new("sshd: ALL\nsshd: ALL: deny", "ALL: ALL\n"));
    assert_eq!(answer.granted(), Some(true));
    assert_eq!(answer.problems(), [""; 0]);
}

#[test]
fn after_an_unterminated_line_in_the_allow_table_the_deny_table_is_consulted() {
    assert!(granted("sshd: ALL", "vsftpd: ALL\n"));
}

#[test]
fn what_reaches_an_unterminated_line_of_the_deny_table_is_denied() {
    let answer = one(Case::new("", "vsftpd: ALL"));
    assert_eq!(answer.granted(), Some(false));
    assert_eq!(answer.problems().len(), 2);
    assert!(!granted("", "vsftpd: ALL\n# comment"));
    assert!(!granted("", " "));
}

#[test]
fn a_file_that_ends_in_a_continuation_is_unterminated() {
    assert!(!granted("", "# comment\\\n"));
    // Nothing but continuations is nothing.
    assert!(granted("", "\\\n"));
    assert!(granted("", "\\\n\\\n"));
}

#[test]
fn allow_and_deny_end_the_decision_in_either_table() {
    assert!(granted("sshd: ALL: allow\n", "ALL: ALL\n"));
    assert!(!granted("sshd: ALL: deny\n", ""));
    assert!(granted("", "sshd: ALL: allow\nALL: ALL\n"));
    assert!(!granted("", "sshd: ALL: deny\n"));
}

#[test]
fn a_bad_option_denies_in_either_table() {
    assert!(!granted("sshd: ALL: nonsense\n", ""));
    assert!(!granted("", "sshd: ALL: nonsense\n"));
}

#[test]
fn a_bad_option_of_a_rule_that_does_not_match_does_not_matter() {
    assert!(granted("sshd: 192.0.2.2: nonsense\n", ""));
}
