//! Real programs, unmodified: whom the rules allow is served, whom they deny is refused, an edit holds for
//! the next connection, and nothing is left when the program stops.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use supervise_tests::{FRIEND, Guarded, STRANGER, descriptors, guards, no_guard_left, source, talk};
use support::{Daemon, packaged, run};

const PORT: u16 = 7000;

/// Puts a server through it. `say` is what a client says first, `answer` how the server's answer begins.
fn put_to_test(guarded: &Guarded<'_>, command: &mut Command, say: &[u8], answer: &str) {
    let mut daemon = Daemon::start(command);
    guarded.machine.wait_for_port(&format!("{FRIEND}:{PORT}"));
    check(guarded, &mut daemon, say, answer);
    daemon.signal("TERM");
    daemon.ended();
    no_guard_left();
}

fn check(guarded: &Guarded<'_>, daemon: &mut Daemon, say: &[u8], answer: &str) {
    let served = |from| {
        let got = talk(from, PORT, say);
        let good = got.as_ref().is_some_and(|got| got.starts_with(answer.as_bytes()));
        assert!(
            good || got.is_none(),
            "{:?}",
            got.map(|got| String::from_utf8_lossy(&got).into_owned())
        );
        good
    };
    let [guard] = guards()[..] else {
        panic!("one guard, not {:?}: {}", guards(), daemon.output());
    };
    let both = || assert!(served(FRIEND) && !served(STRANGER), "{}", daemon.output());
    both();
    let before = descriptors(guard);
    (0..20).for_each(|_| both());
    guarded.allow(STRANGER);
    assert!(!served(FRIEND) && served(STRANGER), "{}", daemon.output());
    guarded.allow(FRIEND);
    both();
    // Two for each thread that has accepted, of which the first visits met some; 40 connections were more.
    assert!(
        descriptors(guard) <= before + 20,
        "the guard kept {} descriptors, {before} before",
        descriptors(guard)
    );
    assert!(daemon.is_running());
}

#[test]
fn sshd_that_does_not_use_libwrap() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let key = machine.directory().join("key");
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key));
        std::fs::create_dir_all("/run/sshd").expect("ours");
        let key = key.to_str().expect("text");
        let mut arguments = vec!["-e", "-f", "/dev/null", "-p", "7000", "-h", key];
        // However long those take to end whose clients are gone.
        arguments.extend(["-o", "MaxStartups=1000"]);
        // Since OpenSSH 9.8 who connects without logging in is soon sent away.
        let patient = ["-o", "PerSourcePenalties=no"];
        let knows = Command::new(packaged("sshd"))
            .arg("-t")
            .args(&arguments)
            .args(patient)
            .output();
        if knows.is_ok_and(|done| done.status.success()) {
            arguments.extend(patient);
        }
        let mut command = guarded.run(packaged("sshd"));
        command.arg("-D").args(arguments);
        put_to_test(&guarded, &mut command, b"", "SSH-2.0-");
    });
}

fn nginx(guarded: &Guarded<'_>, listen: &str) {
    let directory = guarded.machine.directory().display();
    let configuration = format!(
        "daemon off; master_process on; worker_processes 3; user nobody nogroup; pid {directory}/pid;\n\
         error_log stderr; events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;\n\
         fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;\n\
         server {{ listen {listen}; return 200 ok; }} }}\n"
    );
    let file = guarded.machine.directory().join("nginx.conf");
    std::fs::write(&file, configuration).expect("ours");
    let mut command = guarded.run(packaged("nginx"));
    command.arg("-c").arg(file);
    put_to_test(guarded, &mut command, b"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200");
}

#[test]
fn nginx_with_three_workers() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        nginx(&guarded, "7000");
        nginx(&guarded, "7000 reuseport");
    });
}

/// Processes that accept in turn, and a thread that accepts for the others.
#[test]
fn apache_with_each_of_its_process_models() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let directory = machine.directory().display();
        for model in ["prefork", "event", "worker"] {
            let configuration = format!(
                "ServerRoot {directory}\nServerName test\nListen 7000\nPidFile {directory}/pid\n\
                 User nobody\nGroup nogroup\nErrorLog /dev/stderr\nDocumentRoot /srv\n\
                 LoadModule mpm_{model}_module /usr/lib/apache2/modules/mod_mpm_{model}.so\n\
                 LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n"
            );
            let file = machine.directory().join("apache.conf");
            std::fs::write(&file, configuration).expect("ours");
            let mut command = guarded.run(packaged("apache2"));
            // It ends its whole process group with itself.
            command.process_group(0);
            command.args(["-DFOREGROUND", "-f"]).arg(file);
            put_to_test(&guarded, &mut command, b"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 404");
        }
    });
}

#[test]
fn haproxy_with_two_threads() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let configuration = "global\n nbthread 2\ndefaults\n mode http\n timeout connect 5s\n timeout client 5s\n \
                             timeout server 5s\nfrontend test\n bind :7000\n http-request return status 200\n";
        let file = machine.directory().join("haproxy.cfg");
        std::fs::write(&file, configuration).expect("ours");
        for mode in ["-db", "-Ws"] {
            let mut command = guarded.run(packaged("haproxy"));
            command.args([mode, "-f"]).arg(&file);
            put_to_test(&guarded, &mut command, b"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200");
        }
    });
}

#[test]
fn python_asyncio() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let mut command = guarded.run(packaged("python3"));
        command.arg(source("server.py"));
        put_to_test(&guarded, &mut command, b"", "hello");
    });
}

#[test]
fn java_with_a_thread_per_connection() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let classes = machine.directory().join("classes");
        run(Command::new("javac")
            .arg("-d")
            .arg(&classes)
            .arg(source("Server.java")));
        let mut command = guarded.run(packaged("java"));
        command.args(["-Xshare:auto", "-cp"]).arg(classes).arg("Server");
        put_to_test(&guarded, &mut command, b"", "hello");
    });
}

#[test]
fn a_static_go_program() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let program = machine.directory().join("go-server");
        // Kept between runs: it takes Go half a minute to build its library.
        let cache = support::target().with_file_name("go-cache");
        run(Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(source("server.go"))
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=mod")
            .env("GOPATH", cache.join("path"))
            .env("GOCACHE", cache));
        let mut command = guarded.run(program);
        // Each of its threads may accept, and there are more of them where there are more processors.
        put_to_test(&guarded, command.env("GOMAXPROCS", "2"), b"", "hello");
    });
}

#[test]
fn static_musl_and_every_way_to_accept() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let program = guarded.c_program("server", &["musl-gcc", "-static"]);
        for how in ["threads", "processes", "fork", "poll", "edges"] {
            let mut command = guarded.run(&program);
            put_to_test(&guarded, command.args([how, "7000"]), b"", "hello");
        }
    });
}

#[test]
fn redis() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let mut command = guarded.run(packaged("redis-server"));
        command.args([
            "--port",
            "7000",
            "--bind",
            FRIEND,
            "--save",
            "",
            "--protected-mode",
            "no",
            "--dir",
        ]);
        command.arg(machine.directory());
        put_to_test(&guarded, &mut command, b"PING\r\n", "+PONG");
    });
}

/// The newest PostgreSQL's programs.
fn postgresql() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("see packages.txt");
    let newest = versions
        .flatten()
        .map(|entry| entry.path())
        .max()
        .expect("a version");
    newest.join("bin")
}

#[test]
fn postgresql_of_an_ordinary_user() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let data = machine.directory().join("data");
        let bin = postgresql();
        std::fs::create_dir(&data).expect("ours");
        run(Command::new("chown").arg("postgres:").arg(&data));
        let as_user = |program: &Path| {
            let mut command = Command::new("setpriv");
            command
                .args([
                    "--reuid",
                    "postgres",
                    "--regid",
                    "postgres",
                    "--init-groups",
                    "--",
                ])
                .arg(program);
            command.current_dir(machine.directory());
            command
        };
        run(as_user(&bin.join("initdb"))
            .args(["-A", "trust", "--no-sync", "--no-locale", "-D"])
            .arg(&data));
        let wrapped = guarded.run(bin.join("postgres"));
        let mut command = as_user(Path::new(wrapped.get_program()));
        command.args(wrapped.get_args()).arg("-D").arg(&data);
        command
            .args(["-p", "7000", "-h", "0.0.0.0", "-c", "unix_socket_directories="])
            .arg("-F");
        // A request for encryption, which is answered by one letter.
        let request = [0, 0, 0, 8, 4, 210, 22, 47];
        let mut daemon = Daemon::start(&mut command);
        machine.wait_for_port(&format!("{FRIEND}:{PORT}"));
        let served = |from| talk_one(from, &request) == Some(b'N');
        for _ in 0..5 {
            assert!(served(FRIEND) && !served(STRANGER), "{}", daemon.output());
        }
        guarded.allow(STRANGER);
        assert!(!served(FRIEND) && served(STRANGER), "{}", daemon.output());
        daemon.signal("INT");
        daemon.ended();
        no_guard_left();
    });
}

/// The first byte of an answer.
fn talk_one(from: &str, say: &[u8]) -> Option<u8> {
    use std::io::{Read, Write};
    let mut stream = supervise_tests::connect(from, PORT).ok()?;
    let _ = stream.write_all(say);
    let mut byte = [0];
    (stream.read(&mut byte).ok()? == 1).then_some(byte[0])
}

#[test]
fn a_socket_from_systemd() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let wrapped = guarded.run(packaged("python3"));
        let mut command = Command::new(packaged("systemd-socket-activate"));
        command
            .args(["-l", "0.0.0.0:7000"])
            .arg(wrapped.get_program())
            .args(wrapped.get_args());
        command.arg(source("server.py"));
        // The first client starts it, and is decided about like any other.
        let mut daemon = Daemon::start(&mut command);
        daemon.wait_for("Listening on");
        assert!(talk(STRANGER, PORT, b"").is_none(), "{}", daemon.output());
        check(&guarded, &mut daemon, b"", "hello");
        daemon.signal("TERM");
        daemon.ended();
        no_guard_left();
    });
}

#[test]
fn a_program_in_a_network_of_its_own() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        // The guard stays outside, also when it has to wake the program.
        supervise_tests::dns::serve(machine, Some(std::time::Duration::from_millis(100)));
        guarded.rules("ALL: .example\n", "ALL: ALL\n");
        let script = "ip link set lo up; ip address add 192.0.2.1/24 dev lo; exec \"$@\"";
        let program = guarded.c_program("server", &[]);
        let mut command = guarded.run(packaged("unshare"));
        command
            .args(["--net", "sh", "-c", script, "-"])
            .arg(program)
            .args(["edges", "7000"]);
        let mut daemon = Daemon::start(&mut command);
        let id = daemon.id();
        let client = "exec 3<>/dev/tcp/192.0.2.1/7000 && read -t 5 line <&3 && echo \"$line\"";
        let answer = support::wait_until("an answer", || {
            let target = format!("--target={id}");
            let done = Command::new("nsenter")
                .args([&target, "--net", "bash", "-c", client])
                .output()
                .expect("it runs");
            done.status.success().then_some(done.stdout)
        });
        assert_eq!(answer, b"hello\n", "{}", daemon.output());
        daemon.signal("TERM");
        daemon.ended();
        no_guard_left();
    });
}

#[test]
fn a_name_of_its_own() {
    support::alone(|machine| {
        let guarded = Guarded::new(machine);
        let told = |options: &[&str]| {
            let mut command = guarded.run_with(options, "cat");
            run(command.arg("/proc/self/cmdline")).stdout
        };
        assert_eq!(told(&[]), b"cat\0/proc/self/cmdline\0");
        assert_eq!(told(&["--argv0=-my name"]), b"-my name\0/proc/self/cmdline\0");
    });
}
