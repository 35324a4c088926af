//! Lints of the additions to the language: each where it belongs, and silent beside it.

use analysis::check::{Finding, Fix, Level, Options, apply, check_with};
use analysis::document::{Document, Documents};
use hosts_access::TableKind;

fn found(allow: &str, deny: &str) -> Vec<Finding> {
    let tables = [
        Document::new("hosts.allow", allow),
        Document::new("hosts.deny", deny),
    ];
    let options = Options {
        // 2026-11-26
        today: Some(20_783),
        ..Options::default()
    };
    let mut found = check_with(Documents::both(&tables), options);
    found.retain(|finding| finding.level >= Level::Warning);
    found
}

fn codes(allow: &str, deny: &str) -> Vec<&'static str> {
    found(allow, deny).iter().map(|finding| finding.code.id).collect()
}

/// The allow table after the one edit that is offered, and whether it may be made unasked.
fn mended(allow: &str) -> (String, bool) {
    let found = found(allow, "ALL: ALL\n");
    let fixes: Vec<&Fix> = found.iter().filter_map(|finding| finding.fix.as_ref()).collect();
    assert_eq!(fixes.len(), 1, "{allow}: {found:#?}");
    let text = apply(allow.as_bytes(), fixes.iter().copied()).0;
    (String::from_utf8(text).unwrap(), fixes[0].is_safe)
}

#[test]
fn each_mistake_is_told_once() {
    for (rule, code) in [
        ("sshd: {county=DE}", "W701"),
        ("sshd: {country=DEU}", "W701"),
        ("sshd: {banned=yes}", "W701"),
        ("sshd: {time=0800-0800}", "W701"),
        ("sshd: {time=2026-12-26..2026-12-24}", "W701"),
        ("sshd: ALL : if {continent=XX}", "W701"),
        ("sshd: {country=DE, AT}", "W702"),
        ("sshd: {time=Mon-Fri 0800-1800}", "W702"),
        ("sshd: {time=08:00-18:00}", "W702"),
        ("sshd: {country=DE", "W702"),
        ("{banned}: ALL", "W703"),
        ("sshd@{samenet}: 10.", "W703"),
        ("sshd: {banned}@10.", "W703"),
        ("sshd: {same_net}", "W704"),
        ("sshd: {bannd}", "W704"),
        ("sshd: {country=UK}", "W705"),
        ("sshd: {country=EU}", "W705"),
        ("sshd: ALL : if {country=AP}", "W705"),
        ("sshd: 10. : if 192.168.", "W706"),
        ("sshd: ALL : if 10. : if 192.168.", "W706"),
        ("sshd: {time=Mon} : if {time=Tue}", "W706"),
        (
            "sshd: ALL : if {time=Mon-Fri/0800-1200} : if {time=1200-1800}",
            "W706",
        ),
        ("sshd: {time=Mon} EXCEPT {time=Mon-Fri}", "W706"),
        ("sshd: {time=2027-01-04..2027-01-08} : if {time=Sat|Sun}", "W706"),
        ("sshd: {time=2026-11-24}", "W707"),
        ("sshd: ALL : if ALL EXCEPT {time=2026-01-01..2026-01-31}", "W707"),
        ("sshd: ALL : limit 5/minute : deny", "W708"),
        ("sshd: ALL : max 5 : limit 1/day : deny", "W708"),
        ("sshd: ALL : limit 1/day : limit 5/minute", "W709"),
        ("sshd: ALL : max 10 total : max 10", "W709"),
        ("sshd: ALL : limit 5/minute per /24 : limit 5/minute", "W709"),
        ("sshd: ALL : limit 5/minute burst 50", "W713"),
        ("sshd: ALL : ban 1d", "W710"),
        ("in.fingerd: ALL : ban 1d : twist /bin/echo", "W710"),
        ("sshd: ALL : spawn /bin/true : trial", "W711"),
        ("sshd: ALL : limit 5/minute : if 10.", "W711"),
        ("sshd: {RBL}.zen.example.org", "W234"),
        ("sshd: {ip}", "W007"),
        ("sshd: 10. : if 10.1.2.3/16", "W205"),
        ("sshd: 10. : limit 5/fortnight", "W307"),
        ("sshd: 10. : trail", "W301"),
    ] {
        assert_eq!(codes(&format!("{rule}\n"), "ALL: ALL\n"), [code], "{rule}");
    }
    assert_eq!(codes("", "sshd: 192.0.2.1 : limit 5/minute\n"), ["W708"]);
    assert_eq!(codes("", "sshd: 192.0.2.1 : ban 1d : allow\n"), ["W710"]);
}

#[test]
fn what_is_right_is_left_alone() {
    for rule in [
        "sshd: {country=DE|AT|XK}, {continent=EU}, {asn=AS3320}",
        "sshd: {dns=home.example.net}, {rbl=zen.example.org|127.0.0.2}",
        "sshd: {samehost}, {samenet}",
        "sshd: u@{country=DE}",
        "sshd: ALL EXCEPT {banned}",
        "sshd: {time=Mon-Fri/0800-1800/Europe/Berlin}",
        "sshd: {time=2026-11-25..2026-11-30}",
        "sshd: {time=2026-11-24|Sat}",
        "sshd: {time=Mon} : if {time=Mon-Fri/0800-1800}",
        // Over midnight, Monday's hours reach into Tuesday.
        "sshd: {time=Mon/2200-0600} : if {time=Tue}",
        // Two zones are not compared.
        "sshd: {time=Mon/UTC} : if {time=Tue/Asia/Tokyo}",
        "sshd: {time=Mon} EXCEPT {time=Mon/0800-1200}",
        "sshd: {time=2027-01-04..2027-01-09} : if {time=Sat|Sun}",
        "sshd: 10. : if 10.1.",
        "sshd: 10. : if .example.com",
        "sshd: 10. : if {country=DE}",
        "sshd: ALL : if [2001:db8::]/32 : limit 5/minute",
        "sshd: ALL : limit 5/minute : limit 100/day : max 3 : max 20 total",
        "sshd: ALL : limit 5/minute : limit 5/minute per /24",
        "sshd: ALL : limit 5/minute burst 2 : limit 5/minute burst 1",
        "sshd: ALL : limit 5/minute : ban 1h",
        "sshd: ALL : limit 5/minute burst 49",
        "sshd: ALL : ban 1h : deny",
        "sshd: ALL : trial",
        "sshd: ALL : trial : ban 1h",
    ] {
        assert_eq!(codes(&format!("{rule}\n"), "ALL: ALL\n"), [""; 0], "{rule}");
    }
    assert_eq!(codes("", "in.telnetd: ALL : ban 1d\nALL: ALL\n"), [""; 0]);
}

#[test]
fn rules_that_may_be_passed_over_hide_nobody() {
    for above in [
        "sshd: ALL : trial",
        "sshd: ALL : if {time=Mon}",
        "sshd: ALL : if 11.",
        "sshd: {country=DE}",
        "sshd: ALL EXCEPT {banned}",
    ] {
        let allow = format!("{above}\nsshd: 10.1.\nsshd: {{country=AT}} : severity auth.info\n");
        assert_eq!(codes(&allow, "ALL: ALL\n"), [""; 0], "{above}");
        // What is said of everyone is not said of these.
        assert_eq!(
            codes(&format!("ALL{}\n", &above[4..]), "ALL: ALL\n"),
            [""; 0],
            "{above}"
        );
    }
    // A rule with a limit decides whatever it matches.
    assert_eq!(
        codes("sshd: ALL : limit 5/minute\nsshd: 10.1.\n", "ALL: ALL\n"),
        ["W401"]
    );
    // So does one with a condition that always holds.
    assert_eq!(codes("sshd: ALL : if 10.\nsshd: 10.1.\n", "ALL: ALL\n"), ["W404"]);
    // The same once more decides nothing more.
    assert_eq!(
        codes("sshd: {country=DE}\nsshd: {country=DE}\n", "ALL: ALL\n"),
        ["W402"]
    );
    assert_eq!(
        codes("sshd: {country=DE}\nsshd: {country=DE} : deny\n", "ALL: ALL\n"),
        [""; 0]
    );
    // A trial closes nothing.
    assert_eq!(codes("sshd: 10.\n", "ALL: ALL : trial\n"), ["W411"]);
    assert_eq!(codes("sshd: 127.0.0.1\n", "ALL: ALL : if {time=Mon}\n"), [""; 0]);
}

#[test]
fn the_ban_list_is_asked_in_time() {
    for (allow, deny) in [
        ("sshd: 10.\n", "ALL: {banned}\nALL: ALL\n"),
        (
            "sshd: 10.\n",
            "sshd: {banned}, {rbl=zen.example.org}\nsshd: ALL\nALL: ALL\n",
        ),
        ("sshd: 10.\nsshd: {banned} : deny\n", "ALL: ALL\n"),
        (
            "sshd: 10.\nALL: ALL : if {banned} : deny\nvsftpd: 10. : deny\n",
            "ALL: ALL\n",
        ),
    ] {
        assert_eq!(codes(allow, deny), ["W712"], "{allow}{deny}");
    }
    for (allow, deny) in [
        // Who is not let in above is let in unless banned.
        ("sshd: 10.\n", "ALL: {banned}\n"),
        ("sshd: 10.\n", "sshd: {banned}\nvsftpd: ALL\n"),
        // The monitoring is exempt, the others are not.
        ("sshd: 10.0.0.9\nALL: {banned} : deny\nsshd: 10.\n", "ALL: ALL\n"),
        ("vsftpd: 10.\nsshd: {banned} : deny\nsshd: 10.\n", "ALL: ALL\n"),
        ("sshd: 10. EXCEPT {banned}\n", "ALL: ALL\n"),
        // Nobody is let in above.
        ("", "ALL: {banned}\nALL: ALL\n"),
        ("sshd: 10.\n", "ALL: {banned} : trial\nALL: ALL\n"),
    ] {
        assert_eq!(codes(allow, deny), [""; 0], "{allow}{deny}");
    }
    // A rule that hides it altogether is told of alone.
    assert_eq!(
        codes("sshd: ALL\nsshd: {banned} : deny\n", "ALL: ALL\n"),
        ["W401"]
    );
}

#[test]
fn edits_do_what_was_meant_and_none_is_made_unasked() {
    for (rule, meant) in [
        ("sshd: {county=DE}", "sshd: {country=DE}"),
        ("sshd: {banned=yes}", "sshd: {banned}"),
        (
            "sshd: {dns=a.example.net|b.example.net}",
            "sshd: {dns=a.example.net}, {dns=b.example.net}",
        ),
        ("sshd: {country=DE, AT}", "sshd: {country=DE|AT}"),
        (
            "sshd: 10., {time=Mon-Fri 0800-1800}",
            "sshd: 10., {time=Mon-Fri/0800-1800}",
        ),
        (
            "sshd: {time=Mon-Fri/08:00-18:00} : allow",
            "sshd: {time=Mon-Fri/0800-1800} : allow",
        ),
        ("sshd: {same_net}", "sshd: {samenet}"),
        ("sshd: {country=DE|UK}", "sshd: {country=DE|GB}"),
        ("sshd: {country=EU}", "sshd: {continent=EU}"),
        ("sshd: {RBL}.zen.example.org", "sshd: {rbl=zen.example.org}"),
        (
            "sshd: ALL : severity auth.info : limit 5/minute : if 10.",
            "sshd: ALL : if 10. : limit 5/minute : severity auth.info",
        ),
    ] {
        assert_eq!(
            mended(&format!("{rule}\n")),
            (format!("{meant}\n"), false),
            "{rule}"
        );
        assert_eq!(codes(&format!("{meant}\n"), "ALL: ALL\n"), [""; 0], "{meant}");
    }
    // What was meant is not known: days and hours of which alternative, an option whose value is wrong.
    for rule in [
        "sshd: {time=Mon-Fri/0800-1200, 1300-1700}",
        "sshd: {country=Germany}",
        "sshd: ALL : spawn /bin/true : limit 5/fortnight",
    ] {
        let found = found(&format!("{rule}\n"), "ALL: ALL\n");
        assert!(found.len() == 1 && found[0].fix.is_none(), "{rule}: {found:#?}");
    }
}

#[test]
fn what_others_make_of_additions() {
    let tables = [
        Document::new(
            "hosts.allow",
            "sshd: {country=DE} EXCEPT {banned}\nsshd: /etc/list\nsshd: ALL : if 10. : limit 5/minute\n\
             sshd: {banned} : deny\nsshd: 10. : allow\n",
        ),
        Document::new("hosts.deny", "sshd: {samenet} EXCEPT {samehost}\nALL: ALL\n"),
    ];
    let options = Options {
        portable: true,
        files: [(b"/etc/list".to_vec(), b"10.0.0.1\n{country=AT}\n".to_vec())].into(),
        ..Options::default()
    };
    let found = check_with(Documents::both(&tables), options);
    let found = found.iter().filter(|finding| finding.code.id == "W606");
    let told: Vec<(TableKind, u32, &str)> = found
        .map(|f| {
            (
                f.table,
                f.span.line,
                f.message.rsplit([':', ',']).next().unwrap().trim(),
            )
        })
        .collect();
    let denies = "and denies everyone the rule matches";
    assert_eq!(
        told,
        [
            (TableKind::Allow, 1, "closed"),
            (TableKind::Allow, 1, "open"),
            (TableKind::Allow, 2, "closed"),
            (TableKind::Allow, 3, denies),
            (TableKind::Allow, 3, denies),
            (TableKind::Allow, 4, "open"),
            (TableKind::Deny, 1, "open"),
            (TableKind::Deny, 1, "closed"),
        ]
    );
    // Unasked, nobody is told.
    assert!(
        !check_with(Documents::both(&tables), Options::default())
            .iter()
            .any(|f| f.code.id == "W606")
    );
}
