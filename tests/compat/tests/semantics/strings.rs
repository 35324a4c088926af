//! String matches (hosts_access(5), CLIENT PATTERNS).

use crate::{matching, matching_lists};

#[track_caller]
fn by_name<'l>(lists: &[&'l str], name: &str) -> Vec<&'l str> {
    matching_lists(lists, "192.0.2.1", name)
}

#[test]
fn wildcards_match_the_whole_string() {
    let lists = [
        "*",
        "host*",
        "*.org",
        "h?st.*",
        "*example*",
        "host.example.or?",
        "*.*.*",
        "**",
        "?*",
    ];
    assert_eq!(by_name(&lists, "host.example.org"), lists);
    let lists = [
        "host?",
        "?",
        "*.com",
        "host.exampl?",
        "example*",
        "*example",
        "h[o]st*",
        "host.*.org.*",
    ];
    assert_eq!(by_name(&lists, "host.example.org"), ["?"; 0]);
}

#[test]
fn nothing_but_star_and_question_mark_is_special() {
    assert_eq!(
        by_name(&["[h]ost*", "h\\ost*", "h{o,x}st*"], "host.example.org"),
        [""; 0]
    );
    assert_eq!(by_name(&["[x]y*"], "[x]yz"), ["[x]y*"]);
}

#[test]
fn a_wildcard_wins_over_a_leading_or_trailing_dot() {
    assert_eq!(by_name(&[".*", "*.", ".example.*"], "host.example.org"), [""; 0]);
    assert_eq!(
        by_name(&[".*", ".example.*"], ".example.org"),
        [".*", ".example.*"]
    );
}

#[test]
fn wildcards_match_addresses_too() {
    let clients = [
        ("192.0.2.1", "unknown"),
        ("192.0.20.1", "unknown"),
        ("2001:db8::1", "unknown"),
    ];
    assert_eq!(matching("192.0.2.*", &clients), ["192.0.2.1"]);
    assert_eq!(matching("192.0.?.1", &clients), ["192.0.2.1"]);
    assert_eq!(
        matching("*", &clients),
        ["192.0.2.1", "192.0.20.1", "2001:db8::1"]
    );
}

#[test]
fn a_leading_dot_is_a_suffix_of_a_longer_string() {
    assert_eq!(
        by_name(&[".example.org", ".ORG", "."], "host.example.org"),
        [".example.org", ".ORG"]
    );
    assert_eq!(by_name(&[".example.org"], "example.org"), [""; 0]);
    assert_eq!(by_name(&[".example.org"], ".example.org"), [""; 0]);
    assert_eq!(by_name(&[".example.org"], "badexample.org"), [""; 0]);
}

#[test]
fn a_suffix_is_tried_on_the_address_too() {
    assert_eq!(
        matching(".1", &[("192.0.2.1", "unknown"), ("192.0.2.11", "unknown")]),
        ["192.0.2.1"]
    );
    assert_eq!(matching(".2.1", &[("192.0.2.1", "unknown")]), ["192.0.2.1"]);
}

#[test]
fn a_trailing_dot_is_a_prefix() {
    let clients = [
        ("192.0.2.1", "unknown"),
        ("192.0.20.1", "unknown"),
        ("1.192.0.2", "unknown"),
    ];
    assert_eq!(matching("192.0.2.", &clients), ["192.0.2.1"]);
    assert_eq!(matching("192.0.", &clients), ["192.0.2.1", "192.0.20.1"]);
    assert_eq!(
        by_name(&["host.", "HOST.example.", "hos.", "ost."], "host.example.org"),
        ["host.", "HOST.example."]
    );
}

#[test]
fn an_address_without_its_last_part_needs_the_dot() {
    assert_eq!(matching("192.0.2", &[("192.0.2.1", "unknown")]), [""; 0]);
}

#[test]
fn a_dot_at_both_ends_is_a_suffix() {
    assert_eq!(by_name(&[".example."], "host.example.org"), [""; 0]);
    assert_eq!(by_name(&[".example."], "host.example."), [".example."]);
}

#[test]
fn all_always_matches() {
    let clients = [
        ("192.0.2.1", "host.example.org"),
        ("unknown", "unknown"),
        ("2001:db8::1", "paranoid"),
    ];
    assert_eq!(matching("ALL", &clients), ["192.0.2.1", "unknown", "2001:db8::1"]);
}

#[test]
fn a_mapped_address_is_reduced() {
    let clients = [
        ("::ffff:192.0.2.1", "unknown"),
        ("::FFFF:192.0.2.1", "unknown"),
        ("::192.0.2.1", "unknown"),
    ];
    let reduced = ["::ffff:192.0.2.1", "::FFFF:192.0.2.1"];
    assert_eq!(matching("192.0.2.1", &clients), reduced);
    assert_eq!(matching("192.0.2.", &clients), reduced);
    assert_eq!(matching("192.0.2.0/24", &clients), reduced);
    assert_eq!(matching("[::ffff:192.0.2.1]", &clients), [""; 0]);
    assert_eq!(matching("[::]/0", &clients), ["::192.0.2.1"]);
}

#[test]
fn a_bracketed_address_is_compared_by_value() {
    let clients = [
        ("2001:db8::1", "unknown"),
        ("2001:db8:0::1", "unknown"),
        ("2001:DB8::2", "unknown"),
    ];
    for list in [
        "[2001:db8::1]",
        "[2001:DB8:0:0:0:0:0:1]",
        "[2001:0db8::0001]",
        "[2001:db8::0.0.0.1]",
    ] {
        assert_eq!(
            matching(list, &clients),
            ["2001:db8::1", "2001:db8:0::1"],
            "{list}"
        );
    }
}

#[test]
fn scope_ids_are_not_compared() {
    let clients = [
        ("fe80::1%lo", "unknown"),
        ("fe80::1%2", "unknown"),
        ("fe80::1", "unknown"),
    ];
    for list in [
        "[fe80::1]",
        "[fe80::1%lo]",
        "[fe80::1%1]",
        "[fe80::1%7]",
        "[fe80::]/10",
        "[fe80::%7]/10",
    ] {
        assert_eq!(
            matching(list, &clients),
            ["fe80::1%lo", "fe80::1%2", "fe80::1"],
            "{list}"
        );
    }
}

#[test]
fn an_address_with_a_scope_that_does_not_exist_is_none() {
    assert_eq!(
        matching(
            "[fe80::1%nosuch]",
            &[("fe80::1%lo", "unknown"), ("fe80::1", "unknown")]
        ),
        [""; 0]
    );
    assert_eq!(matching("[fe80::1]", &[("fe80::1%nosuch", "unknown")]), [""; 0]);
    // Names of interfaces go with link-local addresses alone.
    assert_eq!(
        matching_lists(&["[2001:db8::1%lo]", "[2001:db8::1%1]"], "2001:db8::1", "unknown"),
        ["[2001:db8::1%1]"]
    );
}

#[test]
fn what_is_no_ipv6_address_in_brackets_matches_nothing() {
    let lists = [
        "[192.0.2.1]",
        "[]",
        "[x]",
        "[host.example.org]",
        "[2001:db8::1",
        "2001:db8::1]",
        "[ALL]",
    ];
    assert_eq!(matching_lists(&lists, "192.0.2.1", "host.example.org"), [""; 0]);
    assert_eq!(
        matching_lists(&["[2001:db8::g]", "[2001:db8::1]x"], "2001:db8::1", "unknown"),
        [""; 0]
    );
}

#[test]
fn else_strings_must_be_equal() {
    assert_eq!(
        by_name(
            &["host.example.org", "host.example.or", "host", "ost.example.org"],
            "host.example.org"
        ),
        ["host.example.org"]
    );
    assert_eq!(
        matching(
            "192.0.2.1",
            &[("192.0.2.1", "x"), ("192.0.2.11", "x"), ("192.0.2.01", "x")]
        ),
        ["192.0.2.1"]
    );
}

#[test]
fn a_name_that_looks_like_an_address_does_not_match_as_one() {
    assert_eq!(matching("10.", &[("192.0.2.1", "10.example.org")]), [""; 0]);
    assert_eq!(matching("10.0.0.0/8", &[("192.0.2.1", "10.0.0.1")]), [""; 0]);
}

#[test]
fn only_ascii_letters_fold() {
    assert_eq!(
        by_name(&["stra\u{df}e", "STRA\u{df}E"], "stra\u{df}e"),
        ["stra\u{df}e", "STRA\u{df}E"]
    );
    assert_eq!(by_name(&["\u{e9}t\u{e9}"], "\u{c9}T\u{c9}"), [""; 0]);
}
