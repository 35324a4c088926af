//! Every class of problem that tcpdchk and tcpdmatch report: one case that has it and one that has not.
//!
//! And nothing that the reference would have warned of, had Debian's build not swallowed it, goes unsaid.

use std::collections::BTreeSet;
use std::path::Path;

use support::Machine;
use tools_tests::{Host, Whose, corpus, each, own_rules, said};

/// What tcpdchk says of a table, and how it exits.
fn tcpdchk(host: &Host<'_>, table: &[u8], flags: &str) -> (String, Option<i32>) {
    let directory = host.tables("tables", Some(table), None);
    let output = host.run(&directory, Whose::Ours, "tcpdchk", &[flags]);
    assert!(output.stdout.is_empty());
    (said(&output), output.status.code())
}

/// Asserts that tcpdchk says just one thing of the first table, which contains `says`, and nothing of the second.
fn pair(host: &Host<'_>, flags: &str, says: &str, bad: &[u8], good: &[u8]) {
    let (said, status) = tcpdchk(host, bad, flags);
    let shown = String::from_utf8_lossy(bad);
    let lines: Vec<_> = said.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.contains(says)),
        "{shown}\nshould say: {says}\nsays: {said}"
    );
    assert!(
        lines[0].starts_with("warning: ") || lines[0].starts_with("error: "),
        "{said}"
    );
    assert!(lines[0].contains(", line "), "{said}");
    assert_eq!(status, Some(1), "{shown}");
    let (said, status) = tcpdchk(host, good, flags);
    let shown = String::from_utf8_lossy(good);
    assert_eq!((said.as_str(), status), ("", Some(0)), "{shown}");
}

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

/// Asserts that tcpdchk, given no tables, says nothing of this file, or just one thing of it.
fn service_problem(host: &Host<'_>, path: &str, text: &str, says: Option<&str>) {
    host.put(path, text);
    let directory = host.tables("none", None, None);
    let output = host.run(&directory, Whose::Ours, "tcpdchk", &["-d"]);
    let said = said(&output);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(output.status.code(), Some(i32::from(says.is_some())), "{said}");
    let Some(says) = says else {
        return assert_eq!(said, "", "{text}");
    };
    assert!(
        matches!(lines[..], [line] if line.contains(says)),
        "{text}\nshould say: {says}\nsays: {said}"
    );
    assert!(said.starts_with(&format!("warning: {path}, line ")), "{said}");
}

/// Programs good and bad for services to name.
fn programs(host: &Host<'_>) {
    host.put("/srv/open/daemon", "#!/bin/sh\n");
    host.put("/srv/shut/plain", "no program\n");
    host.shell("mkdir /srv/set; cp /bin/true /srv/set/tcpd; chmod 4755 /srv/set/tcpd");
    host.shell("cp /bin/true /srv/shut/daemon; cp /bin/true /srv/shut/loose; chmod 757 /srv/shut/loose");
    host.shell("chmod 777 /srv/open; chmod 755 /srv/open/daemon; chmod 644 /srv/shut/plain");
}

#[test]
fn inetd_conf() {
    let cases = [
        ("incomplete line", "a stream tcp nowait\n"),
        ("no newline at the end", "b stream tcp nowait root internal"),
        (
            "/srv/none: not found",
            "a stream tcp nowait root /usr/sbin/tcpd /srv/none\n",
        ),
        (
            "/usr/sbin/in.none: not found",
            "a stream tcp nowait root /usr/sbin/tcpd in.none\n",
        ),
        (
            "daemon: not found: a super server needs",
            "a stream tcp nowait root daemon daemon\n",
        ),
        (
            "/srv/shut/plain: not executable",
            "a stream tcp nowait root /srv/shut/plain plain\n",
        ),
        (
            "/srv/open: everybody may write",
            "a stream tcp nowait root /usr/sbin/tcpd /srv/open/daemon\n",
        ),
        (
            "/srv/shut/loose: everybody may write",
            "a stream tcp nowait root /srv/shut/loose loose\n",
        ),
        (
            "tcpd is told to run itself",
            "a stream tcp nowait root /usr/sbin/tcpd tcpd\n",
        ),
        (
            "must not be set-user-id",
            "a stream tcp nowait root /srv/set/tcpd /srv/shut/daemon\n",
        ),
        (
            "an RPC service over TCP",
            "a/1 stream rpc/tcp wait root /usr/sbin/tcpd /srv/shut/daemon\n",
        ),
        (
            "rpc.rexd: not a service to offer",
            "a stream tcp nowait root /srv/shut/daemon rpc.rexd\n",
        ),
    ];
    support::alone(|machine| {
        let host = Host::on(machine);
        programs(&host);
        let good = "a stream tcp nowait root /usr/sbin/tcpd /srv/shut/daemon\n";
        for (says, bad) in cases {
            service_problem(&host, "/etc/inetd.conf", bad, Some(says));
            service_problem(&host, "/etc/inetd.conf", good, None);
        }
        service_problem(&host, "/etc/inetd.d/extra", "a\n", Some("incomplete line"));
        service_problem(&host, "/etc/inetd.d/extra", good, None);
    });
}

#[test]
fn xinetd_conf() {
    let service = |line: &str| format!("service a\n{{\n server = /srv/shut/daemon\n{line}\n}}\n");
    let cases = [
        ("neither a block nor an include", "nonsense\n".to_owned()),
        (
            "\"{\" expected",
            "service a {\n server = /srv/shut/daemon\n}\n".to_owned(),
        ),
        (
            "no \"}\" ends this block",
            "service a\n{\n server = /srv/shut/daemon\n".to_owned(),
        ),
        ("no server is named", "service a\n{\n wait = no\n}\n".to_owned()),
        (
            "/srv/none: not found",
            "service a\n{\n server = /srv/none\n}\n".to_owned(),
        ),
        ("/srv/none: cannot be included", "include /srv/none\n".to_owned()),
        (
            "/etc/xinetd.conf: included already",
            "include /etc/xinetd.conf\n".to_owned(),
        ),
        (
            "a second defaults block",
            "defaults\n{\n}\ndefaults\n{\n}\n".to_owned(),
        ),
        ("not an attribute", service("server_args=x")),
        ("set already", service("server = /srv/other")),
        ("takes \"=\" only", service("server_args += x")),
        ("takes one value", service("disable = yes no")),
        ("bad value", service("disable = maybe")),
        ("NAMEINARGS without server_args", service("flags = NAMEINARGS")),
        (
            "tcpd is told to run itself",
            "service a\n{\n server = /usr/sbin/tcpd\n server_args = /srv/shut/daemon\n}\n".to_owned(),
        ),
    ];
    support::alone(|machine| {
        let host = Host::on(machine);
        programs(&host);
        host.put("/etc/xinetd.d/b", "service b\n{\n server = /srv/shut/daemon\n}\n");
        host.put("/etc/xinetd.d/b.off", "nonsense\n");
        let good = "service a\n{\n flags = NAMEINARGS\n server = /usr/sbin/tcpd\n \
                    server_args = /srv/shut/daemon -x\n}\nincludedir /etc/xinetd.d\n";
        for (says, bad) in cases {
            service_problem(&host, "/etc/xinetd.conf", &bad, Some(says));
            service_problem(&host, "/etc/xinetd.conf", good, None);
        }
    });
}

#[test]
fn socket_units() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let socket = "/etc/systemd/system/finger.socket";
        let wanted = "[Socket]\nListenStream=79\nAccept=yes\n";
        host.shell("mkdir -p /etc/systemd/system/sockets.target.wants");
        host.shell("ln -s ../finger.socket /etc/systemd/system/sockets.target.wants/");
        let says = "finger.socket: starts finger@.service, which runs no program";
        service_problem(&host, socket, wanted, Some(says));
        let service = "/etc/systemd/system/finger@.service";
        let bad = "[Service]\nExecStart=/usr/sbin/tcpd /usr/local/sbin/in.fingerd\n";
        service_problem(&host, service, bad, Some("tcpd is told to run itself"));
        let good = "[Service]\nExecStart=@/usr/sbin/tcpd /usr/local/sbin/in.fingerd -w\n";
        service_problem(&host, service, good, None);
    });
}

#[test]
fn services_of_all_three_super_servers_count() {
    support::alone(|machine| {
        let host = Host::on(machine);
        host.put(
            "/etc/inetd.d/extra",
            "a stream tcp nowait root /usr/sbin/tcpd /srv/first\n",
        );
        host.put(
            "/etc/xinetd.conf",
            "service b\n{\n server = /srv/second\n}\n\
             service c\n{\n flags = NOLIBWRAP\n server = /srv/third\n}\n",
        );
        host.put("/etc/systemd/system/d.socket", "[Socket]\nListenDatagram=69\n");
        host.put(
            "/etc/systemd/system/d.service",
            "[Service]\nExecStart=-/srv/fourth\n",
        );
        host.shell("mkdir -p /etc/systemd/system/sockets.target.wants");
        host.shell("ln -s ../d.socket /etc/systemd/system/sockets.target.wants/");
        host.shell("for program in first second third fourth; do cp /bin/true /srv/$program; done");
        let cases = [
            (
                "third: not wrapped: xinetd starts it without tcpd (/etc/xinetd.conf, line 8)",
                "third: ALL\n",
            ),
            ("fourth: not wrapped: systemd starts it", "fourth: ALL\n"),
            ("fifth: no such daemon", "fifth: ALL\n"),
        ];
        for (says, bad) in cases {
            pair(&host, "-d", says, bad.as_bytes(), b"first, second: ALL\n");
        }
    });
}

#[test]
fn a_daemon_that_links_libwrap_guards_itself() {
    support::alone(|machine| {
        let host = Host::on(machine);
        host.shell("cp /usr/sbin/tcpd /usr/local/sbin/rpc.linkedd");
        let good = b"rpc.linkedd, linkedd: ALL\n";
        pair(&host, "-d", "possibly not wrapped", b"true: ALL\n", good);
    });
}

#[test]
fn an_inetd_conf_that_is_not_there() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let asked: [(_, &[&str]); 2] = [
            ("tcpdchk", &["-i", "/srv/none"]),
            ("tcpdmatch", &["-i/srv/none", "sshd", "eight"]),
        ];
        for (program, arguments) in asked {
            let output = host.ours(program, arguments);
            assert_eq!(
                said(&output),
                "warning: open /srv/none: No such file or directory\n"
            );
            assert_eq!(output.status.code(), Some(1));
        }
        let output = host.ours("tcpdchk", &["-v", "-i", "/etc/inetd.conf"]);
        assert_eq!(
            output.stdout,
            b"Using network configuration file: /etc/inetd.conf\n"
        );
        assert_eq!(output.status.code(), Some(0));
    });
}

#[test]
fn tcpdmatch_warns_of_what_it_is_asked() {
    let cases: [(&str, &[&str], i32); 8] = [
        ("", &["sshd", "eight"], 0),
        ("one: an alias", &["sshd", "one"], 0),
        ("one: an alias", &["sshd@one", "eight"], 0),
        ("nowhere.example: no such host", &["sshd", "nowhere.example"], 1),
        (
            "multi.example.com: has several addresses",
            &["sshd@multi.example.com", "eight"],
            1,
        ),
        ("going on with sshd", &["/usr/local/sbin/sshd", "eight"], 0),
        ("nosuchd: no such daemon", &["nosuchd", "eight"], 0),
        ("in.talkd: not wrapped", &["in.talkd", "eight"], 0),
    ];
    support::alone(|machine| {
        let host = Host::on(machine);
        for (says, asked, status) in cases {
            let output = host.ours("tcpdmatch", asked);
            let said = said(&output);
            assert!(
                said.contains(says) && said.is_empty() == says.is_empty(),
                "{asked:?}: {said}"
            );
            assert_eq!(output.status.code(), Some(status), "{asked:?}");
        }
    });
}

#[test]
fn command_lines() {
    let wrong: [(&str, &[&str]); 4] = [
        ("tcpdchk", &["-x"]),
        ("tcpdchk", &["table"]),
        ("tcpdmatch", &["sshd"]),
        ("tcpdmatch", &["a", "b", "c"]),
    ];
    support::alone(|machine| {
        let host = Host::on(machine);
        for (program, arguments) in wrong {
            let output = host.ours(program, arguments);
            assert!(said(&output).contains(&format!("usage: {program}")));
            assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        }
        for program in ["tcpdchk", "tcpdmatch"] {
            for flag in ["-h", "--help", "--version"] {
                let output = host.ours(program, &[flag]);
                assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
                assert!(!output.stdout.is_empty());
            }
        }
    });
}

/// The places that warnings and errors name, which ours must name too. `late` is added to the line of a
/// table without a last newline.
fn places(said: &[u8], counts: impl Fn(&str) -> bool, late: u32) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(said).into_owned();
    let problems = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("warning: ").or(line.strip_prefix("error: "))?;
        let (file, rest) = rest.split_once(", line ")?;
        let (line, problem) = rest.split_once(": ")?;
        let late = if problem.starts_with("missing newline") {
            late
        } else {
            0
        };
        counts(problem).then(|| format!("{file}:{}", line.parse::<u32>().unwrap() + late))
    });
    problems.collect()
}

/// What the reference warns of without need: it asks the name service for wildcards, and knows neither ports
/// nor daemons that run by themselves, of which this machine may have some.
fn deserved(problem: &str) -> bool {
    let (subject, _) = problem.split_once(": ").unwrap_or((problem, ""));
    let wildcard = subject.contains(['*', '?']);
    let port = subject.parse::<u16>().is_ok();
    let runs_by_itself = problem.ends_with("no such process name in /etc/inetd.conf")
        && system::services::program(subject.as_bytes()).is_some();
    // Deviation 1: it tries to become the user or group of a rule.
    let becomes = subject.starts_with("setgid(") || subject.starts_with("setuid(");
    // A CR before the newline belongs to no token.
    !(wildcard || port || runs_by_itself || becomes || subject.ends_with('\r'))
}

#[test]
fn what_the_reference_warns_of_is_reported() {
    let found = [own_rules(), corpus()].concat();
    support::alone(|machine| {
        let host = Host::on(machine);
        let missed = each(&found, |directory| missed(&host, directory).into_iter().collect());
        assert!(missed.is_empty(), "{}", missed.join("\n"));
    });
}

/// What the reference reports of a rule directory and ours does not.
fn missed(host: &Host<'_>, directory: &Path) -> Option<String> {
    let run = |whose| host.run(directory, whose, "tcpdchk", &["-a", "-d"]);
    let (theirs, ours) = (run(Whose::Unmuted), run(Whose::Ours));
    // Deviation 19: the reference counts an unterminated line with the one before it.
    let reported = places(&theirs.stdout, deserved, 1);
    let missed: Vec<_> = reported
        .difference(&places(&ours.stderr, |_| true, 0))
        .cloned()
        .collect();
    (!missed.is_empty()).then(|| {
        let said = String::from_utf8_lossy(&theirs.stdout).into_owned();
        format!("{}: {missed:?}\n{said}", directory.display())
    })
}
