//! What `tcpwrap run` says at the start, so that nobody believes himself guarded who is not.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::process::Command;

use supervise_tests::{FRIEND, Guarded, STRANGER, connect, hello, talk};
use support::{Daemon, program, run, wait_until};

#[test]
fn udp_is_said_not_to_be_guarded() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let bind = "import os, socket, time\n\
                    s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 5353))\n\
                    t = socket.socket(type=socket.SOCK_DGRAM); t.bind(('', 0))\n";
        let told = "UDP on port 5353 is not guarded, only TCP is";
        let wait = "time.sleep(1000)\n";
        // Standard input is connected, and was before anybody could look at it.
        let connected = UdpSocket::bind("0.0.0.0:5355").expect("a socket");
        connected.connect("127.0.0.1:9").expect("a route");
        let mut command = guarded.run("python3");
        command
            .args(["-c", &format!("{bind}{wait}")])
            .stdin(OwnedFd::from(connected));
        let daemon = Daemon::start(&mut command);
        daemon.wait_for(told);
        assert_eq!(
            daemon.output().matches("UDP on port").count(),
            1,
            "{}",
            daemon.output()
        );
        drop(daemon);

        // In the background, with nobody left above it.
        let fork = "if os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n";
        let script = format!("import os\n{fork}{bind}{wait}");
        let daemon = Daemon::start(
            guarded
                .run("python3")
                .args(["-c", &script.replace("5353", "5354")]),
        );
        daemon.wait_for("UDP on port 5354 is not guarded");
        drop(daemon);

        // Bound by whoever starts it.
        let socket = UdpSocket::bind("0.0.0.0:5356").expect("a socket");
        let mut command = guarded.run("sleep");
        let daemon = Daemon::start(command.arg("1000").stdin(OwnedFd::from(socket)));
        daemon.wait_for("UDP on port 5356 is not guarded");
    });
}

fn tcpwrap(arguments: &str) -> (Option<i32>, String) {
    let command = arguments.split(' ');
    let done = Command::new(program("tcpwrap", "tcpwrap"))
        .args(command)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (done.status.code(), said)
}

#[test]
fn no_rules_and_no_log_are_said() {
    support::alone(|machine| {
        let no_rules = "there is no rule in /etc/hosts.allow and /etc/hosts.deny: everybody is let in";
        let no_log = "nothing takes in the system log at /dev/log";
        let (status, said) = tcpwrap("run -- true");
        assert!(said.contains(no_rules) && said.contains(no_log), "{said}");
        assert_eq!(status, Some(0));
        assert_eq!(tcpwrap("run --quiet -- true"), (Some(0), String::new()));
        let (_, said) = tcpwrap("run --log json -- true");
        let line: serde_json::Value = serde_json::from_str(&said).expect("one line of JSON");
        assert!(
            line["message"]
                .as_str()
                .is_some_and(|text| text.contains(no_rules)),
            "{said}"
        );

        // As Debian installs it: with remarks alone.
        machine.put("/etc/hosts.allow", "# /etc/hosts.allow: see hosts_access(5)\n");
        let log = machine.log();
        let (_, said) = tcpwrap("run -- true");
        assert!(said.contains(no_rules) && !said.contains(no_log), "{said}");
        log.wait_for(no_rules);
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        assert_eq!(tcpwrap("run -- true"), (Some(0), String::new()));
    });
}

#[test]
fn rules_know_the_program_that_is_meant() {
    support::alone(|_machine| {
        run(Command::new("ip").args(["netns", "add", "blue"]));
        // What is said of the missing rules has the daemon's name.
        for command in [
            "true",
            "env A=b nice -n 1 true",
            "ip netns exec blue /bin/true",
            "setsid nohup true",
        ] {
            let (_, said) = tcpwrap(&format!("run --log json -- {command}"));
            let line: serde_json::Value =
                serde_json::from_str(said.lines().next().unwrap_or_default()).expect("JSON");
            assert_eq!(line["daemon"], "true", "{command}: {said}");
        }
        let (status, said) = tcpwrap("run -- strace -f true");
        assert!(status == Some(125) && said.contains("give --name"), "{said}");
        let (status, said) = tcpwrap("run --name true -- systemd-run true");
        assert!(
            status == Some(125) && said.contains("put tcpwrap run before the program itself"),
            "{said}"
        );
    });
}

/// As Kubernetes mounts a ConfigMap: the files are links through a directory that is exchanged as a whole.
#[test]
fn rules_that_are_exchanged_as_a_whole_hold_for_the_next_connection() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        for (version, allowed) in [("..1", FRIEND), ("..2", STRANGER)] {
            machine.put(
                format!("/srv/rules/{version}/hosts.allow"),
                format!("ALL: {allowed}\n"),
            );
            machine.put(format!("/srv/rules/{version}/hosts.deny"), "ALL: ALL\n");
        }
        symlink("..1", "/srv/rules/..data").expect("ours");
        for table in ["hosts.allow", "hosts.deny"] {
            let path = format!("/srv/rules/{table}");
            fs::remove_file(&path).expect("ours");
            symlink(format!("..data/{table}"), path).expect("ours");
        }
        let program = guarded.c_program("server", &[]);
        let _daemon = Daemon::start(guarded.run(program).args(["threads", "7000"]));
        machine.wait_for_port("192.0.2.1:7000");
        let is_served = |client: &str| talk(client, 7000, b"").is_some();
        assert!(is_served(FRIEND) && !is_served(STRANGER));
        symlink("..2", "/srv/rules/..new").expect("ours");
        fs::rename("/srv/rules/..new", "/srv/rules/..data").expect("ours");
        assert!(!is_served(FRIEND) && is_served(STRANGER));
    });
}

/// What was decided of one client holds for the next one from there, but only where the same rules asked, did and said nothing;
/// and each has its line in the log.
#[test]
fn clients_that_come_again() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("server", &[]);
        let listener = OwnedFd::from(TcpListener::bind("192.0.2.1:7000").expect("a listener"));
        let daemon = Daemon::start(guarded.run(&program).args(["edges", "0"]).stdin(listener));
        let mut came = Vec::new();
        let mut visits = |answer: &str| {
            for _ in 0..3 {
                let client = connect(FRIEND, 7000).expect("a handshake");
                came.push(client.local_addr().expect("a socket").port().to_string());
                assert_eq!(hello(&client), answer, "{}", daemon.output());
            }
        };
        visits("hello\n");
        guarded.rules("", &format!("ALL: {FRIEND}\n"));
        visits("");
        let spawned = machine.directory().join("spawned");
        let rule = format!("ALL: {FRIEND}: spawn echo %a >> {}\n", spawned.display());
        guarded.rules(&rule, "ALL: ALL\n");
        visits("hello\n");
        wait_until("three commands", || {
            let text = fs::read_to_string(&spawned).unwrap_or_default();
            (text == format!("{FRIEND}\n").repeat(3)).then_some(())
        });
        guarded.rules(&format!("ALL: {FRIEND}: twist echo twisted\n"), "ALL: ALL\n");
        visits("twisted\n");
        let port = |line: &str| {
            let (_, rest) = line.split_once("\"client_port\":")?;
            rest.split(',').next().map(str::to_owned)
        };
        let lines = wait_until("all lines", || {
            let output = daemon.output();
            // The last one may have come in part.
            let whole = output.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let lines: Vec<_> = whole
                .filter(|line| port(line).is_some())
                .map(str::to_owned)
                .collect();
            (lines.len() >= came.len()).then_some(lines)
        });
        // A port may come twice.
        let mut told: Vec<_> = lines.iter().filter_map(|line| port(line)).collect();
        told.sort_unstable();
        came.sort_unstable();
        assert_eq!(told, came);
        for (verdict, count) in [("granted", 6), ("denied", 3), ("twisted", 3)] {
            let verdict = format!("\"verdict\":\"{verdict}\"");
            assert_eq!(
                lines.iter().filter(|line| line.contains(&verdict)).count(),
                count,
                "{lines:?}"
            );
        }
    });
}
