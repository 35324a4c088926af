//! Every class of problem that tcpdchk reports of rules: one case that has it and one that has not.

use support::Machine;
use tools_tests::{Host, pair, tcpdchk};

fn pairs(machine: &Machine, cases: &[(&str, &str, &str)]) {
    let host = Host::on(machine);
    for (says, bad, good) in cases {
        pair(&host, "-d", says, bad.as_bytes(), good.as_bytes());
    }
}

#[test]
fn tables() {
    support::alone(|machine| {
        pairs(
            machine,
            &[
                (
                    "missing \":\" separator",
                    "sshd one.example.com\n",
                    "sshd: one.example.com\n",
                ),
                (
                    "line 2: missing newline",
                    "sshd: ALL\nsshd: LOCAL",
                    "sshd: ALL\nsshd: LOCAL\n",
                ),
                ("line 1: NUL byte", "sshd: ALL\0\nnonsense\n", "sshd: ALL\n"),
            ],
        )
    });
}

#[test]
fn daemon_lists() {
    support::alone(|machine| {
        pairs(
            machine,
            &[
                ("daemon list is empty", ": ALL\n", "ALL: ALL\n"),
                (
                    "daemon list begins with EXCEPT",
                    "EXCEPT sshd: ALL\n",
                    "ALL EXCEPT sshd: ALL\n",
                ),
                (
                    "daemon list ends in EXCEPT",
                    "ALL EXCEPT: ALL\n",
                    "ALL EXCEPT sshd: ALL\n",
                ),
                (
                    "daemon list has EXCEPT twice",
                    "ALL EXCEPT EXCEPT sshd: ALL\n",
                    "ALL EXCEPT sshd: ALL\n",
                ),
                (
                    "@sshd: daemon name begins with \"@\"",
                    "@sshd: ALL\n",
                    "sshd@one.example.com: ALL\n",
                ),
                (
                    "daemon name begins with \"/\"",
                    "/usr/sbin/sshd: ALL\n",
                    "sshd: ALL\n",
                ),
                ("daemon name begins with a dot", ".sshd: ALL\n", "s*d: ALL\n"),
                ("daemon name ends in a dot", "in.: ALL\n", "in.*: ALL\n"),
                ("LOCAL: a word for hosts", "LOCAL: ALL\n", "ALL: LOCAL\n"),
                ("KNOWN: a word for hosts", "known: ALL\n", "ALL: known\n"),
                ("paranoid: a word for hosts", "paranoid: ALL\n", "ALL: paranoid\n"),
                (
                    "an address, not a daemon name",
                    "[2001:db8::9]: ALL\n",
                    "ALL: [2001:db8::9]\n",
                ),
                (
                    "FAIL: means nothing any more",
                    "ALL FAIL sshd: ALL\n",
                    "ALL EXCEPT sshd: ALL\n",
                ),
                ("nosuchd: no such daemon", "nosuchd: ALL\n", "in.ftpd: ALL\n"),
                (
                    "in.talkd: not wrapped: inetd starts it",
                    "in.talkd: ALL\n",
                    "in.tftpd: ALL\n",
                ),
                ("cat: possibly not wrapped", "cat: ALL\n", "79: ALL\n"),
                (
                    "nowhere.example: no such host",
                    "sshd@nowhere.example: ALL\n",
                    "sshd@mail.example.org: ALL\n",
                ),
                (
                    "several addresses",
                    "sshd@multi.example.com: ALL\n",
                    "sshd@192.0.2.2: ALL\n",
                ),
            ],
        )
    });
}

#[test]
fn client_lists() {
    support::alone(|machine| {
        pairs(
            machine,
            &[
                ("client list is empty", "sshd: :allow\n", "sshd: ALL: allow\n"),
                (
                    "client list begins with EXCEPT",
                    "sshd: EXCEPT ALL\n",
                    "sshd: ALL\n",
                ),
                (
                    "client list ends in EXCEPT",
                    "sshd: ALL EXCEPT\n",
                    "sshd: ALL EXCEPT LOCAL\n",
                ),
                (
                    "client list has EXCEPT twice",
                    "sshd: ALL EXCEPT EXCEPT LOCAL\n",
                    "sshd: ALL EXCEPT LOCAL\n",
                ),
                (
                    "example.com.: ends in a dot",
                    "sshd: example.com.\n",
                    "sshd: .example.com\n",
                ),
                (".192: begins with a dot", "sshd: .192\n", "sshd: 192.\n"),
                ("10.1: no address", "sshd: 10.1\n", "sshd: 10.1.\n"),
                ("300.1.1.1: no address", "sshd: 300.1.1.1\n", "sshd: 192.0.2.1\n"),
                (
                    "192.0.2.99: this address has no name",
                    "sshd: 192.0.2.99\n",
                    "sshd: 192.0.2.1\n",
                ),
                (
                    "@strangers: the netgroup is unknown or empty",
                    "sshd: @strangers\n",
                    "sshd: @friends\n",
                ),
                (
                    "@nobodies: the netgroup is unknown or empty",
                    "sshd: @nobodies\n",
                    "sshd: @friends\n",
                ),
                (
                    "192.0.2.0/33: bad net/mask",
                    "sshd: 192.0.2.0/33\n",
                    "sshd: 192.0.2.0/24\n",
                ),
                ("10/8: bad net/mask", "sshd: 10/8\n", "sshd: 10.0.0.0/8\n"),
                (
                    "bad net/mask",
                    "sshd: [2001:db8::]/129\n",
                    "sshd: [2001:db8::]/128\n",
                ),
                (
                    "bits that the mask does not",
                    "sshd: 192.0.2.1/24\n",
                    "sshd: 192.0.2.0/24\n",
                ),
                (
                    "no IPv6 address on an interface",
                    "sshd: [fe80::1%none]\n",
                    "sshd: [fe80::1%lo]\n",
                ),
                (
                    "bad net/mask",
                    "sshd: [fe80::%none]/10\n",
                    "sshd: [fe80::%lo]/10\n",
                ),
                ("no IPv6 address", "sshd: [nonsense]\n", "sshd: [2001:db8::1]\n"),
                (
                    "IPv4 address in IPv6 form",
                    "sshd: [::ffff:192.0.2.1]\n",
                    "sshd: 192.0.2.1\n",
                ),
                ("FAIL: means nothing", "sshd: ALL FAIL\n", "sshd: ALL\n"),
                (
                    "nowhere.example: no such host",
                    "sshd: nowhere.example\n",
                    "sshd: one.example.com\n",
                ),
                (
                    "one: an alias, which never matches; the official name is one.example.com",
                    "sshd: one\n",
                    "sshd: eight\n",
                ),
                (
                    "192.0.2.5 has the name five.example.com",
                    "sshd: fifth.example.com\n",
                    "sshd: five.example.com\n",
                ),
                (
                    "@u: user name begins with \"@\"",
                    "sshd: @u@eight\n",
                    "sshd: u@@friends\n",
                ),
                (
                    "/u: user name begins with \"/\"",
                    "sshd: /u@eight\n",
                    "sshd: u@eight\n",
                ),
                (
                    ".u: user name begins with a dot",
                    "sshd: .u@eight\n",
                    "sshd: u@eight\n",
                ),
                (
                    "u.: user name ends in a dot",
                    "sshd: u.@eight\n",
                    "sshd: u@eight\n",
                ),
                ("FAIL: means nothing", "sshd: FAIL@eight\n", "sshd: KNOWN@eight\n"),
                (
                    "LOCAL: a word for hosts, not a user",
                    "sshd: LOCAL@eight\n",
                    "sshd: ALL@LOCAL\n",
                ),
            ],
        )
    });
}

#[test]
fn names_that_do_not_lead_back() {
    support::alone(|machine| {
        let host = Host::on(machine);
        // Not a line of its own: the alias is reported too.
        let said = tcpdchk(&host, b"sshd: seven.example.net\n", "-d").0;
        let doubt = "host name/name mismatch: seven.example.net != other.example.net";
        assert!(said.contains(doubt), "{said}");
        let said = tcpdchk(&host, b"sshd: numbered\n", "-d").0;
        let doubt = "reverse lookup results in non-FQDN 12.34.56.78";
        assert!(said.contains(doubt), "{said}");
    });
}

#[test]
fn files_of_patterns() {
    support::alone(|machine| {
        let host = Host::on(machine);
        host.put("/srv/good", "one.example.com 192.0.2.8\n@friends\n");
        host.put("/srv/bad", "one.example.com\nnowhere.example\n");
        host.put("/srv/commas", "one.example.com,eight\n");
        host.put("/srv/loop", "/srv/loop\n");
        host.put("/srv/outer", "/srv/good\n");
        let cases = [
            ("/srv/missing: matches nothing", "/srv/missing"),
            ("/srv: matches nothing: not a regular file", "/srv"),
            ("/srv/bad, line 2: nowhere.example: no such host", "/srv/bad"),
            ("/srv/loop, line 1: /srv/loop: names itself", "/srv/loop"),
        ];
        for (says, bad) in cases {
            let bad = format!("sshd: {bad}\n");
            pair(&host, "-d", says, bad.as_bytes(), b"sshd: /srv/outer\n");
        }
        let said = tcpdchk(&host, b"sshd: /srv/commas\n", "-d").0;
        let says = "/srv/commas, line 1: one.example.com,eight: read as one pattern";
        assert!(said.contains(says), "{said}");
    });
}

#[test]
fn options() {
    support::alone(|machine| {
        let rule = |option: &str| format!("sshd: ALL: {option}\n");
        let cases = [
            ("missing option name", "", "allow"),
            ("missing option name", "keepalive:", "keepalive"),
            ("bad option name: \"nonsense\"", "nonsense", "allow"),
            ("option \"allow\" requires no value", "allow it", "allow"),
            ("option \"umask\" requires value", "umask", "umask 022"),
            (
                "option \"deny\" must be at end",
                "deny: keepalive",
                "keepalive: deny",
            ),
            (
                "option \"twist\" must be at end",
                "twist /bin/true: allow",
                "twist /bin/true",
            ),
            ("bad umask value: \"9\"", "umask 9", "umask 7"),
            ("bad linger value: \"-1\"", "linger -1", "linger 0"),
            ("bad nice value: \"very\"", "nice very", "nice"),
            ("bad rfc931 timeout: \"0\"", "rfc931 0", "rfc931 1"),
            (
                "bad syslog facility or severity",
                "severity shout",
                "severity mail.info",
            ),
            ("unknown user: \"nosuch\"", "user nosuch", "user nobody"),
            (
                "unknown group: \"nosuch\"",
                "user nobody.nosuch",
                "user nobody.daemon",
            ),
            ("unknown group: \"nosuch\"", "group nosuch", "group daemon"),
            (
                "/srv/none: No such file or directory",
                "banners /srv/none",
                "banners /srv",
            ),
            (
                "/etc/passwd: not a directory",
                "banners /etc/passwd",
                "banners /srv",
            ),
            ("unrecognized %x", "spawn echo %x", "spawn echo %u"),
            (
                "/srv/none: cannot be run",
                "spawn (/srv/none %a) &",
                "spawn (/bin/echo %a) &",
            ),
            (
                "/srv/none: cannot be run",
                "aclexec /srv/none",
                "aclexec /bin/true",
            ),
            ("/srv/none: cannot be run", "twist /srv/none", "twist echo"),
        ];
        let host = Host::on(machine);
        for (says, bad, good) in cases {
            pair(&host, "-d", says, rule(bad).as_bytes(), rule(good).as_bytes());
        }
    });
}

#[test]
fn implicit_allow_with_a_only() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let says = "without an allow option";
        for good in ["allow", "deny", "twist /bin/true", "severity info: allow"] {
            let good = format!("sshd: ALL: {good}\n");
            pair(&host, "-da", says, b"sshd: ALL: keepalive\n", good.as_bytes());
            pair(&host, "-da", says, b"sshd: ALL\n", good.as_bytes());
        }
        assert_eq!(tcpdchk(&host, b"sshd: ALL\n", "-d"), (String::new(), Some(0)));
    });
}
