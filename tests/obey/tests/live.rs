//! A machine with a daemon of every kind: `status` is right about each, as root and as an ordinary user, and notices
//! what changes.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use obey_tests::{at, is_at, static_daemon, status_when, tcpwrap};
use serde_json::Value;
use support::{Daemon, Machine, packaged, program, run};

fn nginx(machine: &Machine, port: u16) -> std::path::PathBuf {
    let directory = machine.directory().join(format!("nginx-{port}"));
    fs::create_dir_all(&directory).expect("ours");
    let directory = directory.display();
    machine.put(
        format!("{directory}/nginx.conf"),
        format!(
            "daemon off; master_process on; worker_processes 2; user nobody nogroup; pid {directory}/pid;\n\
             error_log stderr; events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;\n\
             fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;\n\
             server {{ listen {port}; return 200 ok; }} }}\n"
        ),
    )
}

fn guarded(machine: &Machine, port: u16) -> Daemon {
    let mut command = Command::new(program("tcpwrap", "tcpwrap"));
    command
        .args(["run", "--log", "text", "--"])
        .arg(packaged("nginx"));
    Daemon::start(command.arg("-c").arg(nginx(machine, port)))
}

fn sshd(machine: &Machine, port: u16, library: Option<&Path>) -> Daemon {
    fs::create_dir_all("/run/sshd").expect("ours");
    let key = machine.directory().join("host");
    if !key.exists() {
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key));
    }
    let file = machine.put(
        machine.directory().join(format!("sshd-{port}")),
        format!(
            "HostKey {}\nPort {port}\nUsePAM no\nPidFile none\n",
            key.display()
        ),
    );
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-f"]).arg(file);
    if let Some(library) = library {
        command.env("LD_LIBRARY_PATH", library.parent().expect("a directory"));
    }
    Daemon::start(&mut command)
}

#[track_caller]
fn is(listener: &Value, daemon: &str, obeys: &str, level: &str) {
    assert_eq!(
        [&listener["daemon"], &listener["obeys"], &listener["level"]],
        [daemon, obeys, level],
        "{listener:#}"
    );
}

#[test]
fn everything_that_listens() {
    support::alone_for(300, |machine| {
        machine.address("192.0.2.1/24");
        machine.put(
            "/etc/hosts.allow",
            "sshd: 192.0.2. .example.com\nnginx, vsftpd, dnsd: 192.0.2.\n",
        );
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put(
            "/etc/inetd.conf",
            "7079 stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.fingerd\n\
             7080 stream tcp nowait root /bin/cat cat\n",
        );
        machine.put(
            "/etc/xinetd.conf",
            "service guarded\n{\ntype = UNLISTED\nport = 7090\nsocket_type = stream\nprotocol = tcp\nwait = no\n\
             user = root\nserver = /bin/echo\nserver_args = served\n}\n",
        );
        machine.put(
            "/etc/systemd/system/unit.socket",
            "[Socket]\nListenStream=7300\nAccept=yes\n",
        );
        machine.put(
            "/etc/systemd/system/unit@.service",
            "[Service]\nExecStart=@/usr/sbin/tcpd /usr/sbin/in.unitd\nStandardInput=socket\n",
        );
        let wants = Path::new("/etc/systemd/system/sockets.target.wants");
        fs::create_dir_all(wants).expect("ours");
        std::os::unix::fs::symlink("/etc/systemd/system/unit.socket", wants.join("unit.socket"))
            .expect("ours");
        machine.put("/srv/snmpd.conf", "rocommunity public\n");
        machine.put(
            "/etc/vsftpd.conf",
            "listen=YES\nbackground=NO\nlisten_port=7021\nsecure_chroot_dir=/run\n",
        );
        let ours = support::library("usr/lib/libwrap.so.0");
        // The first process of this machine holds what a socket unit listens at.
        let held = TcpListener::bind("0.0.0.0:7300").expect("a socket");
        let built = static_daemon(machine);
        let start = |program: &Path, arguments: &[&str]| Daemon::start(Command::new(program).args(arguments));
        let mut daemons = vec![
            sshd(machine, 7022, Some(&ours)),
            sshd(machine, 7023, None),
            start(&packaged("inetd"), &["-i", "/etc/inetd.conf"]),
            start(
                &packaged("xinetd"),
                &[
                    "-dontfork",
                    "-f",
                    "/etc/xinetd.conf",
                    "-pidfile",
                    "/run/xinetd.pid",
                ],
            ),
            start(
                &packaged("snmpd"),
                &["-f", "-Lsd", "-C", "-c", "/srv/snmpd.conf", "udp:7161"],
            ),
            start(&packaged("vsftpd"), &[]),
            start(&built, &[]),
            start(
                &packaged("in.tftpd"),
                &["-L", "--address", "0.0.0.0:7069", "-s", "/srv"],
            ),
            start(&packaged("socat"), &["UDP4-RECVFROM:7053,fork", "EXEC:/bin/cat"]),
            start(
                &packaged("socat"),
                &["TCP4-LISTEN:7054,bind=127.0.0.1,fork", "EXEC:/bin/cat"],
            ),
            start(
                &packaged("socat"),
                &["TCP4-LISTEN:7055,fork,tcpwrap=dnsd", "EXEC:/bin/cat"],
            ),
        ];
        let mut unguarded = start(
            &packaged("nginx"),
            &["-c", &nginx(machine, 7082).display().to_string()],
        );
        let mut guarded_one = guarded(machine, 7081);
        let ports = [
            7022, 7023, 7079, 7080, 7090, 7161, 7021, 7001, 7069, 7053, 7054, 7055, 7082, 7081, 7300,
        ];
        let status = status_when("all to listen", false, |status| {
            ports.iter().all(|port| is_at(status, *port))
        });

        let own_sshd = at(&status, 7022);
        is(&own_sshd, "sshd", "libwrap", "ok");
        assert!(
            own_sshd["by"].as_str().unwrap().contains("tcpwrap 0."),
            "{own_sshd:#}"
        );
        assert_eq!(own_sshd["open_to"], "192.0.2.0/24 and names under .example.com");
        let other_sshd = at(&status, 7023);
        is(&other_sshd, "sshd", "libwrap", "ok");
        assert!(
            other_sshd["by"].as_str().unwrap().contains("the distribution's"),
            "{other_sshd:#}"
        );
        is(&at(&status, 7079), "in.fingerd", "tcpd", "ok");
        assert_eq!(at(&status, 7079)["open_to"], "nobody");
        is(&at(&status, 7080), "cat", "nothing", "warning");
        is(&at(&status, 7090), "echo", "super-server", "ok");
        is(&at(&status, 7300), "in.unitd", "tcpd", "ok");
        is(&at(&status, 7081), "nginx", "run", "ok");
        assert_eq!(at(&status, 7081)["open_to"], "192.0.2.0/24");
        is(&at(&status, 7082), "nginx", "nothing", "critical");
        let snmpd = at(&status, 7161);
        is(&snmpd, "snmpd", "libwrap", "ok");
        assert!(
            snmpd["by"].as_str().unwrap().contains("through libnetsnmpagent"),
            "{snmpd:#}"
        );
        is(&at(&status, 7021), "vsftpd", "switched-off", "critical");
        let built_in = at(&status, 7001);
        is(&built_in, "built-in", "libwrap", "ok");
        assert!(
            built_in["by"].as_str().unwrap().contains("built in, tcpwrap 0."),
            "{built_in:#}"
        );
        is(&at(&status, 7069), "in.tftpd", "libwrap", "ok");
        is(&at(&status, 7053), "socat", "switched-off", "warning");
        is(&at(&status, 7054), "socat", "switched-off", "ok");
        is(&at(&status, 7055), "dnsd", "libwrap", "ok");
        // The gravest come first.
        let levels: Vec<&str> = status["listeners"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| l["level"].as_str().unwrap())
            .collect();
        assert_eq!(levels[..2], ["critical", "critical"]);
        assert_eq!(status["hidden_processes"], 0);
        assert_eq!(status["guards"][0]["daemon"], "nginx", "{:#}", status["guards"]);
        let nagios = tcpwrap(&["status", "--nagios"], false);
        assert_eq!(nagios.status.code(), Some(2));
        assert!(nagios.stdout.starts_with(b"TCPWRAP CRITICAL - "), "{nagios:?}");
        assert_eq!(tcpwrap(&["status", "--exit-code"], false).status.code(), Some(1));

        // An ordinary user sees none of it, and is told so.
        let seen = status_when("an answer", true, |_| true);
        let hidden = at(&seen, 7022);
        assert_eq!(
            [&hidden["obeys"], &hidden["level"]],
            ["hidden", "unknown"],
            "{hidden:#}"
        );
        assert_eq!(
            [&hidden["daemon"], &hidden["program"], &hidden["open_to"]],
            [&Value::Null; 3]
        );
        assert!(seen["hidden_processes"].as_u64().unwrap() > 10, "{seen:#}");
        let text = String::from_utf8(tcpwrap(&["status"], true).stdout).unwrap();
        assert!(text.contains("root sees everything"), "{text}");

        // An edit holds at once.
        machine.put("/etc/hosts.allow", "sshd: ALL\n7082: 192.0.2.1\n");
        let status = status_when("the edit", false, |status| {
            at(status, 7022)["open_to"] == "everyone"
        });
        is(&at(&status, 7082), "nginx", "nothing", "critical");
        assert_eq!(at(&status, 7082)["open_to"], "192.0.2.1");
        is(&at(&status, 7021), "vsftpd", "switched-off", "warning");

        // Without its guard a program is not left in peace, and without the program there is nothing.
        let guard = status["guards"][0]["process"].as_u64().unwrap().to_string();
        run(Command::new("kill").args(["-s", "STOP", &guard]));
        let stopped = status_when("the guard to stop", false, |status| {
            status["guards"][0]["is_stopped"] == true
        });
        is(&at(&stopped, 7081), "nginx", "run", "ok");
        let text = String::from_utf8(tcpwrap(&["status"], false).stdout).unwrap();
        assert!(text.contains("stopped, so nobody is let in"), "{text}");
        run(Command::new("kill").args(["-s", "CONT", &guard]));
        guarded_one.signal("TERM");
        guarded_one.ended();
        // The guard ends after its listener has.
        status_when("its end", false, |status| {
            !is_at(status, 7081) && status["guards"].as_array().unwrap().is_empty()
        });

        // The same program, guarded now.
        // Killed, it would leave its workers behind.
        unguarded.signal("TERM");
        unguarded.ended();
        status_when("its end", false, |status| !is_at(status, 7082));
        let mut again = guarded(machine, 7082);
        let status = status_when("it to be back", false, |status| is_at(status, 7082));
        is(&at(&status, 7082), "nginx", "run", "ok");
        again.signal("TERM");
        again.ended();

        // Switched on, but only the process that was started so since.
        let changed = machine.put(
            "/etc/vsftpd.conf",
            "listen=YES\nbackground=NO\nlisten_port=7021\nsecure_chroot_dir=/run\ntcp_wrappers=YES\n",
        );
        // Later than by the seconds in which the kernel tells when a process was started, however fast this test is.
        let later = SystemTime::now() + Duration::from_secs(60);
        let changed = fs::File::options().write(true).open(changed).expect("ours");
        changed.set_modified(later).expect("ours");
        let status = status_when("it", false, |_| true);
        is(&at(&status, 7021), "vsftpd", "perhaps", "warning");
        let by = at(&status, 7021)["by"].to_string();
        assert!(by.contains("was changed after it was started"), "{by}");
        machine.put(
            "/srv/vsftpd.conf",
            "listen=YES\nbackground=NO\nlisten_port=7024\nsecure_chroot_dir=/run\ntcp_wrappers=YES\n",
        );
        daemons.push(start(&packaged("vsftpd"), &["/srv/vsftpd.conf"]));
        let status = status_when("another", false, |status| is_at(status, 7024));
        is(&at(&status, 7024), "vsftpd", "libwrap", "ok");
        daemons.clear();
        drop(held);
        status_when("nothing to listen", false, |status| {
            ports.iter().all(|port| !is_at(status, *port))
        });
    });
}

/// A daemon that asks for `dnsd`.
fn asking(port: u16) -> Daemon {
    let at = format!("TCP4-LISTEN:{port},fork,tcpwrap=dnsd");
    Daemon::start(Command::new(packaged("socat")).args([&at, "EXEC:/bin/cat"]))
}

#[test]
fn this_session_and_bans() {
    support::alone(|machine| {
        machine.put("/etc/hosts.allow", "dnsd: 192.0.2.\n");
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put("/etc/tcpwrap.toml", "[bans]\nfile = \"/srv/bans\"\n");
        let daemon = asking(7055);
        status_when("it to listen", false, |status| is_at(status, 7055));
        // Without a list there is nothing to be said.
        assert!(status_when("an answer", false, |_| true)["bans"].is_null());
        tcpwrap(&["ban", "203.0.113.5", "203.0.113.6", "--for", "2h"], false);
        for (from, verdict) in [("192.0.2.7", "granted"), ("203.0.113.7", "denied")] {
            let status = |arguments: &[&str]| {
                Command::new(program("tcpwrap", "tcpwrap"))
                    .arg("status")
                    .args(arguments)
                    .env("SSH_CONNECTION", format!("{from} 50000 192.0.2.1 22"))
                    .output()
                    .expect("tcpwrap runs")
            };
            let document: Value = serde_json::from_slice(&status(&["--json"]).stdout).expect("JSON");
            let status_as_data = &document["result"];
            assert_eq!(status_as_data["session"], from);
            assert_eq!(at(status_as_data, 7055)["this_session"], verdict);
            assert_eq!(status_as_data["bans"]["active"], 2);
            let text = String::from_utf8(status(&["--color=never"]).stdout).unwrap();
            let line = text.lines().find(|line| line.contains(":7055")).unwrap();
            assert!(line.ends_with(&format!("; you: {verdict}")), "{line}");
            assert!(text.contains("bans    /srv/bans: 2 in force\n"), "{text}");
            assert!(text.contains(&format!("session from {from}\n")), "{text}");
        }
        // A list that cannot be read is a reason to look, not a reason to be silent.
        fs::remove_file("/srv/bans").expect("it was there");
        fs::create_dir("/srv/bans").expect("ours");
        let nagios = tcpwrap(&["status", "--nagios"], false);
        assert_eq!(nagios.status.code(), Some(1), "{nagios:?}");
        drop(daemon);
    });
}

#[test]
fn a_screen_that_is_shown_again() {
    support::alone(|machine| {
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let daemon = asking(7055);
        status_when("it to listen", false, |status| is_at(status, 7055));
        let watch = |rest: &str| {
            let own = program("tcpwrap", "tcpwrap");
            let line = format!("{} status --watch 1 {rest}", own.display());
            Daemon::start(Command::new("sh").args(["-c", &format!("exec {line}")]))
        };
        let shown = watch("");
        shown.wait_for("nobody");
        machine.put("/etc/hosts.allow", "dnsd: 192.0.2.\n");
        shown.wait_for("192.0.2.0/24");
        // Nobody reads any more.
        let mut read_once = watch("| head -n 1");
        assert!(read_once.ended().success());
        drop(daemon);
    });
}

#[test]
fn multipath_tcp_has_its_program() {
    support::alone(|machine| {
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let listen = "import socket, time\n\
            four = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\n\
            four.bind(('0.0.0.0', 7001)); four.listen()\n\
            six = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 262)\n\
            six.bind(('::', 7002)); six.listen()\n\
            time.sleep(600)\n";
        let daemon = Daemon::start(Command::new("python3").args(["-c", listen]));
        // Each protocol's sockets are read for themselves: the first may have come after its were.
        let status = status_when("it to listen", false, |status| {
            is_at(status, 7001) && is_at(status, 7002)
        });
        for port in [7001, 7002] {
            let listener = at(&status, port);
            assert_eq!(listener["process"], daemon.id(), "{listener:#}");
            assert_eq!(listener["obeys"], "nothing", "{listener:#}");
        }
    });
}

#[test]
fn a_library_that_was_replaced_wants_a_restart() {
    support::alone(|machine| {
        let library = machine.directory().join("libwrap.so.0");
        fs::copy(support::library("usr/lib/libwrap.so.0"), &library).expect("ours");
        let daemon = sshd(machine, 7022, Some(&library));
        let status = status_when("it to listen", false, |status| is_at(status, 7022));
        is(&at(&status, 7022), "sshd", "libwrap", "ok");
        let other = machine.directory().join("new");
        fs::copy(&library, &other).expect("ours");
        fs::rename(&other, &library).expect("ours");
        let status = status_when("it to be seen", false, |status| {
            at(status, 7022)["level"] == "warning"
        });
        assert!(
            at(&status, 7022)["by"].as_str().unwrap().contains("restart"),
            "{status:#}"
        );
        drop(daemon);
    });
}

#[test]
fn hostile_names_do_not_break_the_screen() {
    support::alone(|machine| {
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let hostile = machine
            .directory()
            .join("\u{1b}[2J\n\u{202e}evil|\u{6f22}\u{6f22}\u{6f22}".to_owned() + &"x".repeat(60));
        fs::copy(packaged("nginx"), &hostile).expect("ours");
        let daemon = Daemon::start(Command::new(&hostile).arg("-c").arg(nginx(machine, 7001)));
        status_when("it to listen", false, |status| is_at(status, 7001));
        for arguments in [&["status", "--color=never"][..], &["status", "--nagios"]] {
            let shown = String::from_utf8(tcpwrap(arguments, false).stdout).unwrap();
            let line = shown.lines().find(|line| line.contains("7001")).unwrap();
            assert!(!shown.chars().any(|c| c != '\n' && system_hides(c)), "{shown:?}");
            assert!(line.contains("\\u{1b}[2J"), "{line}");
            // In a plugin's line, the bar ends the text.
            assert!(
                arguments[1] != "--nagios" || line.matches('|').count() == 1,
                "{line}"
            );
            assert!(arguments[1] == "--nagios" || line.chars().count() < 160, "{line}");
        }
        drop(daemon);
    });
}

fn system_hides(c: char) -> bool {
    c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c)
}

#[test]
fn a_namespace_of_its_own_is_seen_with_all() {
    support::alone(|machine| {
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let other = machine.neighbour("other", &["192.0.2.1/24"], &["192.0.2.2/24"]);
        let daemon = Daemon::start(
            other
                .command(packaged("socat"))
                .args(["TCP4-LISTEN:7001,fork", "EXEC:/bin/cat"]),
        );
        let seen = || {
            let output = tcpwrap(&["status", "--json", "--all"], false);
            let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            document["result"].clone()
        };
        support::wait_until("it to listen", || is_at(&seen(), 7001).then_some(()));
        is(&at(&seen(), 7001), "socat", "switched-off", "warning");
        assert!(at(&seen(), 7001)["network"].is_u64());
        let here = status_when("an answer", false, |_| true);
        assert!(!is_at(&here, 7001));
        drop(daemon);
    });
}
