//! What clients are called: names from a real DNS server, believed or not, beside the reference.

use std::net::UdpSocket;

use services_tests::{Guard, Setting, Visit};
use support::{alone, name_server};

/// Shows what the client is called, and whether rules call it KNOWN, UNKNOWN or PARANOID.
const TABLE: &str = "ALL: PARANOID: twist /bin/echo paranoid %n %h %a
ALL: UNKNOWN: twist /bin/echo unknown %n %h %a
ALL: KNOWN: twist /bin/echo known %n %h %a
";

/// Clients of every kind: the zone in which each address has a name, and what comes of it.
const ZONE: &[&str] = &[
    // Name and address agree.
    "--host-record=good.example.org,192.0.2.2,2001:db8::2",
    // The name is an alias of another one.
    "--ptr-record=3.2.0.192.in-addr.arpa,alias.example.org",
    "--cname=alias.example.org,canonical.example.org",
    "--host-record=canonical.example.org,192.0.2.3",
    // The name is somebody else's.
    "--ptr-record=4.2.0.192.in-addr.arpa,good.example.org",
    // The name has no address.
    "--ptr-record=5.2.0.192.in-addr.arpa,gone.example.org",
    "--ptr-record=3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa,gone.example.org",
    // The name is a number, and one that rules might trust.
    "--ptr-record=6.2.0.192.in-addr.arpa,127.0.0.1",
];

fn visit<'t>((service, from, reads): (&'t str, &'t str, &'t str)) -> Visit<'t> {
    Visit { service, from, reads }
}

#[test]
fn a_name_is_believed_where_it_leads_back() {
    alone(|machine| {
        let setting = Setting::new(machine);
        let _dns = name_server(machine, ZONE);
        setting.tables(TABLE, "");
        let seen = setting.compare(
            &[
                (
                    "good",
                    "192.0.2.2",
                    "known good.example.org good.example.org 192.0.2.2\n",
                ),
                (
                    "good6",
                    "2001:db8::2",
                    "known good.example.org good.example.org 2001:db8::2\n",
                ),
                ("alias", "192.0.2.3", "paranoid paranoid 192.0.2.3 192.0.2.3\n"),
                ("liar", "192.0.2.4", "paranoid paranoid 192.0.2.4 192.0.2.4\n"),
                ("gone", "192.0.2.5", "paranoid paranoid 192.0.2.5 192.0.2.5\n"),
                ("number", "192.0.2.6", "paranoid paranoid 192.0.2.6 192.0.2.6\n"),
                ("nameless", "192.0.2.7", "unknown unknown 192.0.2.7 192.0.2.7\n"),
                (
                    "gone6",
                    "2001:db8::3",
                    "paranoid paranoid 2001:db8::3 2001:db8::3\n",
                ),
            ]
            .map(visit),
        );
        for (service, says) in [
            (
                "alias",
                "host name/name mismatch: alias.example.org != canonical.example.org",
            ),
            (
                "gone6",
                "can't verify hostname: getaddrinfo(gone.example.org, AF_INET6) failed",
            ),
            (
                "liar",
                "host name/address mismatch: 192.0.2.4 != good.example.org",
            ),
            (
                "gone",
                "can't verify hostname: getaddrinfo(gone.example.org, AF_INET) failed",
            ),
            (
                "number",
                "host name/name mismatch: reverse lookup results in non-FQDN 127.0.0.1",
            ),
        ] {
            let warning = format!("<27>warning: /etc/hosts.allow, line 1: {says}");
            assert_eq!(seen[service].log[0], warning);
        }
    });
}

#[test]
fn a_name_can_be_refused_by_number_alone() {
    alone(|machine| {
        let setting = Setting::new(machine);
        let _dns = name_server(machine, ZONE);
        // 192.0.2.6 would like to be called 127.0.0.1, and 192.0.2.4 good.example.org.
        setting.tables(
            "ALL: 127.0.0.1 good.example.org .example.org localhost\n",
            "ALL: ALL\n",
        );
        setting.compare(
            &[
                ("good", "192.0.2.2", "served\n"),
                ("liar", "192.0.2.4", ""),
                ("gone", "192.0.2.5", ""),
                ("number", "192.0.2.6", ""),
            ]
            .map(visit),
        );
    });
}

/// No answer is no name. The rules that want none do not wait for one.
#[test]
fn a_server_that_does_not_answer_leaves_names_unknown() {
    alone(|machine| {
        let setting = Setting::new(machine);
        machine.put(
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\n",
        );
        setting.tables(&format!("address: 192.0.2.2\n{TABLE}"), "");
        let unknown = "unknown unknown 192.0.2.2 192.0.2.2\n";
        let visits = [
            ("name", "192.0.2.2", unknown),
            ("address", "192.0.2.2", "served\n"),
        ]
        .map(visit);

        // It is there, and says nothing.
        machine.put(
            "/etc/resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        );
        let silent = UdpSocket::bind("127.0.0.1:53").expect("nobody else is here");
        setting.compare(&visits);
        drop(silent);

        // Nothing is there: the kernel refuses at once.
        setting.compare(&visits);

        // Nobody can be asked.
        machine.put(
            "/etc/resolv.conf",
            "nameserver 203.0.113.1\noptions timeout:1 attempts:1\n",
        );
        setting.compare(&visits);
    });
}

/// docs/deviations.md, 7: the reference sees 127 characters of a name.
#[test]
fn long_names_are_matched_whole() {
    alone(|machine| {
        let setting = Setting::new(machine);
        let long = format!("{0}.{0}.{0}.bad.example.org", "x".repeat(60));
        machine.put("/etc/hosts", format!("192.0.2.2 {long}\n"));
        setting.tables("", "ALL: .bad.example.org\n");
        let seen = setting.run(Guard::Ours, &[visit(("long", "192.0.2.2", ""))]);
        assert_eq!(
            seen["long"].log,
            [format!("<28>refused connect from {long} (192.0.2.2)")]
        );
        setting.run(Guard::Reference, &[visit(("long", "192.0.2.2", "served\n"))]);
    });
}
