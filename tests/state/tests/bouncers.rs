//! Those who ban through the list: fail2ban, sshguard and CrowdSec as Debian has them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use state_tests::{LIST, configure, doors::Doors, said, succeed, tcpwrap};
use support::{Daemon, Machine, alone, alone_for, packaged, program, run, wait_until};

/// The repository's files for others.
fn dist(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../dist")
        .join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Puts `tcpwrap` where others find it.
fn install(machine: &Machine) {
    configure(machine);
    let tcpwrap = fs::read(program("tcpwrap", "tcpwrap")).expect("it is built");
    machine.put_program("/usr/local/bin/tcpwrap", tcpwrap);
}

/// Is there a ban of this network by this origin, of this one alone?
fn is_banned(network: &str, origin: &str) -> bool {
    let text = succeed(&["bans", "--origin", origin]);
    text.lines().any(|line| line.split(' ').next() == Some(network))
}

fn wait_for_ban(network: &str, origin: &str) {
    wait_until(&format!("{network} banned by {origin}"), || {
        is_banned(network, origin).then_some(())
    });
}

fn wait_for_end(network: &str, origin: &str) {
    wait_until(&format!("{network} not banned any more"), || {
        (!is_banned(network, origin)).then_some(())
    });
}

fn fail2ban(machine: &Machine, jail: &str) -> Daemon {
    fs::remove_dir_all("/etc/fail2ban/jail.d").expect("Debian's own jails");
    machine.put("/etc/fail2ban/jail.local", jail);
    machine.put(
        "/etc/fail2ban/action.d/tcpwrap.conf",
        dist("root/etc/fail2ban/action.d/tcpwrap.conf"),
    );
    fail2ban_again()
}

fn fail2ban_again() -> Daemon {
    // What one that was killed left behind.
    let _ = fs::remove_file("/srv/f2b.sock");
    let mut command = Command::new("/usr/bin/python3");
    command.args([
        "/usr/bin/fail2ban-server",
        "-xf",
        "-s",
        "/srv/f2b.sock",
        "-p",
        "/srv/f2b.pid",
        "start",
    ]);
    let daemon = Daemon::start(&mut command);
    wait_until("fail2ban", || client(&["ping"]).then_some(()));
    daemon
}

fn client(arguments: &[&str]) -> bool {
    let mut command = Command::new("/usr/bin/python3");
    command
        .args(["/usr/bin/fail2ban-client", "-s", "/srv/f2b.sock"])
        .args(arguments);
    command.output().is_ok_and(|done| done.status.success())
}

/// Waits until fail2ban has written a ban down for itself, which it does behind its action's back.
fn wait_for_note(address: &str) {
    const ASK: &str = "import sqlite3, sys
bans = sqlite3.connect('/srv/f2b.sqlite3', timeout=60).execute('SELECT ip FROM bans').fetchall()
sys.exit((sys.argv[1],) not in bans)";
    wait_until("a note of the ban", || {
        let asked = Command::new("/usr/bin/python3")
            .args(["-c", ASK, address])
            .output()
            .unwrap();
        asked.status.success().then_some(())
    });
}

/// What it remembers is the test's own too.
const SERVER: &str = "[DEFAULT]
logtarget = STDOUT
dbfile = /srv/f2b.sqlite3
";

const JAIL: &str = "[door]
enabled = true
backend = polling
filter = door
logpath = /srv/door.log
maxretry = 3
findtime = 10m
bantime = 1h
action = tcpwrap
";

fn attack(address: &str) {
    let mut log = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open("/srv/door.log")
        .unwrap();
    let now = Command::new("date")
        .arg("+%Y-%m-%d %H:%M:%S")
        .output()
        .unwrap()
        .stdout;
    let now = String::from_utf8(now).unwrap();
    let line = format!("{} door: wrong password from {address}\n", now.trim());
    log.write_all(line.repeat(3).as_bytes()).unwrap();
}

#[test]
fn fail2ban_bans_takes_back_and_bans_anew_after_a_restart() {
    alone(|machine| {
        install(machine);
        machine.put("/srv/fail2ban.log", "");
        machine.put("/srv/door.log", "");
        machine.put(
            "/etc/fail2ban/filter.d/door.conf",
            "[Definition]\nfailregex = ^ door: wrong password from <HOST>$\n",
        );
        machine.put("/etc/fail2ban/fail2ban.local", SERVER);
        let daemon = fail2ban(machine, JAIL);
        attack("198.51.100.7");
        attack("2001:db8::7");
        wait_for_ban("198.51.100.7", "fail2ban:door");
        wait_for_ban("2001:db8::7", "fail2ban:door");
        let text = succeed(&["bans", "198.51.100.7"]);
        assert!(text.ends_with("3 failures\n"), "{text}\n{}", daemon.output());
        // Somebody's own ban of the same address stays.
        succeed(&["ban", "198.51.100.7"]);
        assert!(client(&["set", "door", "unbanip", "198.51.100.7"]));
        wait_for_end("198.51.100.7", "fail2ban:door");
        assert!(is_banned("198.51.100.7", "admin"));
        // Gone without a word, and back: its bans are as they were, and it takes them back as before.
        wait_for_note("2001:db8::7");
        drop(daemon);
        assert!(is_banned("2001:db8::7", "fail2ban:door"));
        succeed(&["unban", "2001:db8::7", "--origin", "fail2ban:door"]);
        let daemon = fail2ban_again();
        wait_for_ban("2001:db8::7", "fail2ban:door");
        // One that has ended meanwhile is no error.
        succeed(&["unban", "2001:db8::7", "--origin", "fail2ban:door"]);
        assert!(client(&["set", "door", "unbanip", "2001:db8::7"]));
        assert!(!daemon.output().contains("ERROR"), "{}", daemon.output());
        // A ban that never ends.
        assert!(client(&["set", "door", "bantime", "-1"]));
        assert!(client(&["set", "door", "banip", "203.0.113.1"]));
        wait_for_ban("203.0.113.1", "fail2ban:door");
        assert!(succeed(&["bans", "203.0.113.1"]).contains("never ends"));
        assert!(!daemon.output().contains("ERROR"), "{}", daemon.output());
    });
}

#[test]
fn whom_fail2ban_bans_is_refused_at_every_door_until_the_ban_ends() {
    alone_for(300, |machine| {
        install(machine);
        machine.put("/srv/door.log", "");
        machine.put(
            "/etc/fail2ban/filter.d/door.conf",
            "[Definition]\nfailregex = ^ door: wrong password from <HOST>$\n",
        );
        machine.put("/etc/fail2ban/fail2ban.local", SERVER);
        let doors = Doors::open(machine);
        doors.let_in("198.51.100.7");
        let daemon = fail2ban(machine, JAIL);
        attack("198.51.100.7");
        wait_for_ban("198.51.100.7", "fail2ban:door");
        doors.refuse("198.51.100.7");
        doors.let_in("198.51.100.8");
        // It goes away without a word, and nobody takes anything back; but its ban ends.
        drop(daemon);
        doors.refuse("198.51.100.7");
        succeed(&["ban", "198.51.100.7", "--for", "1s", "--origin", "fail2ban:door"]);
        wait_for_end("198.51.100.7", "fail2ban:door");
        doors.let_in("198.51.100.7");
        assert!(
            fs::read_to_string(LIST).unwrap().contains("198.51.100.7"),
            "the list tells of it"
        );
    });
}

#[test]
fn sshguard_blocks_and_releases() {
    alone_for(300, |machine| {
        install(machine);
        let backend = machine.put_program(
            "/usr/local/lib/sshg-fw-tcpwrap",
            dist("root/usr/libexec/tcpwrap/sshg-fw-tcpwrap"),
        );
        machine.put("/srv/auth.log", "");
        // One that was killed has left this, and nobody else would take it back.
        succeed(&["ban", "203.0.113.5", "--origin", "sshguard"]);
        succeed(&["ban", "203.0.113.6"]);
        machine.put(
            "/etc/sshguard/sshguard.conf",
            format!(
                "BACKEND=\"{}\"\nFILES=/srv/auth.log\nTHRESHOLD=20\nBLOCK_TIME=30\nDETECTION_TIME=600\n",
                backend.display()
            ),
        );
        let doors = Doors::open(machine);
        let mut command = Command::new(packaged("sshguard"));
        let _daemon = Daemon::start(command.env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
        let attack = |address: &str| {
            let mut log = fs::OpenOptions::new().append(true).open("/srv/auth.log").unwrap();
            for port in 4000..4004 {
                writeln!(
                    log,
                    "Nov 26 12:00:00 door sshd[77]: Failed password for root from {address} port {port} ssh2"
                )
                .unwrap();
            }
        };
        wait_until("sshguard to read", || {
            attack("198.51.100.7");
            is_banned("198.51.100.7", "sshguard").then_some(())
        });
        // However long its blacklist has it.
        assert!(succeed(&["bans", "198.51.100.7"]).contains("never ends"));
        assert!(!is_banned("203.0.113.5", "sshguard") && is_banned("203.0.113.6", "admin"));
        doors.refuse("198.51.100.7");
        doors.let_in("198.51.100.8");
        attack("2001:db8::7");
        wait_for_ban("2001:db8::7", "sshguard");
        // As long as it takes: sshguard lets blocks end late.
        while is_banned("198.51.100.7", "sshguard") {
            std::thread::sleep(Duration::from_millis(200));
        }
        doors.let_in("198.51.100.7");
    });
}

/// CrowdSec's local API, its data in `/srv`.
fn crowdsec(machine: &Machine, tls: bool) -> Daemon {
    let _ = fs::create_dir_all("/srv/crowdsec/hub");
    let tls = match tls {
        true => "    tls:\n      cert_file: /srv/cert.pem\n      key_file: /srv/key.pem\n",
        false => "",
    };
    machine.put("/srv/crowdsec/simulation.yaml", "simulation: false\n");
    machine.put(
        "/srv/crowdsec/acquis.yaml",
        "filenames: [/srv/none.log]\nlabels: {type: none}\n",
    );
    machine.put(
        "/srv/crowdsec/profiles.yaml",
        "name: default\nfilters: [ 'Alert.Remediation == true' ]\ndecisions: [ {type: ban, duration: 4h} ]\non_success: break\n",
    );
    let credentials = "/srv/crowdsec/credentials.yaml";
    if !Path::new(credentials).exists() {
        machine.put(
            credentials,
            "url: http://127.0.0.1:8080/\nlogin: here\npassword: secret\n",
        );
    }
    machine.put(
        "/srv/crowdsec/config.yaml",
        format!(
            "common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: /srv/crowdsec}}\n\
             config_paths: {{config_dir: /srv/crowdsec, data_dir: /srv/crowdsec, simulation_path: /srv/crowdsec/simulation.yaml, \
             hub_dir: /srv/crowdsec/hub, index_path: /srv/crowdsec/hub/.index.json}}\n\
             crowdsec_service: {{acquisition_path: /srv/crowdsec/acquis.yaml}}\n\
             cscli: {{output: raw}}\n\
             db_config: {{type: sqlite, db_path: /srv/crowdsec/crowdsec.db}}\n\
             api:\n  client: {{credentials_path: {credentials}, insecure_skip_verify: true}}\n  server:\n    listen_uri: 127.0.0.1:8080\n    \
             profiles_path: /srv/crowdsec/profiles.yaml\n{tls}\
             prometheus: {{enabled: false}}\n"
        ),
    );
    if !Path::new("/srv/crowdsec/crowdsec.db").exists() {
        run(&mut cscli(&[
            "machines",
            "add",
            "here",
            "--password",
            "secret",
            "--force",
            "-f",
            "/srv/crowdsec/unused.yaml",
        ]));
    }
    let daemon =
        Daemon::start(Command::new(packaged("crowdsec")).args(["-c", "/srv/crowdsec/config.yaml", "-no-cs"]));
    machine.wait_for_port("127.0.0.1:8080");
    daemon
}

fn cscli(arguments: &[&str]) -> Command {
    let mut command = Command::new(packaged("cscli"));
    command.args(["-c", "/srv/crowdsec/config.yaml"]).args(arguments);
    command
}

fn decide(address: &str) {
    run(&mut cscli(&[
        "decisions",
        "add",
        "--ip",
        address,
        "--duration",
        "4h",
        "--reason",
        "a test",
    ]));
}

fn take_back(address: &str) {
    run(&mut cscli(&["decisions", "delete", "--ip", address]));
}

fn key() {
    let key = run(&mut cscli(&["bouncers", "add", "tcpwrap", "-o", "raw"])).stdout;
    fs::write("/srv/key", key).unwrap();
}

fn bouncer(arguments: &[&str]) -> Daemon {
    let mut command = Command::new("/usr/local/bin/tcpwrap");
    command
        .args([
            "bouncer",
            "crowdsec",
            "--key-file",
            "/srv/key",
            "--interval",
            "1s",
        ])
        .args(arguments);
    Daemon::start(&mut command)
}

#[test]
fn crowdsec_decides_goes_away_and_comes_back() {
    alone_for(300, |machine| {
        install(machine);
        let api = crowdsec(machine, false);
        key();
        decide("198.51.100.1");
        // One of our own, and one that is never to be banned.
        succeed(&["ban", "203.0.113.1"]);
        decide("192.0.2.1");
        let doors = Doors::open(machine);
        let bouncer_process = bouncer(&[]);
        wait_for_ban("198.51.100.1", "crowdsec");
        doors.refuse("198.51.100.1");
        bouncer_process.wait_for("192.0.2.0/28 is never banned");
        // What changes.
        decide("2001:db8::7");
        wait_for_ban("2001:db8::7", "crowdsec");
        run(&mut cscli(&[
            "decisions",
            "add",
            "--range",
            "198.51.100.128/25",
            "--duration",
            "4h",
        ]));
        wait_for_ban("198.51.100.128/25", "crowdsec");
        take_back("198.51.100.1");
        wait_for_end("198.51.100.1", "crowdsec");
        doors.let_in("198.51.100.1");
        doors.refuse("198.51.100.129");
        // The API away: all stays. Back: what was decided meanwhile is caught up with.
        drop(api);
        bouncer_process.wait_for("Connection refused");
        assert!(is_banned("2001:db8::7", "crowdsec"));
        doors.refuse("198.51.100.129");
        let _api = crowdsec(machine, false);
        take_back("2001:db8::7");
        decide("198.51.100.3");
        wait_for_ban("198.51.100.3", "crowdsec");
        wait_for_end("2001:db8::7", "crowdsec");
        assert!(is_banned("203.0.113.1", "admin") && is_banned("198.51.100.128/25", "crowdsec"));
        // The bouncer away while a decision ends: the next start takes it back.
        drop(bouncer_process);
        take_back("198.51.100.3");
        let once = Command::new("/usr/local/bin/tcpwrap")
            .args(["bouncer", "crowdsec", "--key-file", "/srv/key", "--once"])
            .output()
            .unwrap();
        assert!(once.status.success(), "{once:?}");
        assert!(!is_banned("198.51.100.3", "crowdsec") && is_banned("198.51.100.128/25", "crowdsec"));
    });
}

#[test]
fn crowdsec_over_tls_and_with_a_wrong_key() {
    alone_for(300, |machine| {
        install(machine);
        run(Command::new("openssl").args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=here",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            "/srv/key.pem",
            "-out",
            "/srv/cert.pem",
        ]));
        machine.put(
            "/srv/crowdsec/credentials.yaml",
            "url: https://127.0.0.1:8080/\nlogin: here\npassword: secret\n",
        );
        let _api = crowdsec(machine, true);
        key();
        decide("198.51.100.1");
        let once = |key: &str, more: &[&str]| {
            let mut command = Command::new("/usr/local/bin/tcpwrap");
            command.args([
                "bouncer",
                "crowdsec",
                "--once",
                "--url",
                "https://127.0.0.1:8080",
                "--key-file",
                key,
            ]);
            let done = command.args(more).output().unwrap();
            (
                done.status.code(),
                String::from_utf8_lossy(&done.stderr).into_owned(),
            )
        };
        let (status, text) = once("/srv/key", &[]);
        assert_eq!(status, Some(2), "nobody has signed it: {text}");
        assert!(!is_banned("198.51.100.1", "crowdsec"));
        machine.put("/srv/wrong", "0123456789abcdef\n");
        let (status, text) = once("/srv/wrong", &["--ca", "/srv/cert.pem"]);
        assert_eq!(status, Some(2));
        assert!(text.contains("the key is not accepted"), "{text}");
        let (status, text) = once("/srv/key", &["--ca", "/srv/cert.pem"]);
        assert_eq!(status, Some(0), "{text}");
        assert!(is_banned("198.51.100.1", "crowdsec"));
    });
}

#[test]
fn the_key_is_for_nobody_else() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    alone(|machine| {
        install(machine);
        let [api, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a socket"));
        other.set_nonblocking(true).expect("ours");
        let at = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("bound"));
        let (url, elsewhere) = (at(&api), at(&other));
        let answer = std::thread::spawn(move || {
            let (mut client, _) = api.accept().expect("the bouncer");
            let lines = BufReader::new(client.try_clone().expect("a copy")).lines();
            // To the end: who closes with something unread takes back what was said.
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let key = head
                .iter()
                .any(|line| line.eq_ignore_ascii_case("x-api-key: secret"));
            write!(
                client,
                "HTTP/1.1 302 Found\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n"
            )
            .expect("an answer");
            key
        });
        let key = machine.put("/srv/key", "secret\n");
        let done = tcpwrap(&[
            "bouncer",
            "crowdsec",
            "--once",
            "--url",
            &url,
            "--key-file",
            key.to_str().unwrap(),
        ]);
        let (status, text) = said(&done);
        assert_eq!(status, Some(2), "{text}");
        assert!(
            text.contains("it points to another place; name that with --url"),
            "{text}"
        );
        assert!(answer.join().unwrap(), "the key was for it");
        assert!(other.accept().is_err(), "and came to nobody else");
    });
}
