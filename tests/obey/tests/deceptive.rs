//! What looks protected and is not: whatever has libwrap, a guard or tcpd somewhere near it, while clients are served
//! whom nobody asked about.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use obey_tests::{at, is_at, status_when};
use serde_json::Value;
use support::{Daemon, Machine, Systemd, library, packaged, program, run};

/// Listens at a port, in a root directory if one is given, with a child that is another program if one is wanted, and
/// says what the tables say to a stranger.
const ASKER: &str = "
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <tcpd.h>
#include <unistd.h>
int allow_severity = LOG_INFO, deny_severity = LOG_WARNING;
int main(int count, char **arguments)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(arguments[1])) };
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 5)) return 1;
    if (count > 2 && !strcmp(arguments[2], \"child\") && fork() == 0) execlp(\"sleep\", \"sleep\", \"600\", NULL);
    if (count > 2 && arguments[2][0] == '/' && (chroot(arguments[2]) || chdir(\"/\"))) return 1;
    puts(hosts_ctl(\"asker\", unknown, \"198.51.100.7\", unknown) ? \"let in\" : \"refused\");
    fflush(stdout);
    for (;;) pause();
}
";

fn asker(machine: &Machine) -> PathBuf {
    let source = machine.put(machine.directory().join("asker.c"), ASKER);
    let built = machine.directory().join("asker");
    let include = library("usr/include/tcpd.h");
    run(Command::new("gcc")
        .args(["-w", "-o"])
        .arg(&built)
        .arg(source)
        .arg(format!("-I{}", include.parent().expect("a directory").display()))
        .arg(library("usr/lib/libwrap.so.0")));
    built
}

fn start(program: &Path, arguments: &[&str]) -> Daemon {
    let ours = library("usr/lib/libwrap.so.0");
    let directory = ours.parent().expect("a directory");
    Daemon::start(
        Command::new(program)
            .args(arguments)
            .env("LD_LIBRARY_PATH", directory),
    )
}

fn tables(machine: &Machine) {
    machine.put("/etc/hosts.allow", "asker, nginx, web: 192.0.2.\n");
    machine.put("/etc/hosts.deny", "ALL: ALL\n");
}

fn seen(port: u16) -> Value {
    at(
        &status_when("it to listen", false, |status| is_at(status, port)),
        port,
    )
}

#[track_caller]
fn is(listener: &Value, obeys: &str, level: &str, by: &str) {
    assert_eq!(
        [&listener["obeys"], &listener["level"]],
        [obeys, level],
        "{listener:#}"
    );
    assert!(
        listener["by"].as_str().unwrap().contains(by),
        "{by}: {listener:#}"
    );
}

#[test]
fn a_daemon_that_does_not_see_the_tables() {
    support::alone(|machine| {
        tables(machine);
        let asker = asker(machine);
        let plain = start(&asker, &["7001"]);
        plain.wait_for("refused");
        is(&seen(7001), "libwrap", "ok", "libwrap");
        assert_eq!(seen(7001)["open_to"], "192.0.2.0/24");
        // A root directory of its own, in which there is no /etc.
        let jail = machine.directory().join("jail");
        fs::create_dir(&jail).expect("ours");
        let jailed = start(&asker, &["7002", jail.to_str().unwrap()]);
        jailed.wait_for("let in");
        is(&seen(7002), "libwrap", "warning", "libwrap");
        assert_eq!(seen(7002)["open_to"], "everyone");
        // The same /etc, and something laid over a table, as a unit's InaccessiblePaths= and BindPaths= do.
        let script = format!(
            "mount --bind /dev/null /etc/hosts.deny && exec {} 7003",
            asker.display()
        );
        let masked = start(Path::new("unshare"), &["--mount", "sh", "-c", &script]);
        masked.wait_for("let in");
        is(&seen(7003), "libwrap", "warning", "libwrap");
        assert_eq!(seen(7003)["open_to"], "everyone");
    });
}

#[test]
fn a_libwrap_that_nobody_calls_and_sockets_that_others_have() {
    support::alone(|machine| {
        tables(machine);
        let directory = machine.directory().display();
        let preloaded = Daemon::start(
            Command::new(packaged("socat"))
                .args(["TCP4-LISTEN:7001,fork", "EXEC:/bin/cat"])
                .env("LD_PRELOAD", library("usr/lib/libwrap.so.0")),
        );
        is(&seen(7001), "switched-off", "warning", "option");
        let other = machine.put_program(
            machine.directory().join("nginx"),
            fs::read("/usr/bin/nc.openbsd").expect("netcat"),
        );
        let mut loaded = Command::new(&other);
        loaded
            .args(["-l", "-k", "7002"])
            .env("LD_PRELOAD", library("usr/lib/libwrap.so.0"));
        let loaded = Daemon::start(&mut loaded);
        is(&seen(7002), "perhaps", "warning", "nothing shows that it asks");
        // A program that was executed with the socket.
        let inherited = start(&asker(machine), &["7003", "child"]);
        inherited.wait_for("refused");
        // For a moment, the child is the same program yet.
        let status = status_when("its child to be another program", false, |status| {
            is_at(status, 7003) && at(status, 7003)["by"].to_string().contains("sleep, ")
        });
        is(
            &at(&status, 7003),
            "perhaps",
            "warning",
            "sleep, holds this socket too",
        );
        drop((preloaded, loaded, inherited));

        // A guarded program gives its listener away.
        let take = machine.put(
            format!("{directory}/take.py"),
            format!(
                "import socket, time\nat = socket.socket(socket.AF_UNIX)\nat.bind('{directory}/u'); at.listen()\n\
                 got = socket.recv_fds(at.accept()[0], 10, 1)\ntime.sleep(600)\n"
            ),
        );
        let give = machine.put(
            format!("{directory}/give.py"),
            format!(
                "import socket, time\nlistener = socket.socket()\nlistener.bind(('0.0.0.0', 7004)); listener.listen()\n\
                 while True:\n  try:\n    to = socket.socket(socket.AF_UNIX); to.connect('{directory}/u')\n    break\n\
                 \x20 except OSError: time.sleep(.1)\n\
                 socket.send_fds(to, [b'x'], [listener.fileno()])\ntime.sleep(600)\n"
            ),
        );
        let guarded = Daemon::start(
            Command::new(program("tcpwrap", "tcpwrap"))
                .args(["run", "--log", "text", "--name", "web", "--", "python3"])
                .arg(give),
        );
        is(&seen(7004), "run", "ok", "guard");
        let taken = Daemon::start(Command::new("python3").arg(take));
        let status = status_when("it to be taken", false, |status| {
            at(status, 7004)["processes"] == 2
        });
        is(&at(&status, 7004), "perhaps", "warning", "holds this socket too");
        drop((guarded, taken));
    });
}

#[test]
fn super_servers_that_ask_once_or_read_another_file() {
    support::alone(|machine| {
        tables(machine);
        machine.put(
            "/etc/inetd.conf",
            "7001 stream tcp wait root /usr/sbin/tcpd /usr/sbin/in.onced\n\
             7002 stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.eachd\n",
        );
        let usual = Daemon::start(Command::new(packaged("inetd")).arg("-i"));
        is(&seen(7002), "tcpd", "ok", "tcpd, by inetd");
        is(&seen(7001), "nothing", "warning", "NOTHING");
        drop(usual);
        let other = machine.put("/srv/inetd.conf", "7002 stream tcp nowait root /bin/cat cat\n");
        let another = Daemon::start(Command::new(packaged("inetd")).arg("-i").arg(other));
        is(
            &seen(7002),
            "perhaps",
            "warning",
            "another configuration, /srv/inetd.conf",
        );
        drop(another);
    });
}

/// A program that is given a socket to accept its clients from.
const ACCEPTS: &str = "#!/usr/bin/python3
import socket
listener = socket.socket(fileno=0)
while True:
    client, _ = listener.accept()
    client.sendall(b'served\\n')
    client.close()
";

#[test]
fn inetd_that_asks_does_so_once_for_what_accepts_itself() {
    support::alone(|machine| {
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        let accepts = machine.put_program("/srv/accepts", ACCEPTS);
        let configuration = machine.put(
            "/etc/inetd.conf",
            format!(
                "7001 stream tcp wait root {0} accepts\n7002 stream tcp nowait root /bin/echo echo served\n",
                accepts.display()
            ),
        );
        let _inetd = Daemon::start(
            Command::new(packaged("inetd"))
                .args(["-i", "-l"])
                .arg(configuration),
        );
        // One that was let in would be greeted.
        let served = |port: u16| {
            let mut text = String::new();
            let client = std::net::TcpStream::connect(("127.0.0.1", port));
            client.is_ok_and(|mut client| client.read_to_string(&mut text).is_ok() && text == "served\n")
        };
        is(&seen(7002), "super-server", "ok", "inetd");
        is(&seen(7001), "nothing", "warning", "NOTHING");
        assert!(!served(7002));
        assert!(served(7001), "whoever is refused is served all the same");
    });
}

#[test]
fn tcpd_behind_a_socket_unit_that_accepts_or_does_not() {
    support::alone(|machine| {
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        for (name, port, accept) in [("each", 7001, "yes"), ("once", 7002, "no")] {
            let socket = format!(
                "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=0.0.0.0:{port}\nAccept={accept}\n"
            );
            machine.put(format!("/etc/systemd/system/{name}.socket"), socket);
            let template = if accept == "yes" { "@" } else { "" };
            machine.put(
                format!("/etc/systemd/system/{name}{template}.service"),
                "[Unit]\nDefaultDependencies=no\n[Service]\nStandardInput=socket\n\
                 ExecStart=-@/usr/sbin/tcpd /usr/bin/id\n",
            );
            let wants = machine.put(
                format!("/etc/systemd/system/sockets.target.wants/{name}.socket"),
                "",
            );
            fs::remove_file(&wants).expect("ours");
            std::os::unix::fs::symlink(format!("/etc/systemd/system/{name}.socket"), wants).expect("ours");
        }
        let systemd = Systemd::start(machine, &["each.socket", "once.socket"]);
        let status = || -> Value {
            let output = systemd
                .command(program("tcpwrap", "tcpwrap"))
                .args(["status", "--json"])
                .output()
                .expect("nsenter runs");
            let document: Value =
                serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
            document["result"].clone()
        };
        let both = support::wait_until("both to listen", || {
            let status = status();
            (is_at(&status, 7001) && is_at(&status, 7002)).then_some(status)
        });
        is(&at(&both, 7001), "tcpd", "ok", "tcpd, by systemd");
        is(&at(&both, 7002), "nothing", "warning", "NOTHING");
    });
}

#[test]
fn a_program_that_only_names_the_tables() {
    support::alone(|machine| {
        tables(machine);
        let source = machine.put(
            machine.directory().join("asker.c"),
            ASKER.replace("#include <tcpd.h>", "").replace(
                "hosts_ctl(\"asker\", unknown, \"198.51.100.7\", unknown)",
                "(access(\"/etc/hosts.allow\", R_OK), access(\"/etc/hosts.deny\", R_OK), 1)",
            ),
        );
        let built = machine.directory().join("asker");
        run(Command::new("gcc").args(["-w", "-o"]).arg(&built).arg(source));
        let names_them = start(&built, &["7001"]);
        names_them.wait_for("let in");
        is(&seen(7001), "perhaps", "warning", "names both tables");
    });
}
