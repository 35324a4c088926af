//! What `tcpwrap run` says at the start, so that nobody believes himself guarded who is not.

use std::fs;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::process::Command;

use supervise_tests::{FRIEND, Guarded, STRANGER, talk};
use support::{Daemon, program, run};

#[test]
fn udp_is_said_not_to_be_guarded() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let bind = "import os, socket, time\n\
                    s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 5353))\n\
                    t = socket.socket(type=socket.SOCK_DGRAM); t.bind(('', 0))\n\
                    u = socket.socket(type=socket.SOCK_DGRAM); u.bind(('', 5355)); u.connect(('127.0.0.1', 9))\n";
        let told = "UDP on port 5353 is not guarded, only TCP is";
        let wait = "time.sleep(1000)\n";
        let daemon = Daemon::start(guarded.run("python3").args(["-c", &format!("{bind}{wait}")]));
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
