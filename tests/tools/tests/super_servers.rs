//! What tcpdchk reports of services that inetd, xinetd and systemd start: one case that has it and one that has not.

use tools_tests::{Host, Whose, pair, said};

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
