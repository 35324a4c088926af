//! Lists (hosts_access(5), RULES).

use compat_tests::Case;
use compat_tests::alike::one;

use crate::{granted, matching_lists};

const CLIENT: (&str, &str) = ("192.0.2.1", "host.example.org");

#[track_caller]
fn matches(list: &str) -> bool {
    !matching_lists(&[list], CLIENT.0, CLIENT.1).is_empty()
}

#[test]
fn tokens_are_separated_by_commas_and_blanks() {
    for separator in [" ", ",", "\t", "\r", ", ", " ,, ", "\\\n", " \\\n\t"] {
        let both = format!("192.0.2.2{separator}192.0.2.1");
        // A continuation without a blank glues the tokens together.
        assert_eq!(matches(&both), separator != "\\\n", "{separator:?}");
    }
}

#[test]
fn nothing_else_separates_tokens() {
    for separator in [";", "|", "\u{b}", "\u{c}", "\u{a0}"] {
        assert!(
            !matches(&format!("192.0.2.2{separator}192.0.2.1")),
            "{separator:?}"
        );
    }
}

#[test]
fn leading_and_trailing_separators_do_not_matter() {
    assert!(matches(",192.0.2.1,"));
    assert!(granted(" ,sshd , : ,ALL, \n", "ALL: ALL\n"));
}

#[test]
fn comparison_is_case_insensitive() {
    for list in [
        "HOST.EXAMPLE.ORG",
        "all",
        "Known",
        ".EXAMPLE.org",
        "HOST.",
        "ALL except nobody",
        "H*.ORG",
    ] {
        assert!(matches(list), "{list}");
    }
}

#[test]
fn except_takes_away() {
    assert!(!matches("ALL EXCEPT 192.0.2.1"));
    assert!(matches("ALL EXCEPT 192.0.2.2"));
    assert!(granted("ALL EXCEPT vsftpd: ALL\n", "ALL: ALL\n"));
    assert!(!granted("ALL EXCEPT sshd: ALL\n", "ALL: ALL\n"));
}

#[test]
fn exceptions_have_exceptions() {
    assert!(matches("ALL EXCEPT 192.0.2. EXCEPT 192.0.2.1"));
    assert!(!matches("ALL EXCEPT 192.0.2. EXCEPT 192.0.2.2"));
    assert!(!matches("ALL EXCEPT 192.0.2. EXCEPT ALL EXCEPT host.example.org"));
}

#[test]
fn only_the_list_before_except_matches() {
    assert!(!matches("192.0.2.2 EXCEPT 192.0.2.3"));
}

#[test]
fn a_list_that_begins_with_except_matches_nothing() {
    assert!(!matches("EXCEPT 192.0.2.2"));
    assert!(!matches("EXCEPT"));
}

#[test]
fn except_at_the_end_excepts_nothing() {
    assert!(matches("ALL EXCEPT"));
}

#[test]
fn a_doubled_except_excepts_nothing() {
    assert!(matches("ALL EXCEPT EXCEPT 192.0.2.1"));
}

#[test]
fn scanning_stops_at_the_first_matching_token() {
    let case = Case {
        expand: Vec::new(),
        ..Case::new("sshd: 192.0.2.1 host.example.org\n", "")
    };
    assert_eq!(one(case).lookups(), [""; 0]);
}

#[test]
fn exceptions_are_tried_only_after_a_match() {
    let case = Case {
        expand: Vec::new(),
        ..Case::new("sshd: 192.0.2.2 EXCEPT other.example.org\n", "")
    };
    assert_eq!(one(case).lookups(), [""; 0]);
    let case = Case {
        expand: Vec::new(),
        ..Case::new("sshd: 192.0.2.1 EXCEPT other.example.org\n", "")
    };
    assert_eq!(one(case).lookups(), ["client name"]);
}

#[test]
fn clients_are_tried_only_where_the_daemons_match() {
    let case = Case {
        expand: Vec::new(),
        ..Case::new("vsftpd: host.example.org u1@ALL\n", "")
    };
    assert_eq!(one(case).lookups(), [""; 0]);
}

#[test]
fn the_host_is_tried_before_the_user() {
    let case = |list: &str| Case {
        expand: Vec::new(),
        ..Case::new(format!("sshd: {list}\n"), "")
    };
    assert_eq!(one(case("u1@192.0.2.2")).lookups(), [""; 0]);
    assert_eq!(one(case("u1@192.0.2.1")).lookups(), ["user"]);
    assert_eq!(
        one(case("u1@host.example.org")).lookups(),
        ["client name", "user"]
    );
}

#[test]
fn a_lookup_happens_at_most_once() {
    let table = "sshd: u2@.example.org u3@.example.org LOCAL\nsshd: u4@host.example.org\n";
    let case = Case {
        expand: b"%n%u".to_vec(),
        ..Case::new(table, table)
    };
    assert_eq!(one(case).lookups(), ["client name", "user"]);
}
