//! Every place that reads a number, with every odd way to write one, beside the reference (hosts_access(5),
//! hosts_options(5)).

use compat_tests::Case;
use compat_tests::alike::alike;

/// Around the ends of what each place takes, and of 8, 16, 32 and 64 bits.
const NUMBERS: &[&str] = &[
    "",
    "0",
    "1",
    "7",
    "8",
    "9",
    "21",
    "22",
    "023",
    "24",
    "26",
    "31",
    "32",
    "33",
    "64",
    "127",
    "128",
    "129",
    "255",
    "256",
    "511",
    "512",
    "777",
    "1000",
    "0777",
    "01000",
    "65535",
    "65536",
    "65558",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "4294967318",
    "4294967320",
    "040000000022",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551638",
    "99999999999999999999999999",
];
const BEFORE: &[&str] = &["", "0", "+", "-", "--", "0x", "0X", "x", "\u{b}"];
const AFTER: &[&str] = &["", "x", ".", "/", "0x", "\u{b}", "\u{b}x"];

/// A text with each spelling in the place of `N`.
fn spellings(text: &str) -> impl Iterator<Item = String> {
    let plain = AFTER.iter().map(|after| ("", *after));
    let signed = BEFORE[1..].iter().map(|before| (*before, ""));
    let both = [("0x", "x"), ("+", "x"), ("-", "x"), ("0", "\u{b}")];
    plain.chain(signed).chain(both).flat_map(move |(before, after)| {
        NUMBERS
            .iter()
            .map(move |number| text.replace('N', &format!("{before}{number}{after}")))
    })
}

/// All say the same of each case; some grant, and some do not.
#[track_caller]
fn some(cases: &[Case], what: &str) {
    let answers = alike(cases);
    let granted = answers.iter().filter(|answer| answer.granted() == Some(true));
    let granted = granted.count();
    assert!((1..cases.len()).contains(&granted), "{what}: {granted}");
}

/// The same for a rule with such numbers.
#[track_caller]
fn some_match(rule: &str, client: &str) {
    let case = |rule| Case::new(rule + "\n", "ALL: ALL\n").client(client, "host.example.org");
    some(&spellings(rule).map(case).collect::<Vec<_>>(), rule);
}

#[test]
fn ports() {
    some_match("N: ALL", "192.0.2.1");
    some_match("N@198.51.100.1: ALL", "192.0.2.1");
}

#[test]
fn prefix_lengths() {
    some_match("sshd: 192.0.2.0/N", "192.0.2.1");
    some_match("sshd: 192.0.2.1/N", "192.0.2.1");
    some_match("sshd: [2001:db8::]/N", "2001:db8::1");
    some_match("sshd: [2001:db8::1]/N", "2001:db8::1");
}

#[test]
fn parts_of_masks() {
    some_match("sshd: 192.0.2.0/255.255.255.N", "192.0.2.1");
    some_match("sshd: 128.0.0.0/N.0.0.0", "192.0.2.1");
    some_match("sshd: 0.0.0.1/0.0.N.255", "192.0.2.1");
    some_match("sshd: 0.0.0.1/N\u{b}.0.0.0", "192.0.2.1");
    some_match("sshd: 192.0.0.1/255.N\u{b}.0.0", "192.0.2.1");
}

#[test]
fn parts_of_networks() {
    some_match("sshd: 192.0.2.N/32", "192.0.2.22");
    some_match("sshd: N.0.2.0/24", "22.0.2.1");
    some_match("sshd: 192.0.N.0/255.255.255.0", "192.0.22.1");
    some_match("sshd: 192.N.2.0/24", "192.255.2.1");
    some_match("sshd: 0.0.2.N\u{b}/32", "0.0.2.22");
    some_match("sshd: 0.0.N\u{b}.0/255.255.255.254\u{b}.", "0.0.1.1");
    some_match("sshd: 0.N\u{b}.0.0/32", "0.1.0.0");
    some_match("sshd: N\u{b}.0.0.0/32", "0.1.0.22");
}

/// As a program may pass them.
#[test]
fn parts_of_addresses() {
    let rule = "sshd: 192.0.2.0/24 0.0.0.0/16 0.1.0.0/255.255.0.0 192.0.0.0/31 [::]/0";
    for address in [
        "192.0.2.N",
        "192.0.N.1",
        "192.N\u{b}.2.1",
        "N\u{b}.0.2.1",
        "::ffff:N\u{b}.0.2.1",
        "::ffff:192.0.2.N",
    ] {
        let matched = spellings(address)
            .map(|address| Case::new(format!("{rule}\n"), "ALL: ALL\n").client(&address, "host.example.org"));
        some(&matched.collect::<Vec<_>>(), address);
    }
}

#[test]
fn addresses_as_text() {
    some_match("sshd: 192.0.2.N", "192.0.2.22");
    some_match("sshd: N.", "22.0.2.1");
}

#[test]
fn values_of_options() {
    for option in ["umask", "linger", "nice", "rfc931"] {
        some_match(&format!("sshd: ALL: {option} N"), "192.0.2.1");
        some_match(&format!("sshd: ALL: {option} = N: allow"), "192.0.2.1");
    }
}
