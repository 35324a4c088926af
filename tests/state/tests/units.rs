//! What `check --host` says of daemons that units would start is what happens when systemd starts them: real units, in
//! the sandboxes that their settings make.

#[path = "../../../crates/state/tests/build/mod.rs"]
mod build;

use std::process::Command;

use build::{Record, Shape, database};
use services_tests::Guard;
use state_tests::{LIST, said, succeed, tcpwrap};
use supervise_tests::{connect, hello};
use support::{Machine, Systemd, alone_for, run, wait_until};

/// A service behind tcpd, started by a socket unit.
struct Case {
    name: &'static str,
    /// What its unit says of what it may come at.
    settings: &'static str,
    /// Its rules, in hosts.allow.
    rules: &'static str,
    /// What is said of it, if anything is.
    told: &'static [&'static str],
    /// Who is served: somebody, and somebody who is banned.
    served: [bool; 2],
}

const LIMIT: &str = "ALL : limit 100/day";
const BANNED: &str = "{banned} : deny";
const COUNTRY: &str = "{country=DE}";
const DENIED: &str = "whoever the rule matches is denied";
const PASSED_OVER: &str = "the rule is passed over";
const NONE_BANNED: &str = "there nobody counts as banned";
const ALL_DENIED: &str = "everyone who is held against this rule is denied";

const fn case(
    name: &'static str,
    settings: &'static str,
    rules: &'static str,
    told: &'static [&'static str],
    served: [bool; 2],
) -> Case {
    Case {
        name,
        settings,
        rules,
        told,
        served,
    }
}

const CASES: &[Case] = &[
    case("plain", "", LIMIT, &[], [true; 2]),
    case("plainban", "", BANNED, &[], [true, false]),
    case("plaincountry", "", COUNTRY, &[], [true; 2]),
    case(
        "full",
        "ProtectSystem=full\nPrivateTmp=yes",
        LIMIT,
        &[],
        [true; 2],
    ),
    case(
        "strict",
        "ProtectSystem=strict",
        LIMIT,
        &["/run/tcpwrap is read-only by ProtectSystem=strict", DENIED],
        [false; 2],
    ),
    case(
        "allowed",
        "ProtectSystem=strict\nReadWritePaths=-/nowhere -/run/tcpwrap",
        LIMIT,
        &[],
        [true; 2],
    ),
    case(
        "readonly",
        "ReadOnlyPaths=/run",
        LIMIT,
        &["/run/tcpwrap is read-only by ReadOnlyPaths=/run", DENIED],
        [false; 2],
    ),
    case("user", "User=nobody", LIMIT, &[], [true; 2]),
    case(
        "dynamic",
        "DynamicUser=yes",
        LIMIT,
        &["/run/tcpwrap/limits is read-only by DynamicUser=yes", DENIED],
        [false; 2],
    ),
    case("empty", "TemporaryFileSystem=/run/tcpwrap", LIMIT, &[], [true; 2]),
    case(
        "userempty",
        "User=nobody\nTemporaryFileSystem=/run/tcpwrap",
        LIMIT,
        &[
            "/run/tcpwrap/limits is not there by TemporaryFileSystem=/run/tcpwrap",
            DENIED,
        ],
        [false; 2],
    ),
    case(
        "families",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        "ALL : max 100",
        &[
            "RestrictAddressFamilies of families@.service leaves AF_NETLINK out",
            DENIED,
        ],
        [false; 2],
    ),
    case(
        "netlink",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\nRestrictAddressFamilies=AF_NETLINK",
        "ALL : max 100",
        &[],
        [true; 2],
    ),
    case(
        "samehost",
        "RestrictAddressFamilies=~AF_NETLINK",
        "{samehost}",
        &[
            "RestrictAddressFamilies of samehost@.service leaves AF_NETLINK out",
            PASSED_OVER,
        ],
        [false; 2],
    ),
    case(
        "hidden",
        "InaccessiblePaths=/srv/bans",
        BANNED,
        &[
            "/srv/bans/bans is hidden by InaccessiblePaths=/srv/bans",
            NONE_BANNED,
        ],
        [true; 2],
    ),
    case(
        "userhidden",
        "User=nobody\nInaccessiblePaths=/srv/bans",
        BANNED,
        &[
            "/srv/bans/bans is closed by InaccessiblePaths=/srv/bans",
            ALL_DENIED,
        ],
        [false; 2],
    ),
    case(
        "nobans",
        "TemporaryFileSystem=/srv/bans:ro",
        BANNED,
        &[
            "/srv/bans/bans is not there by TemporaryFileSystem=/srv/bans",
            NONE_BANNED,
        ],
        [true; 2],
    ),
    case(
        "bound",
        "TemporaryFileSystem=/srv/bans:ro\nBindReadOnlyPaths=/srv/bans/bans",
        BANNED,
        &[],
        [true, false],
    ),
    case(
        "closed",
        "User=nobody",
        "{asn=680}",
        &["/srv/closed.mmdb is closed to its user", PASSED_OVER],
        [false; 2],
    ),
    case("open", "", "{asn=680}", &[], [true; 2]),
    case(
        "jail",
        "RootDirectory=/usr/local/jail",
        COUNTRY,
        &[
            "/srv/places.mmdb is not there by RootDirectory=/usr/local/jail",
            PASSED_OVER,
        ],
        [false; 2],
    ),
];

/// What is said where root has made no place for the limits of others yet.
const BEFORE_ROOT: &[Case] = &[case(
    "user",
    "User=nobody",
    LIMIT,
    &["/run/tcpwrap/limits is not there, and only root makes it", DENIED],
    [false; 2],
)];

/// And where somebody else has taken the place of a user's.
const TAKEN: &[Case] = &[case(
    "user",
    "User=nobody",
    LIMIT,
    &[
        "/run/tcpwrap/limits/65534 is user 1234's, who was there first",
        DENIED,
    ],
    [false; 2],
)];

const FIRST_PORT: u16 = 3001;
const SOMEBODY: &str = "192.0.2.30";
const BANNED_ONE: &str = "192.0.2.31";

fn put(machine: &Machine, cases: &[Case]) {
    machine.put(
        "/etc/tcpwrap.toml",
        format!("[bans]\nfile = '{LIST}'\n[geo]\ncountry = '/srv/places.mmdb'\nasn = '/srv/closed.mmdb'\n"),
    );
    let shape = Shape {
        record_size: 24,
        is_v6: true,
    };
    machine.put(
        "/srv/places.mmdb",
        database(shape, &[("192.0.2.0/24", Record::Nested("DE", "EU"))]),
    );
    machine.put(
        "/srv/closed.mmdb",
        database(shape, &[("192.0.2.0/24", Record::Flat("AT", 680))]),
    );
    run(Command::new("chmod").args(["600", "/srv/closed.mmdb"]));
    // A root directory with the tables and programs of this machine, and nothing else of it.
    for directory in ["usr", "etc", "dev", "lib", "lib64", "bin", "sbin"] {
        run(Command::new("sh").args([
            "-c",
            &format!(
                "d=/usr/local/jail/{directory}; [ -d /{directory} ] || exit 0; mkdir -p $d; mount --rbind /{directory} $d"
            ),
        ]));
    }
    run(Command::new("mkdir").args(["-p", "/usr/local/jail/proc", "/usr/local/jail/run"]));
    std::fs::copy(Guard::Ours.program(), "/usr/local/sbin/tcpd").expect("ours");
    let mut allow = String::new();
    for (port, case) in (FIRST_PORT..).zip(cases) {
        let name = case.name;
        machine.put_program(format!("/usr/local/sbin/{name}"), "#!/bin/sh\necho served\n");
        machine.put(
            format!("/etc/systemd/system/{name}.socket"),
            format!("[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=192.0.2.1:{port}\nAccept=yes\n"),
        );
        machine.put(
            format!("/etc/systemd/system/{name}@.service"),
            format!(
                "[Unit]\nDefaultDependencies=no\n[Service]\nStandardInput=socket\nStandardError=null\n\
                 ExecStart=-@/usr/local/sbin/tcpd /usr/local/sbin/{name}\n{}\n",
                case.settings
            ),
        );
        allow.push_str(&format!("{name}: {}\n", case.rules));
        if case.rules == BANNED {
            allow.push_str(&format!("{name}: ALL\n"));
        }
    }
    machine.put("/etc/hosts.allow", allow);
    machine.put("/etc/hosts.deny", "ALL: ALL\n");
}

/// What is said of daemons that cannot come at something.
fn told() -> Vec<String> {
    let (_, text) = said(&tcpwrap(&["check", "--host"]));
    let lines = text.lines().filter(|line| line.contains("[W531]"));
    lines.map(str::to_owned).collect()
}

/// Holds what is said of them against what happens.
fn hold(machine: &Machine, cases: &[Case]) {
    for address in ["192.0.2.1/24", "192.0.2.30/24", "192.0.2.31/24"] {
        machine.address(address);
    }
    put(machine, cases);
    succeed(&["ban", BANNED_ONE]);
    let all = told();
    for case in cases {
        let about = all
            .iter()
            .filter(|line| line.contains(&format!("`{}`", case.name)));
        let about: Vec<&String> = about.collect();
        assert_eq!(
            about.len(),
            usize::from(!case.told.is_empty()),
            "{}: {all:#?}",
            case.name
        );
        for part in case.told {
            assert!(about[0].contains(part), "{part}: {about:#?}");
        }
    }
    let sockets: Vec<String> = cases.iter().map(|case| format!("{}.socket", case.name)).collect();
    let sockets: Vec<&str> = sockets.iter().map(String::as_str).collect();
    let _systemd = Systemd::start(machine, &sockets);
    for port in (FIRST_PORT..).take(cases.len()) {
        wait_until("a socket of systemd", || {
            services_tests::is_listening(port).then_some(())
        });
    }
    for (port, case) in (FIRST_PORT..).zip(cases) {
        let served = [SOMEBODY, BANNED_ONE].map(|from| {
            let stream = connect(from, port);
            match stream.map(|stream| hello(&stream)).as_deref() {
                Ok("served\n") => true,
                Ok("") | Err(_) => false,
                Ok(other) => panic!("{}: {other:?}", case.name),
            }
        });
        assert_eq!(served, case.served, "{}", case.name);
    }
}

#[test]
fn what_is_said_of_a_unit_is_what_happens() {
    alone_for(240, |machine| {
        // As systemd-tmpfiles makes them.
        run(Command::new("mkdir").args(["-p", "/run/tcpwrap"]));
        run(Command::new("mkdir").args(["-m", "1777", "/run/tcpwrap/limits"]));
        hold(machine, CASES);
    });
}

#[test]
fn a_users_place_that_somebody_took_is_told_and_opens_nothing() {
    alone_for(240, |machine| {
        run(Command::new("mkdir").args(["-p", "/run/tcpwrap"]));
        run(Command::new("mkdir").args(["-m", "1777", "/run/tcpwrap/limits"]));
        run(Command::new("setpriv").args([
            "--reuid=1234",
            "--clear-groups",
            "touch",
            "/run/tcpwrap/limits/65534",
        ]));
        hold(machine, TAKEN);
    });
}

#[test]
fn another_user_counts_nothing_where_root_has_made_no_place() {
    alone_for(240, |machine| hold(machine, BEFORE_ROOT));
}

#[test]
fn a_daemon_is_known_by_its_unit_before_it_runs_and_while_it_does() {
    alone_for(240, |machine| {
        machine.address("192.0.2.1/24");
        machine.put("/etc/hosts.allow", "sshd: ALL : max 50\n");
        machine.put("/etc/hosts.deny", "ALL: ALL\n");
        machine.put("/srv/sshd_config", "HostKey /srv/host\nUsePAM no\n");
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", "/srv/host"]));
        let library = support::library("usr/lib/libwrap.so.0");
        let unit = |name: &str, port: u16, families: &str| {
            let library = library.parent().expect("a directory").display();
            machine.put(
                format!("/etc/systemd/system/{name}.service"),
                format!(
                    "[Unit]\nDefaultDependencies=no\n[Service]\nEnvironment=LD_LIBRARY_PATH={library}\n\
                     RuntimeDirectory=sshd\n{families}\n\
                     ExecStart=/usr/sbin/sshd -D -e -f /srv/sshd_config -o ListenAddress=192.0.2.1:{port}\n"
                ),
            );
        };
        unit("plain", 2201, "");
        unit("ssh", 2202, "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6");
        let why = "RestrictAddressFamilies of ssh.service leaves AF_NETLINK out";
        let before = told();
        assert_eq!(before.len(), 1, "{before:#?}");
        assert!(
            before[0].contains("`sshd` (as ssh.service starts it)") && before[0].contains(why),
            "{before:#?}"
        );
        let _systemd = Systemd::start(machine, &["plain.service", "ssh.service"]);
        for port in [2201, 2202] {
            wait_until("sshd", || services_tests::is_listening(port).then_some(()));
        }
        let now = told();
        assert_eq!(now.len(), 1, "{now:#?}");
        assert!(
            now[0].contains("`sshd` (process ") && now[0].contains("ssh.service)") && now[0].contains(why),
            "{now:#?}"
        );
        let greets =
            |port| connect("192.0.2.1", port).is_ok_and(|stream| hello(&stream).starts_with("SSH-2.0"));
        assert!(greets(2201));
        assert!(!greets(2202));
    });
}
