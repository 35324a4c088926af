//! xinetd's configuration as we read it, held against Debian's xinetd itself: which services start, and by
//! which name each asks libwrap.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use support::{Daemon, Machine, packaged, wait_until};
use system::services::xinetd;
use tools_tests::Host;

/// A service on a port, whose server is called by the number. `extra` goes before the server's line.
fn service(port: u16, extra: &str) -> String {
    format!(
        "service s{port}\n{}",
        block(port, &format!("{extra} server = /srv/{port}\n"))
    )
}

fn block(port: u16, last: &str) -> String {
    format!(
        "{{\n type = UNLISTED\n port = {port}\n socket_type = stream\n protocol = tcp\n wait = no\n user = root\n\
         {last}}}\n"
    )
}

/// Starts xinetd; returns when it has read its configuration.
fn start(machine: &Machine, configuration: &str) -> Daemon {
    machine.put("/etc/xinetd.conf", configuration);
    // Gone already the first time.
    let _ = fs::remove_file("/srv/log");
    let mut command = Command::new(packaged("xinetd"));
    command.args(["-dontfork", "-filelog", "/srv/log", "-pidfile", "/srv/pid"]);
    let xinetd = Daemon::start(&mut command);
    wait_until("xinetd to begin", || {
        let log = fs::read_to_string("/srv/log").ok()?;
        let begun = log.contains("Started working") || log.contains("no services");
        begun.then_some(())
    });
    xinetd
}

/// The ports that this machine listens on.
fn listening() -> BTreeSet<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap());
    let sockets = tables.iter().flat_map(|table| table.lines().skip(1));
    let local = sockets.filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        (fields[3] == "0A").then(|| fields[1].rsplit(':').next().unwrap().to_owned())
    });
    local
        .map(|port| u16::from_str_radix(&port, 16).unwrap())
        .collect()
}

/// The ports of the services that ours says start.
fn expected() -> BTreeSet<u16> {
    let listing = xinetd::read(Path::new("/etc/xinetd.conf"));
    let programs = listing
        .launches
        .iter()
        .filter_map(|launch| launch.program.clone());
    programs
        .map(|program| String::from_utf8(program).unwrap())
        .map(|program| program.rsplit('/').next().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn the_same_services_start() {
    let one = |extra: &str| service(5001, extra) + &service(5002, "");
    let two = one("");
    let instead = |of: &str, what: &str| two.replacen(of, what, 1);
    let cases = [
        two.clone(),
        instead("s5001\n{", "s5001 {"),
        instead("s5001\n{", "s5001\n"),
        instead("s5001\n{", "s5001\n\n# note\n{"),
        instead("s5001\n{", "s5001\n{ # note"),
        instead("s5001\n", "s5001\n nonsense = here\n"),
        instead("}\n", ""),
        instead("}\n", "} # note\n"),
        two.trim_end().to_owned(),
        two.trim_end().trim_end_matches('}').to_owned(),
        one(" nonsense\n"),
        one(" unknown = value\n"),
        one(" {\n"),
        one(" include /srv/included\n"),
        one(" disable = yes\n"),
        one(" disable = YES\n"),
        one(" DISABLE = yes\n"),
        one(" disable = no\n disable = yes\n"),
        one(" disable = yes no\n"),
        one(" disable += yes\n"),
        one(" disable = maybe\n"),
        one(" disable = no\r\n"),
        one(" flags = reuse NoLibWrap\n"),
        one(" flags = NONSENSE\n"),
        one(" flags += NONSENSE\n"),
        one(" server_args =\n"),
        one(" flags = NAMEINARGS\n"),
        one(" # disable = yes\n"),
        one(" = x\n"),
        instead("server = /srv/5001", "server=/srv/5001"),
        instead("server = /srv/5001", "server =/srv/5001"),
        instead("server = /srv/5001", "server = /srv/5001 x"),
        instead("server = /srv/5001", "server ="),
        instead("server = /srv/5001", "server\x0b= /srv/5001"),
        instead("service", "Service"),
        instead("service s5001", "service s5001 more"),
        instead("service s5001", "service"),
        format!("junk\n{two}"),
        format!("include /srv/included\n{two}"),
        format!("INCLUDE /srv/included more\n{two}"),
        format!("include /srv/none\n{two}"),
        format!("includedir /srv/directory\n{two}"),
        format!("includedir /srv/none\n{two}"),
        format!("defaults\n{{\n disabled = s5001\n}}\n{two}"),
        format!("DEFAULTS more\n{{\n DISABLED = S5001\n}}\n{two}"),
        format!(
            "{two}defaults\n{{\n disabled = s5001\n disabled += s5002\n}}\n{}",
            service(5003, "")
        ),
        format!("defaults\n{{\n enabled = s5001\n}}\n{two}"),
        format!("defaults\n{{\n enabled = S5001\n enabled = s5002\n}}\n{two}"),
        format!("defaults\n{{\n enabled = s5001 s5002\n disabled = s5002\n}}\n{two}"),
        format!("defaults\n{{\n disabled = s5001\n}}\n{}", one(" id = other\n")),
        format!("defaults\n{{\n enabled = other\n}}\n{}", one(" id = other\n")),
        format!("defaults\n{{\n disabled = s5001\n}}\ndefaults\n{{\n disabled = s5002\n}}\n{two}"),
    ];
    support::alone(|machine| {
        let host = Host::on(machine);
        host.shell("for port in 5001 5002 5003 5007 5008 5009; do cp /bin/true /srv/$port; done");
        host.put("/srv/included", service(5009, ""));
        host.put("/srv/directory/one", service(5009, ""));
        host.put("/srv/directory/dotted.conf", service(5008, ""));
        host.put("/srv/directory/backup~", service(5007, ""));
        for case in cases {
            let xinetd = start(machine, &case);
            let log = fs::read_to_string("/srv/log").unwrap();
            assert_eq!(expected(), listening(), "{case}\n{log}");
            drop(xinetd);
        }
    });
}

/// Is the client served there?
fn served(port: u16) -> bool {
    let mut answer = Vec::new();
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("xinetd listens");
    match connection.read_to_end(&mut answer) {
        Ok(_) => answer.starts_with(b"hello"),
        Err(_) => false,
    }
}

#[test]
fn libwrap_is_asked_by_the_same_name() {
    let cases = [
        (5001, " server = /srv/greet\n"),
        (5002, " server = /srv/greet\n server_args = other\n"),
        (
            5003,
            " server = /srv/greet\n flags = NAMEINARGS\n server_args = named more\n",
        ),
        (
            5004,
            " server = /srv/greet\n flags = NAMEINARGS\n server_args = /usr/local/named more\n",
        ),
        (5005, " server = /srv/greet\n libwrap = known-as\n"),
        (
            5006,
            " server = /srv/greet\n libwrap = known-as\n flags = NAMEINARGS\n server_args = named\n",
        ),
        (5007, " server = /srv/greet\n id = another\n"),
        (5008, " server = /srv/greet\n flags = NOLIBWRAP\n"),
        (
            5009,
            " server = /srv/greet\n flags = NOLIBWRAP\n libwrap = known-as\n",
        ),
        (5010, " redirect = 127.0.0.1 5008\n id = another\n"),
    ];
    support::alone(|machine| {
        machine.put_program("/srv/greet", "#!/bin/sh\necho hello\n");
        let services = cases.map(|(port, extra)| format!("service s{port}\n{}", block(port, extra)));
        let _xinetd = start(machine, &services.concat());
        let listing = xinetd::read(Path::new("/etc/xinetd.conf"));
        assert_eq!(listing.launches.len(), cases.len());
        for ((port, extra), launch) in cases.iter().zip(&listing.launches) {
            let Some(name) = &launch.asked_as else {
                machine.put("/etc/hosts.deny", "ALL: ALL\n");
                assert!(served(*port), "{extra}: libwrap is asked");
                continue;
            };
            let name = String::from_utf8_lossy(name);
            machine.put("/etc/hosts.deny", format!("{name}: ALL\n"));
            assert!(!served(*port), "{extra}: libwrap is not asked about {name}");
            machine.put("/etc/hosts.deny", format!("ALL EXCEPT {name}: ALL\n"));
            assert!(
                served(*port),
                "{extra}: libwrap is asked about something else than {name}"
            );
        }
    });
}

/// The manual says that it is asked about by its `id`.
#[test]
fn a_service_of_xinetd_s_own_is_asked_about_by_its_name() {
    support::alone(|machine| {
        let time = "service time\n{\n type = INTERNAL UNLISTED\n id = time-stream\n port = 5001\n\
                    socket_type = stream\n protocol = tcp\n wait = no\n user = root\n}\n";
        let _xinetd = start(machine, time);
        let listing = xinetd::read(Path::new("/etc/xinetd.conf"));
        assert_eq!(listing.launches[0].asked_as.as_deref(), Some(&b"time"[..]));
        let answer = || {
            let mut answer = Vec::new();
            let mut connection = TcpStream::connect("127.0.0.1:5001").expect("xinetd listens");
            // A refused connection may be reset.
            let _ = connection.read_to_end(&mut answer);
            answer.len()
        };
        machine.put("/etc/hosts.deny", "time: ALL\n");
        assert_eq!(answer(), 0);
        machine.put("/etc/hosts.deny", "ALL EXCEPT time: ALL\n");
        assert_eq!(answer(), 4);
    });
}
