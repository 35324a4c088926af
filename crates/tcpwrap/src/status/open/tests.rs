//! What tables open, in words.

use super::*;

fn open(allow: &str, deny: &str, daemon: &str) -> Open {
    let [allow, deny] = [allow, deny].map(|text| Document::new("hosts", text.as_bytes()));
    let tables = Documents {
        allow: Some(&allow),
        deny: Some(&deny),
    };
    let opened = Opened::new(tables).unwrap();
    opened
        .to(daemon.as_bytes(), "0.0.0.0:22".parse().unwrap())
        .unwrap()
}

fn text(allow: &str, deny: &str) -> String {
    open(allow, deny, "sshd").text
}

#[test]
fn in_words() {
    let all = "ALL: ALL\n";
    for (allow, deny, said) in [
        ("", "", "everyone"),
        ("", all, "nobody"),
        ("sshd: ALL\n", all, "everyone"),
        ("other: ALL\n", all, "nobody"),
        ("sshd: 10.\n", all, "10.0.0.0/8"),
        (
            "sshd: 10. .example.com\n",
            all,
            "10.0.0.0/8 and names under .example.com",
        ),
        (
            "sshd: 10. host.example.com\n",
            all,
            "10.0.0.0/8 and host.example.com",
        ),
        ("", "sshd: 192.0.2.1\n", "everyone but 192.0.2.1"),
        (
            "sshd: ALL EXCEPT PARANOID\n",
            all,
            "everyone but clients whose name and address disagree",
        ),
        (
            "",
            "sshd: .example.com\n",
            "everyone but names under .example.com",
        ),
        ("sshd: LOCAL\n", all, "names without a dot"),
        (
            "sshd: [2001:db8::]/32 192.0.2.0/24\n",
            all,
            "192.0.2.0/24 and 2001:db8::/32",
        ),
        ("sshd: 0.0.0.0/0.0.0.0\n", all, "every IPv4 address"),
        (
            "sshd: bob@192.0.2.1 10.\n",
            all,
            "10.0.0.0/8 and bob at 192.0.2.1",
        ),
        // Who gets a command's answer has not reached the service.
        ("", "ALL: ALL: twist /bin/echo no\n", "nobody"),
        ("22: 10.\n", all, "10.0.0.0/8"),
        ("80: 10.\n", all, "nobody"),
    ] {
        assert_eq!(text(allow, deny), said, "{allow}{deny}");
    }
}

#[test]
fn what_rules_ask_besides_is_said() {
    let all = "ALL: ALL\n";
    assert_eq!(
        text("sshd: {country=DE|AT}\n", all),
        "everyone where {country=AT|DE}"
    );
    assert_eq!(
        text("sshd: 10. EXCEPT {banned}\n", all),
        "10.0.0.0/8 where not {banned}"
    );
    assert_eq!(text("sshd: 10. : limit 5/minute\n", all), "10.0.0.0/8");
    assert_eq!(text("sshd: 10. : trial\n", all), "nobody");
    let open = open("sshd: 10. : if {time=Mon-Fri}\n", all, "sshd");
    assert_eq!(open.extent, Extent::Some);
    assert_eq!(open.within(("10.0.0.0".parse().unwrap(), 8)), Extent::Some);
}

#[test]
fn many_words_are_cut_short() {
    let many: String = (1..100)
        .map(|n| {
            format!(
                "sshd: 10.{n}.7.
"
            )
        })
        .collect();
    let text = text(
        &many,
        "ALL: ALL
",
    );
    assert_eq!(
        text,
        "10.1.7.0/24, 10.2.7.0/24, 10.3.7.0/24, 10.4.7.0/24 and 95 more networks"
    );
}

#[test]
fn a_command_that_decides_is_told() {
    let open = open(
        "sshd: 10.: aclexec /bin/true
",
        "ALL: ALL
",
        "sshd",
    );
    assert!(open.is_commanded);
    assert_eq!(open.text, "10.0.0.0/8");
}

#[test]
fn networks() {
    let open = open(
        "sshd: 10. 192.0.2.0/25
",
        "ALL: ALL
",
        "sshd",
    );
    let within = |network: &str, length| open.within((network.parse().unwrap(), length));
    assert_eq!(within("10.1.0.0", 16), Extent::Everyone);
    assert_eq!(within("192.0.2.0", 24), Extent::Some);
    assert_eq!(within("198.51.100.0", 24), Extent::Nobody);
    assert_eq!(within("2001:db8::", 64), Extent::Nobody);
}
