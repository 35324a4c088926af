//! Lines (hosts_access(5), RULES).

use compat_tests::Case;
use compat_tests::alike::one;

use crate::{granted, refused};

#[test]
fn a_backslash_before_a_newline_joins_the_next_line() {
    assert!(granted("sshd: 192.0.\\\n2.1\n", "ALL: ALL\n"));
    assert!(granted("ss\\\n\\\nhd: ALL\n", "ALL: ALL\n"));
}

#[test]
fn a_backslash_before_cr_lf_does_not_join() {
    let answer = one(Case::new("sshd: \\\r\nALL\r\n", "ALL: ALL\n"));
    assert_eq!(answer.granted(), Some(false));
    assert_eq!(
        answer.problems(),
        ["warning: DIR/hosts.allow, line 2: missing \":\" separator"]
    );
}

#[test]
fn a_backslash_elsewhere_is_ordinary_text() {
    assert!(!granted("sshd: 192.0.\\2.1\n", "ALL: ALL\n"));
    assert!(!granted("sshd: 192.0.2.1\\ \n", "ALL: ALL\n"));
}

#[test]
fn two_backslashes_before_a_newline_leave_one() {
    let answer = one(Case::new("sshd: ALL: spawn a\\\\\nb\n", ""));
    assert_eq!(answer.all("spawn"), ["a\\x5cb"]);
}

#[test]
fn the_number_of_a_rule_is_that_of_its_last_line() {
    let answer = one(Case::new("# one\nsshd: \\\n ALL \\\n : nonsense\n", ""));
    assert_eq!(
        answer.problems(),
        ["error: DIR/hosts.allow, line 4: bad option name: \"nonsense\""]
    );
}

#[test]
fn a_line_whose_first_character_is_a_hash_is_a_comment() {
    assert!(granted("", "#ALL: ALL\n# no separator\n"));
}

#[test]
fn a_hash_further_in_is_ordinary_text() {
    let answer = one(Case::new("", " # no separator\n"));
    assert_eq!(
        answer.problems(),
        ["warning: DIR/hosts.deny, line 1: missing \":\" separator"]
    );
    // `# ALL` after the address is two more patterns.
    assert!(granted("sshd: 192.0.2.2 # ALL\n", "ALL: ALL\n"));
    assert!(granted(" #sshd sshd: ALL\n", "ALL: ALL\n"));
}

#[test]
fn a_comment_that_ends_in_a_backslash_swallows_the_next_line() {
    assert!(granted("", "# comment \\\nALL: ALL\n"));
}

#[test]
fn a_comment_continued_into_a_comment_stays_one() {
    assert!(granted("", "# comment \\\n# more \\\nALL: ALL\n"));
}

#[test]
fn a_line_of_blanks_is_skipped() {
    let answer = one(Case::new("", " \t\r\n\n\r\n\\\n\n"));
    assert_eq!(answer.granted(), Some(true));
    assert_eq!(answer.problems(), [""; 0]);
}

#[test]
fn form_feed_and_vertical_tab_are_no_blanks() {
    for table in ["\u{c}\n", "\u{b}\n"] {
        assert_eq!(one(Case::new("", table)).problems().len(), 1);
    }
    assert!(!granted("sshd: 192.0.2.2\u{b}192.0.2.1\n", "ALL: ALL\n"));
}

#[test]
fn a_line_without_a_colon_is_logged_and_skipped() {
    let answer = one(Case::new("sshd ALL\nsshd: ALL\n", "ALL: ALL\n"));
    assert_eq!(answer.granted(), Some(true));
    assert_eq!(
        answer.problems(),
        ["warning: DIR/hosts.allow, line 1: missing \":\" separator"]
    );
}

#[test]
fn fields_split_at_colons_outside_brackets() {
    let case = |allow: &str| Case::new(allow, "ALL: ALL\n").client("2001:db8::1", "unknown");
    assert_eq!(one(case("sshd: [2001:db8::1]\n")).granted(), Some(true));
    assert_eq!(one(case("sshd: [2001:db8::1]: deny\n")).granted(), Some(false));
    assert_eq!(one(case("sshd@[2001:db8::9] sshd: ALL\n")).granted(), Some(true));
}

#[test]
fn an_ipv6_address_without_brackets_splits_and_matches_nothing() {
    let answer = one(Case::new("sshd: 2001:db8::1\n", "").client("2001:db8::1", "unknown"));
    // The client list is the one token 2001.
    assert_eq!(answer.granted(), Some(true));
    assert_eq!(answer.problems(), [""; 0]);
}

#[test]
fn an_open_bracket_hides_every_later_colon() {
    assert!(!granted("[sshd: ALL\n", "ALL: ALL\n"));
    assert_eq!(one(Case::new("[sshd: ALL\n", "")).problems().len(), 1);
    // One is opened in the client list: what would be its options are tokens.
    assert!(granted("sshd: [ ALL : deny\n", "ALL: ALL\n"));
}

#[test]
fn a_closing_bracket_alone_hides_every_later_colon() {
    assert_eq!(one(Case::new("]sshd: ALL\n", "")).problems().len(), 1);
}

#[test]
fn brackets_nest() {
    assert_eq!(one(Case::new("[[a]:b]c: ALL\n", "")).problems(), [""; 0]);
    assert_eq!(one(Case::new("[[a]:b c: ALL\n", "")).problems().len(), 1);
}

#[test]
fn the_count_of_brackets_begins_anew_in_each_field() {
    // The bracket closed in the options cannot make up for one opened in the client list.
    assert!(granted("sshd: ALL: spawn ]: deny\n", "ALL: ALL\n") == granted("sshd: ALL: spawn x: deny\n", ""));
    assert!(!granted("sshd: [x : ALL] : deny\n", "ALL: ALL\n"));
}

#[test]
fn empty_lists_match_nothing() {
    for allow in [": ALL\n", "sshd:\n", ":\n", " , : ALL\n", "sshd: ,\t\r\n"] {
        assert!(!granted(allow, "ALL: ALL\n"), "{allow:?}");
    }
}

#[test]
fn a_blank_option_field_is_an_error_when_the_rule_matches() {
    assert_eq!(refused(""), "missing option name");
    assert_eq!(refused(" "), "missing option name");
    assert!(granted("vsftpd: ALL:\n", ""));
}

#[test]
fn cr_before_the_newline_is_blank() {
    assert!(granted("sshd: 192.0.2.1\r\n", "ALL: ALL\r\n"));
    assert!(!granted("sshd: 192.0.2.1: deny\r\n", "\r\n"));
    assert!(granted("sshd\r: 192.0.2.1\r: allow\r\n", "ALL: ALL\r\n"));
}

#[test]
fn a_byte_order_mark_is_part_of_the_first_token() {
    assert!(!granted("\u{feff}sshd: ALL\n", "ALL: ALL\n"));
}
