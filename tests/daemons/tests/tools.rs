//! Debian's own tcpd, tcpdmatch, tcpdchk and try-from, unmodified, say the same on our library as on theirs.

#![forbid(unsafe_code)]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use daemons_tests::{BOTH, Whose};
use support::{Machine, packaged};

/// Tables whose options, patterns and mistakes are many.
const ALLOW: &str = "\
# comment
sshd: 192.0.2.0/24 EXCEPT 192.0.2.7: severity local3.notice
in.ftpd, in.telnetd: LOCAL .example.org: rfc931 3: nice 4
in.fingerd: ALL: spawn /bin/echo %a from %c: deny
in.tftpd: 198.51.100.: twist /bin/echo 421 %h
sshd: [2001:db8::]/32 /etc/list
ALL: host?.example.*: bad option
nobody 192.0.2.1
";
const DENY: &str = "\
in.talkd: UNKNOWN: banners /nowhere
ALL: 203.0.113.300 ,300.1.1.1/33: umask 022
ALL: PARANOID: setenv A b
ALL: ALL EXCEPT LOCAL: severity auth.info
";

fn tables(machine: &Machine) -> PathBuf {
    machine.put("/etc/hosts", "127.0.0.1 localhost\n192.0.2.5 host1.example.org\n");
    machine.put("/etc/list", "203.0.113.9 198.51.100.77\n");
    machine.put(
        "/etc/inetd.conf",
        "finger stream tcp nowait nobody /usr/sbin/tcpd in.fingerd\n",
    );
    let directory = machine.directory().to_path_buf();
    machine.put(directory.join("hosts.allow"), ALLOW);
    machine.put(directory.join("hosts.deny"), DENY);
    directory
}

/// What a program says and how it ends, on each library, in a directory of tables.
fn run(whose: Whose, directory: &Path, name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    // The first process of its own namespace, so that %p is the same.
    command
        .args(["--pid", "--fork", "--kill-child"])
        .arg(packaged(name))
        .args(arguments)
        .env("LD_LIBRARY_PATH", whose.directory())
        .current_dir(directory)
        .stdin(Stdio::null());
    command.output().expect("unshare runs")
}

#[test]
fn tcpdmatch_and_tcpdchk() {
    support::alone(|machine| {
        let directory = tables(machine);
        let log = machine.log();
        let daemons = "sshd in.ftpd in.fingerd in.tftpd in.talkd nobody sshd@192.0.2.1".split(' ');
        let clients =
            "192.0.2.5 192.0.2.7 198.51.100.77 host1.example.org 2001:db8::1 localhost unknown u@192.0.2.5";
        let mut questions: Vec<(&str, Vec<&str>)> = daemons
            .flat_map(|daemon| {
                clients
                    .split(' ')
                    .map(move |client| ("tcpdmatch", vec!["-d", daemon, client]))
            })
            .collect();
        for flags in [&["-d"][..], &["-d", "-v"], &["-d", "-a", "-v"]] {
            questions.push(("tcpdchk", [flags, &["-i", "/etc/inetd.conf"]].concat()));
        }
        for (name, arguments) in questions {
            let [expected, found] = BOTH.map(|whose| {
                log.clear();
                run(whose, &directory, name, &arguments)
            });
            assert_eq!(found, expected, "{name} {arguments:?}");
            assert!(
                !expected.stdout.is_empty() || name == "tcpdchk",
                "{name} {arguments:?}"
            );
        }
    });
}

/// A dry run shows what a `banners` rule would send, and what follows it.
#[test]
fn tcpdmatch_shows_what_a_banner_says() {
    support::alone(|machine| {
        let directory = machine.directory().to_path_buf();
        machine.put(
            directory.join("texts/sshd"),
            "hello %d, from %c\r\nand 100%% more",
        );
        machine.put(directory.join("texts/nul"), "\0\0after two NUL bytes\n");
        let rule = |rest: &str| {
            format!("ALL: {rest}\n").replace("TEXTS", &directory.join("texts").to_string_lossy())
        };
        machine.put(
            directory.join("hosts.allow"),
            rule("192.0.2.5: banners TEXTS: severity mail.info"),
        );
        let denies =
            rule("192.0.2.6: banners TEXTS: spawn /bin/echo %a") + &rule("192.0.2.7: banners /nowhere: deny");
        machine.put(directory.join("hosts.deny"), denies);
        for (daemon, client, shown) in [
            (
                "sshd",
                "192.0.2.5",
                "hello sshd, from 192.0.2.5\r\r\nand 100% more",
            ),
            (
                "sshd",
                "192.0.2.6",
                "hello sshd, from 192.0.2.6\r\r\nand 100% more",
            ),
            ("nul", "192.0.2.6", "\0\0after two NUL bytes\r\n"),
            ("in.ftpd", "192.0.2.6", "in.ftpd\naccess:   denied\n"),
            ("sshd", "192.0.2.7", "access:   denied"),
            ("sshd", "192.0.2.8", "access:   granted"),
        ] {
            let [expected, found] =
                BOTH.map(|whose| run(whose, &directory, "tcpdmatch", &["-d", daemon, client]));
            assert_eq!(found, expected, "{daemon} {client}");
            let text = String::from_utf8_lossy(&found.stdout).into_owned();
            assert!(text.contains(shown), "{text:?}");
        }
    });
}

/// What a client receives that connects from `address` to a program that has the connection as its stdio.
fn visit(whose: Whose, address: &str, program: &str, name: &str) -> String {
    // Who connects to an address of this machine comes from that address.
    let listener = TcpListener::bind((address, 0)).expect("a listener");
    let to = listener.local_addr().expect("an address");
    let mut client = TcpStream::connect(to).expect("a connection");
    let connection = OwnedFd::from(listener.accept().expect("the same connection").0);
    let status = whose
        .command(packaged(program))
        .arg0(name)
        .stdin(Stdio::from(connection.try_clone().expect("a descriptor")))
        .stdout(Stdio::from(connection))
        .stderr(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{program}");
    let mut text = String::new();
    client.read_to_string(&mut text).expect("text");
    text
}

/// Without what no two runs have in common.
fn without_process(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.contains("process id")).collect()
}

#[test]
fn tcpd_and_try_from() {
    support::alone(|machine| {
        for address in ["192.0.2.2/32", "192.0.2.3/32", "192.0.2.4/32"] {
            machine.address(address);
        }
        machine.put(
            "/etc/hosts",
            "127.0.0.1 localhost\n192.0.2.2 second\n192.0.2.3 third\n",
        );
        machine.put("/etc/hosts.allow", "service: second: setenv WHO %u@%h\n");
        machine.put(
            "/etc/hosts.deny",
            "service: 192.0.2.4: twist echo no %a\nALL: ALL\n",
        );
        machine.put_program("/usr/local/sbin/service", "#!/bin/sh\necho served $WHO\n");
        let log = machine.log();
        for (address, served, logged) in [
            ("192.0.2.2", "served unknown@second\n", "connect from second"),
            ("192.0.2.3", "", "refused connect from third"),
            (
                "192.0.2.4",
                "no 192.0.2.4\n",
                "twist 192.0.2.4 to echo no 192.0.2.4",
            ),
        ] {
            let [expected, found] = BOTH.map(|whose| {
                log.clear();
                let text = visit(whose, address, "tcpd", "/usr/local/sbin/service");
                assert_eq!(text, served, "{whose:?}");
                let entry = log.wait_for(logged);
                (entry.priority, entry.ident, entry.text)
            });
            assert_eq!(found, expected);
            let [expected, found] = BOTH.map(|whose| visit(whose, address, "try-from", "try-from"));
            assert_eq!(without_process(&found), without_process(&expected));
            assert!(found.contains(address), "{found}");
        }
    });
}
