//! Host patterns (hosts_access(5), CLIENT PATTERNS).

use compat_tests::Case;
use compat_tests::alike::{alike, one};

use crate::{matching, matching_lists};

/// What is looked up to try one client pattern, which does not match.
#[track_caller]
fn lookups(list: &str) -> Vec<String> {
    let case = Case {
        expand: Vec::new(),
        ..Case::new(format!("sshd: {list}\n"), "")
    };
    one(case).lookups().into_iter().map(str::to_owned).collect()
}

#[test]
fn the_user_stands_before_the_at_sign() {
    let lists = [
        "u1@ALL",
        "U1@192.0.2.1",
        "u*@.example.org",
        "ALL@ALL",
        "KNOWN@ALL",
        "u2@ALL",
        "u1@192.0.2.2",
    ];
    assert_eq!(
        matching_lists(&lists, "192.0.2.1", "host.example.org"),
        &lists[..5]
    );
}

#[test]
fn an_unknown_user_is_the_string_unknown() {
    let case = |list: &str| Case {
        user: "unknown".into(),
        ..Case::new(format!("sshd: {list}\n"), "ALL: ALL\n")
    };
    assert_eq!(one(case("KNOWN@ALL")).granted(), Some(false));
    assert_eq!(one(case("UNKNOWN@ALL")).granted(), Some(true));
    assert_eq!(one(case("ALL@ALL")).granted(), Some(true));
}

#[test]
fn a_user_without_socket_addresses_is_unknown() {
    let table = "sshd: UNKNOWN@ALL\n";
    let answer = one(Case {
        server_port: None,
        ..Case::new(table, "ALL: ALL\n")
    });
    assert_eq!(answer.granted(), Some(true));
    assert_eq!(
        answer
            .all("lookup")
            .iter()
            .filter(|what| **what == "user")
            .count(),
        0
    );
}

#[test]
fn a_token_that_begins_with_an_at_sign_has_no_user() {
    assert_eq!(
        matching_lists(&["@group", "@nogroup", "@"], "192.0.2.1", "host.example.org"),
        ["@group"]
    );
    assert_eq!(
        matching_lists(&["u1@@group", "u2@@group"], "192.0.2.1", "host.example.org"),
        ["u1@@group"]
    );
}

#[test]
fn a_netgroup_is_matched_by_name() {
    assert_eq!(lookups("@nogroup"), ["client name"]);
    assert_eq!(matching_lists(&["@group"], "192.0.2.1", "unknown"), [""; 0]);
}

#[test]
fn only_host_patterns_know_netgroups() {
    assert_eq!(
        matching_lists(&["@group@ALL"], "192.0.2.1", "host.example.org"),
        [""; 0]
    );
}

#[test]
fn a_file_holds_host_patterns() {
    let case = |list: &str| Case {
        list: list.as_bytes().to_vec(),
        ..Case::new("sshd: DIR/list\n", "ALL: ALL\n")
    };
    for list in [
        "192.0.2.1",
        "x\ny 192.0.2.1\n",
        "192.0.2.0/24\n",
        ".example.org",
        "\t\r\n\u{b}\u{c}ALL",
        "KNOWN",
    ] {
        assert_eq!(one(case(list)).granted(), Some(true), "{list:?}");
    }
    // Commas are no separators here, EXCEPT and # have no meaning, and users and options have no place.
    for list in [
        "",
        "192.0.2.2",
        "192.0.2.1,x",
        "u1@ALL",
        "192.0.2.1:",
        "#192.0.2.1",
    ] {
        assert_eq!(one(case(list)).granted(), Some(false), "{list:?}");
    }
    assert_eq!(one(case("192.0.2.2 EXCEPT 192.0.2.1")).granted(), Some(true));
    assert_eq!(one(case("# 192.0.2.1")).granted(), Some(true));
}

#[test]
fn a_missing_file_matches_nothing() {
    let answer = one(Case::new("sshd: DIR/missing\n", "ALL: ALL\n"));
    assert_eq!(answer.granted(), Some(false));
    assert_eq!(answer.problems(), [""; 0]);
}

#[test]
fn a_file_that_cannot_be_opened_is_logged_and_matches_nothing() {
    let answer = one(Case::new("sshd: DIR/list/x\nsshd: ALL\n", "ALL: ALL\n"));
    assert_eq!(answer.granted(), Some(true));
    let problem = "warning: DIR/hosts.allow, line 1: open DIR/list/x: Not a directory";
    assert_eq!(answer.problems(), [problem]);
}

#[test]
fn a_directory_in_the_place_of_a_file_matches_nothing() {
    let answer = one(Case::new("sshd: DIR/banners ALL\n", "ALL: ALL\n"));
    assert_eq!(answer.granted(), Some(true));
}

#[test]
fn a_file_names_another() {
    let case = Case {
        list: b"DIR/banners/sshd".to_vec(),
        banner: Some(b"192.0.2.2 192.0.2.1".to_vec()),
        ..Case::new("sshd: DIR/list\n", "ALL: ALL\n")
    };
    assert_eq!(one(case).granted(), Some(true));
}

#[test]
fn a_file_serves_users_and_server_endpoints_too() {
    let case = |allow: &str| Case {
        list: b"192.0.2.1 198.51.100.1".to_vec(),
        ..Case::new(allow, "ALL: ALL\n")
    };
    assert_eq!(one(case("sshd: u1@DIR/list\n")).granted(), Some(true));
    assert_eq!(one(case("sshd: u2@DIR/list\n")).granted(), Some(false));
    assert_eq!(one(case("sshd@DIR/list: ALL\n")).granted(), Some(true));
}

#[test]
fn known_needs_name_and_address() {
    let clients = [
        ("192.0.2.1", "host.example.org"),
        ("192.0.2.2", "unknown"),
        ("192.0.2.3", "paranoid"),
        ("unknown", "host.example.org"),
    ];
    assert_eq!(matching("KNOWN", &clients), ["192.0.2.1"]);
}

#[test]
fn unknown_is_a_string_like_any_other() {
    let clients = [
        ("192.0.2.1", "host.example.org"),
        ("192.0.2.2", "unknown"),
        ("192.0.2.3", "paranoid"),
        ("unknown", "host.example.org"),
    ];
    assert_eq!(matching("UNKNOWN", &clients), ["192.0.2.2", "unknown"]);
    assert_eq!(matching("PARANOID", &clients), ["192.0.2.3"]);
    assert_eq!(matching("paranoid", &clients), ["192.0.2.3"]);
}

#[test]
fn local_is_a_known_name_without_a_dot() {
    let clients = [
        ("192.0.2.1", "host"),
        ("192.0.2.2", "host.example.org"),
        ("192.0.2.3", "unknown"),
        ("192.0.2.4", "paranoid"),
        ("unknown", "localhost"),
    ];
    assert_eq!(matching("LOCAL", &clients), ["192.0.2.1", "unknown"]);
}

#[test]
fn tokens_of_digits_dots_and_slashes_look_up_no_name() {
    for list in [
        "192.0.2.2",
        "10.",
        "10",
        ".2",
        "192.0.2.2/24",
        "/24",
        "1.2.3.4.5",
        "...",
    ] {
        assert_eq!(lookups(list), [""; 0], "{list}");
    }
}

#[test]
fn tokens_with_any_other_character_look_up_the_name() {
    for list in [
        "[::1]",
        "host",
        "10.*",
        "1.2.3.x",
        "-",
        "[192.0.2.2]",
        "2001",
        "0xa.1.2.3",
    ] {
        let expected: &[&str] = if list == "2001" { &[] } else { &["client name"] };
        assert_eq!(lookups(list), expected, "{list}");
    }
}

#[test]
fn a_network_looks_up_no_name() {
    for list in ["[2001:db8::]/32", "x/24", "192.0.2.0/x", "host/name"] {
        assert_eq!(lookups(list), [""; 0], "{list}");
    }
}

#[test]
fn the_address_is_tried_before_the_name() {
    let case = Case {
        expand: Vec::new(),
        ..Case::new("sshd: 192.0.*\n", "")
    };
    assert_eq!(one(case).lookups(), [""; 0]);
    assert_eq!(lookups("10.0.*"), ["client name"]);
}

#[test]
fn all_looks_up_nothing() {
    let case = Case {
        expand: Vec::new(),
        ..Case::new("ALL: ALL\n", "")
    };
    assert_eq!(one(case).lookups(), [""; 0]);
    let case = Case {
        expand: Vec::new(),
        ..Case::new("ALL@ALL: ALL@ALL\n", "")
    };
    assert_eq!(one(case).lookups(), ["user"]);
}

#[test]
fn known_and_local_look_up_the_name() {
    assert_eq!(lookups("LOCAL"), ["client name"]);
    let case = Case {
        expand: Vec::new(),
        ..Case::new("sshd: KNOWN\n", "")
    };
    assert_eq!(one(case).lookups(), ["client name"]);
}

/// A program may pass any text for an address, and each way in compares it alike.
#[test]
fn an_address_that_is_none_is_a_text_like_any_other() {
    let addresses = [
        "1.2.3",
        "1.2.3.",
        "1.",
        "1",
        ".1.2.3",
        "1.2.3.4.5",
        "1..2.3",
        "01.2.3.4",
        "1.2.3.4x",
        "1.2.3.4 ",
        "0x1.2.3.4",
        "x",
        "1.2.3/8",
        "[1.2.3]",
        "::1.2.3",
        "::ffff:1.2.3",
        "::FFFF:1.2.3.4",
        "2001:DB8::1",
        "2001:db8:0::1",
        "ALL",
        "1.2.3.4",
        "255.255.255.255",
    ];
    let lists = [
        "1.",
        "1.2.",
        "1.2.3.",
        "1.2.3",
        "1",
        ".3",
        ".2.3",
        "1.2.3.4",
        "01.2.3.4",
        "1.0.0.0/8",
        "1.2.3.0/24",
        "0.0.0.0/0.0.0.0",
        "1.2.3.4/32",
        "*",
        "1.*",
        "*.3",
        "1.2.?",
        "[1.2.3]",
        "[::1]",
        "[2001:db8::1]",
        "[2001:db8::]/32",
        "[::]/0",
        "KNOWN",
        "LOCAL",
        "ALL EXCEPT 1.",
        "ALL EXCEPT 1.2.3",
    ];
    let mut matched = Vec::new();
    for lookup in [false, true] {
        let cases: Vec<Case> = addresses
            .iter()
            .flat_map(|address| lists.iter().map(move |list| (address, list)))
            .map(|(address, list)| Case {
                lookup,
                ..Case::new(format!("sshd: {list}\n"), "ALL: ALL\n").client(address, "unknown")
            })
            .collect();
        let answers = alike(&cases);
        let of_one = answers[..lists.len()].iter().zip(lists);
        matched.push(
            of_one
                .filter(|(answer, _)| answer.granted() == Some(true))
                .map(|(_, list)| list)
                .collect::<Vec<_>>(),
        );
    }
    let wanted = ["1.", "1.2.", "1.2.3", ".3", ".2.3", "*", "1.*", "*.3", "1.2.?"];
    assert_eq!(matched, [wanted, wanted]);
}
