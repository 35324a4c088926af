//! `net/mask` (hosts_access(5), CLIENT PATTERNS).

use crate::{matching, matching_lists};

#[track_caller]
fn by_address<'l>(lists: &[&'l str], address: &str) -> Vec<&'l str> {
    matching_lists(lists, address, "unknown")
}

#[test]
fn an_address_and_mask_that_equal_the_net_match() {
    let lists = [
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/24",
        "192.0.2.1/32",
        "192.0.0.0/16",
        "128.0.0.0/1",
        "192.0.2.0/31",
        "192.0.2.1/255.255.255.254",
    ];
    assert_eq!(by_address(&lists, "192.0.2.1"), &lists[..6]);
}

#[test]
fn a_net_with_host_bits_never_matches() {
    assert_eq!(
        by_address(
            &["192.0.2.1/24", "192.0.2.1/255.255.255.0", "192.0.2.1/31"],
            "192.0.2.1"
        ),
        [""; 0]
    );
}

#[test]
fn prefix_length_zero_never_matches() {
    assert_eq!(
        by_address(&["0.0.0.0/0", "192.0.2.1/0", "0.0.0.0/00"], "192.0.2.1"),
        [""; 0]
    );
}

#[test]
fn a_mask_of_zeros_matches_every_address() {
    assert_eq!(by_address(&["0.0.0.0/0.0.0.0"], "192.0.2.1"), ["0.0.0.0/0.0.0.0"]);
}

#[test]
fn masks_may_have_holes() {
    assert_eq!(
        by_address(&["192.0.0.1/255.0.0.255", "0.0.2.0/0.0.255.0"], "192.0.2.1"),
        ["192.0.0.1/255.0.0.255", "0.0.2.0/0.0.255.0"]
    );
}

#[test]
fn the_mask_of_ones_is_no_mask() {
    assert_eq!(by_address(&["192.0.2.1/255.255.255.255"], "192.0.2.1"), [""; 0]);
}

#[test]
fn a_prefix_length_is_read_up_to_what_is_no_digit() {
    let lists = [
        "192.0.2.0/24x",
        "192.0.2.0/024",
        "192.0.2.0/+24",
        "192.0.2.0/24/8",
        "192.0.2.0/24.5",
    ];
    assert_eq!(by_address(&lists, "192.0.2.1"), lists);
    let lists = [
        "192.0.2.0/x",
        "192.0.2.0/",
        "192.0.2.0/-8",
        "192.0.2.0/33",
        "192.0.2.0/0x18",
        "192.0.2.0/x24",
    ];
    assert_eq!(by_address(&lists, "192.0.2.1"), [""; 0]);
}

#[test]
fn a_prefix_length_overflows_as_in_c() {
    let lists = ["192.0.2.0/4294967320", "192.0.2.0/18446744073709551640"];
    assert_eq!(by_address(&lists, "192.0.2.1"), ["192.0.2.0/4294967320"]);
}

#[test]
fn quads_may_be_octal_or_hexadecimal() {
    let lists = [
        "0300.0.2.0/24",
        "0xc0.0.02.0x0/24",
        "0XC0.0.2.0/0xff.0xff.0xff.0",
        "192.0.2.00/24",
    ];
    assert_eq!(by_address(&lists, "192.0.2.1"), lists);
    assert_eq!(
        by_address(
            &[
                "192.0.2.08/29",
                "0x.0.0.0/1",
                "300.0.2.0/24",
                "192.0.2.0x100/24",
                "192.0.2.0x/24",
                "192.0x.2.0/24",
                "192.0.2.0/255.255.255.0x",
                "192.0.2.0/0xff.0xff.0xff.0X",
            ],
            "192.0.2.1"
        ),
        [""; 0]
    );
}

#[test]
fn what_follows_white_space_in_the_last_part_of_a_quad_is_not_looked_at() {
    let lists = [
        "192.0.2.0\u{b}x/24",
        "192.0.2.0/255.255.255.0\u{c}",
        "192.0.2.0/\u{b}24",
    ];
    assert_eq!(by_address(&lists, "192.0.2.1"), lists);
    assert_eq!(
        by_address(&["192.0.2\u{b}.0/24", "\u{b}192.0.2.0/24"], "192.0.2.1"),
        [""; 0]
    );
}

#[test]
fn quads_have_exactly_four_parts() {
    let lists = [
        "192.0.2/24",
        "192.0.2.0.0/24",
        "192/8",
        "192..2.0/24",
        ".192.0.2.0/24",
        "192.0.2.0./24",
    ];
    assert_eq!(
        by_address(&lists, "192.0.2.1"),
        matching_lists(&lists, "192.0.2.1", "unknown")
    );
    assert_eq!(
        by_address(&["192.0.2/24", "192.0.2.0.0/24", "192/8"], "192.0.2.1"),
        [""; 0]
    );
}

#[test]
fn a_client_address_that_is_no_quad_is_in_no_ipv4_network() {
    let clients = [
        ("unknown", "192.0.2.1"),
        ("2001:db8::1", "x"),
        ("192.0.2", "x"),
        ("255.255.255.255", "x"),
    ];
    assert_eq!(matching("128.0.0.0/1", &clients), [""; 0]);
}

#[test]
fn ipv6_networks_stand_in_brackets() {
    let lists = [
        "[2001:db8::]/32",
        "[2001:db8::1]/128",
        "[2001:db8::]/127",
        "[2000::]/3",
        "[2001:DB8::]/33",
    ];
    assert_eq!(by_address(&lists, "2001:db8::1"), lists);
    let lists = [
        "2001:db8::/32",
        "[2001:db9::]/32",
        "[2001:db8::/32]",
        "[2001:db8::2]/127",
    ];
    assert_eq!(by_address(&lists, "2001:db8::1"), [""; 0]);
}

#[test]
fn bits_beyond_the_length_do_not_matter_in_ipv6() {
    assert_eq!(
        by_address(&["[2001:db8::ffff]/32"], "2001:db8::1"),
        ["[2001:db8::ffff]/32"]
    );
}

#[test]
fn an_ipv6_length_without_digits_is_zero_and_matches_every_ipv6_address() {
    let lists = ["[::]/0", "[2001:db8::]/", "[2001:db9::]/x", "[::1]/00"];
    assert_eq!(by_address(&lists, "2001:db8::1"), lists);
    assert_eq!(by_address(&lists, "192.0.2.1"), [""; 0]);
    assert_eq!(by_address(&lists, "unknown"), [""; 0]);
}

#[test]
fn an_ipv6_length_is_from_0_to_128() {
    let lists = ["[2001:db8::]/129", "[2001:db8::]/-1", "[2001:db8::]/4294967295"];
    assert_eq!(by_address(&lists, "2001:db8::1"), [""; 0]);
}

#[test]
fn mapped_addresses_are_in_ipv4_networks() {
    assert_eq!(
        by_address(
            &["192.0.2.0/24", "[::ffff:192.0.2.0]/120", "[::]/0"],
            "::ffff:192.0.2.1"
        ),
        ["192.0.2.0/24"]
    );
}

#[test]
fn anything_else_matches_nothing() {
    let lists = ["host/24", "ALL/24", "*/24", "[x]/24", "192.0.2.0/host", "u1@*/24"];
    assert_eq!(matching_lists(&lists, "192.0.2.1", "host"), [""; 0]);
}
