//! `tcpwrap attach` and `detach`: units that systemd itself finds in order.

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{packaged, program, run};

fn tcpwrap(root: &Path, arguments: &[&str]) -> (bool, String, String) {
    let done = Command::new(program("tcpwrap", "tcpwrap"))
        .args(arguments)
        .arg("--root")
        .arg(root)
        .args(if arguments[0] == "attach" && !arguments.contains(&"--tcpwrap") {
            &["--tcpwrap", OURS][..]
        } else {
            &[]
        })
        .output()
        .expect("it runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (done.status.success(), text(&done.stdout), text(&done.stderr))
}

/// Where our program is on the system below the root.
const OURS: &str = "/usr/bin/tcpwrap";

const UNIT: &str = "[Unit]\nDescription=Web\n[Service]\nType=notify\nEnvironment=A=b\n\
                    ExecStartPre=/bin/true\nExecStart=-/bin/sleep --x \\\n  'a b' %i $A\nCapabilityBoundingSet=CAP_SETUID\n";

fn below(root: &Path, path: &str) -> std::path::PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for directory in ["usr/lib/systemd/system", "etc/systemd/system", "bin"] {
        fs::create_dir_all(root.path().join(directory)).expect("ours");
    }
    for file in ["bin/sleep", "bin/true"] {
        fs::copy("/bin/true", root.path().join(file)).expect("a program");
    }
    fs::create_dir(root.path().join("usr/bin")).expect("ours");
    fs::copy(program("tcpwrap", "tcpwrap"), below(root.path(), OURS)).expect("a program");
    fs::write(root.path().join("etc/hosts.allow"), "ALL: 192.0.2.1\n").expect("ours");
    for unit in [
        "sysinit.target",
        "basic.target",
        "shutdown.target",
        "system.slice",
        "-.slice",
    ] {
        fs::write(
            root.path().join("usr/lib/systemd/system").join(unit),
            "[Unit]\nDescription=x\n",
        )
        .expect("ours");
    }
    fs::write(root.path().join("usr/lib/systemd/system/web.service"), UNIT).expect("ours");
    root
}

#[test]
fn attach_shows_and_installs_and_detach_removes() {
    let root = machine();
    let root = root.path();
    let own = OURS;
    let (good, shown, _) = tcpwrap(
        root,
        &["attach", "web", "--name", "www", "--rules", "/etc/web rules"],
    );
    assert!(good);
    let line = format!(
        "ExecStart=-{own} run --rules \"/etc/web rules\" --name=www -- /bin/sleep --x  'a b' %i $A\n"
    );
    assert!(
        shown.contains(&format!("[Service]\nExecStart=\n{line}")),
        "{shown}"
    );
    assert!(
        shown.contains("CapabilityBoundingSet=CAP_SYS_PTRACE\n"),
        "{shown}"
    );
    let drop_in = root.join("etc/systemd/system/web.service.d/zz-tcpwrap.conf");
    assert!(!drop_in.exists());

    let (good, said, problem) = tcpwrap(root, &["attach", "--write", "web.service"]);
    assert!(
        good && said.contains("systemctl daemon-reload"),
        "{said}{problem}"
    );
    let text = fs::read_to_string(&drop_in).expect("installed");
    assert!(
        text.contains(&format!("ExecStart=-{own} run -- /bin/sleep")),
        "{text}"
    );
    if verifies_elsewhere() {
        let verified = Command::new(packaged("systemd-analyze"))
            .args(["verify", "--man=no"])
            .arg(format!("--root={}", root.display()))
            .arg("web.service")
            .output()
            .expect("it runs");
        assert!(verified.status.success(), "{verified:?}");
    }
    // Again: what is there is ours, and is not wrapped twice.
    assert!(tcpwrap(root, &["attach", "--write", "web"]).0);
    assert_eq!(fs::read_to_string(&drop_in).expect("installed"), text);

    let (good, said, _) = tcpwrap(root, &["detach", "web"]);
    assert!(good && said.contains("removed"));
    assert!(!drop_in.exists() && !drop_in.parent().expect("a directory").exists());
    let (good, _, problem) = tcpwrap(root, &["detach", "web"]);
    assert!(
        !good && problem.contains("web.service is not attached"),
        "{problem}"
    );
}

/// What a service prints goes to the log under the program's name, with `tcpwrap run` before it too.
#[test]
fn the_log_names_the_program() {
    let root = machine();
    let root = root.path();
    let unit = root.join("usr/lib/systemd/system/web.service");
    for (text, identifier) in [
        ("ExecStart=-\"/usr/bin/a b\" --x", Some("a b")),
        ("ExecStart=@/usr/bin/web another", Some("web")),
        ("Type=oneshot\nExecStart=/bin/a 1 ; /bin/a 2", Some("a")),
        ("Type=oneshot\nExecStart=/bin/a\nExecStart=/bin/b", None),
        ("ExecStart=/bin/a\nSyslogIdentifier=its-own", None),
    ] {
        fs::write(&unit, format!("[Service]\n{text}\n")).expect("ours");
        let (good, shown, said) = tcpwrap(root, &["attach", "web"]);
        assert!(good, "{said}");
        let found = shown
            .lines()
            .find_map(|line| line.strip_prefix("SyslogIdentifier="));
        assert_eq!(found, identifier, "{shown}");
    }
}

/// Can `systemd-analyze` verify units below a directory? It has since systemd 250.
fn verifies_elsewhere() -> bool {
    let output = run(Command::new(packaged("systemd-analyze")).arg("--version"));
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok());
    version.is_some_and(|number: u32| number >= 250)
}

/// A service whose drop-in ends after the first `ExecStart=` does not start.
#[test]
fn a_full_disk_leaves_no_half_of_a_drop_in() {
    support::alone(|_| {
        let root = machine();
        let root = root.path();
        let directory = root.join("etc/systemd/system/web.service.d");
        fs::create_dir(&directory).expect("ours");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8k", "tmpfs"])
            .arg(&directory));
        let drop_in = directory.join("zz-tcpwrap.conf");
        for old in [None, Some("[Service]\nExecStart=\nExecStart=/bin/true\n")] {
            if let Some(old) = old {
                fs::remove_file(directory.join("full")).expect("ours");
                fs::write(&drop_in, old).expect("there is room");
            }
            let _ = fs::write(directory.join("full"), [0; 8192]);
            let (good, _, problem) = tcpwrap(root, &["attach", "--write", "web"]);
            assert!(!good && problem.contains("No space left on device"), "{problem}");
            assert_eq!(fs::read_to_string(&drop_in).ok().as_deref(), old);
        }
    });
}

#[test]
fn what_systemd_objects_to_is_not_installed() {
    let root = machine();
    let root = root.path();
    let unit = root.join("usr/lib/systemd/system/web.service");
    fs::write(unit, "[Service]\nExecStart=/bin/true\n").expect("ours");
    fs::remove_file(below(root, OURS)).expect("ours");
    if verifies_elsewhere() {
        let (good, _, problem) = tcpwrap(root, &["attach", "--write", "--force", "web"]);
        assert!(
            !good && problem.contains("systemd-analyze verify objects"),
            "{problem}"
        );
        assert!(
            !root
                .join("etc/systemd/system/web.service.d/zz-tcpwrap.conf")
                .exists()
        );
    }
    let (good, _, problem) = tcpwrap(root, &["attach", "nosuch"]);
    assert!(
        !good && problem.contains("there is no nosuch.service"),
        "{problem}"
    );
}

/// The unit `name` below `root` is made of `text`, and `attach --write` has to accept it. Returns the drop-in's
/// commands without the path of our program.
fn attached(root: &Path, name: &str, text: &str, options: &[&str]) -> Vec<String> {
    let unit = root
        .join("usr/lib/systemd/system")
        .join(format!("{name}.service"));
    fs::write(unit, text).expect("ours");
    let (good, _, problem) = tcpwrap(root, &[&["attach", "--write", name], options].concat());
    assert!(good, "{name}: {problem}");
    commands(root, name)
}

fn commands(root: &Path, name: &str) -> Vec<String> {
    let drop_in = root.join(format!("etc/systemd/system/{name}.service.d/zz-tcpwrap.conf"));
    let text = fs::read_to_string(&drop_in).unwrap_or_else(|error| panic!("{}: {error}", drop_in.display()));
    let lines = text.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    lines.skip(1).map(|line| line.replace(OURS, "tcpwrap")).collect()
}

#[test]
fn every_command_of_a_service_is_guarded() {
    let root = machine();
    let root = root.path();
    let text = "[Service]\nType=oneshot\nExecStart=@/bin/true \"my name\" a ; -/bin/true b\n\
                ExecStart=:/bin/true $x \\; c\nExecStart=!/bin/true\n";
    fs::create_dir_all(root.join("a$b %c")).expect("ours");
    fs::write(root.join("a$b %c/hosts.deny"), "ALL: ALL\n").expect("ours");
    assert_eq!(
        attached(root, "web", text, &["--rules", "/a$b %c", "--name=-x y"]),
        [
            "tcpwrap run --rules \"/a$$b %%c\" \"--name=-x y\" --argv0=\"my name\" -- /bin/true a",
            "-tcpwrap run --rules \"/a$$b %%c\" \"--name=-x y\" -- /bin/true b",
            ":tcpwrap run --rules \"/a$b %%c\" \"--name=-x y\" -- /bin/true $x \\; c",
            "!tcpwrap run --rules \"/a$$b %%c\" \"--name=-x y\" -- /bin/true",
        ]
    );
    // A line of its own would be a command of its own.
    let rules = "/a\nExecStartPre=/bin/evil";
    let (good, shown, _) = tcpwrap(root, &["attach", "web", "--rules", rules]);
    assert!(
        good && shown.contains("--rules \"/a\\x0aExecStartPre=/bin/evil\""),
        "{shown}"
    );
}

#[test]
fn the_drop_in_has_the_last_word() {
    let root = machine();
    let root = root.path();
    let directory = root.join("etc/systemd/system/web.service.d");
    fs::create_dir(&directory).expect("ours");
    let other = "[Service]\nExecStart=\nExecStart=/bin/true other\n";
    fs::write(directory.join("override.conf"), other).expect("ours");
    assert_eq!(
        attached(root, "web", UNIT, &[]),
        ["tcpwrap run -- /bin/true other"]
    );
    fs::write(directory.join("zzz.conf"), other).expect("ours");
    let (good, _, problem) = tcpwrap(root, &["attach", "--write", "web"]);
    assert!(
        !good && problem.contains("zzz.conf: this sets ExecStart, and is read after"),
        "{problem}"
    );
}

/// Of drop-ins with one name, that of the instance counts, then that of the template, then the general ones.
#[test]
fn drop_ins_are_found_where_systemd_finds_them() {
    let root = machine();
    let root = root.path();
    let system = root.join("usr/lib/systemd/system");
    let put = |directory: &str, file: &str, word: &str| {
        let directory = system.join(directory);
        fs::create_dir_all(&directory).expect("ours");
        let text = format!("[Service]\nExecStart=\nExecStart=/bin/true {word}\n");
        fs::write(directory.join(file), text).expect("ours");
    };
    let unit = "[Service]\nExecStart=/bin/true\n";
    fs::write(system.join("a-b@.service"), unit).expect("ours");
    for (directory, word) in [
        ("service.d", "all"),
        ("a-@.service.d", "prefix"),
        ("a-b@.service.d", "template"),
        ("a-b@c.service.d", "instance"),
    ] {
        put(directory, "x.conf", word);
        let (good, _, problem) = tcpwrap(root, &["attach", "--write", "a-b@c"]);
        assert!(good, "{problem}");
        assert_eq!(
            commands(root, "a-b@c"),
            [format!("tcpwrap run -- /bin/true {word}")]
        );
    }
}

/// Links in an image name files of the image.
#[test]
fn an_alias_stands_for_the_unit() {
    let root = machine();
    let root = root.path();
    let etc = root.join("etc/systemd/system");
    let unit = "[Service]\nExecStart=/bin/true\n";
    std::os::unix::fs::symlink("/usr/lib/systemd/system/web.service", etc.join("www.service")).expect("ours");
    fs::create_dir(etc.join("www.service.d")).expect("ours");
    let more = "[Service]\nExecStart=\nExecStart=/bin/true alias\n";
    fs::write(etc.join("www.service.d/a.conf"), more).expect("ours");
    assert_eq!(
        attached(root, "web", unit, &[]),
        ["tcpwrap run -- /bin/true alias"]
    );
    let (good, said, problem) = tcpwrap(root, &["detach", "www"]);
    assert!(good && said.contains("restart web.service"), "{said}{problem}");
    let (good, _, problem) = tcpwrap(root, &["attach", "--write", "www"]);
    assert!(good, "{problem}");
    assert_eq!(commands(root, "web"), ["tcpwrap run -- /bin/true alias"]);
}

#[test]
fn what_systemd_says_without_the_drop_in_is_no_objection_to_it() {
    let root = machine();
    let root = root.path();
    let unit = "[Service]\nExecStart=/bin/true\nExecStop=/bin/nosuch\n";
    fs::write(root.join("usr/lib/systemd/system/web.service"), unit).expect("ours");
    let (good, _, said) = tcpwrap(root, &["attach", "--write", "web"]);
    assert!(good && said.contains("without the drop-in too:"), "{said}");
    assert_eq!(commands(root, "web"), ["tcpwrap run -- /bin/true"]);
}

#[test]
fn what_cannot_be_guarded_is_refused() {
    let root = machine();
    let root = root.path();
    let system = root.join("usr/lib/systemd/system");
    for (name, text, problem) in [
        (
            "web@",
            "ExecStart=/bin/true\nStandardInput=socket\n",
            "put tcpd before",
        ),
        (
            "web",
            "ExecStart=/opt/tcpwrap run -- /bin/true\n",
            "is started by tcpwrap already",
        ),
        ("web", "ExecStop=/bin/true\n", "web.service has no ExecStart"),
        ("web", "ExecStart=@/bin/true\n", "needs a name"),
    ] {
        fs::write(
            system.join(format!("{name}.service")),
            format!("[Service]\n{text}"),
        )
        .expect("ours");
        let (good, _, said) = tcpwrap(root, &["attach", name]);
        assert!(!good && said.contains(problem), "{said}");
    }
    fs::write(system.join("web.service"), "[Service]\nExecStart=/bin/true\n").expect("ours");
    let (good, _, said) = tcpwrap(root, &["attach", "--write", "web", "--rules", "/nosuch"]);
    assert!(!good && said.contains("no such directory of rules"), "{said}");
    std::os::unix::fs::symlink("/dev/null", root.join("etc/systemd/system/web.service")).expect("ours");
    let (good, _, said) = tcpwrap(root, &["attach", "web"]);
    assert!(!good && said.contains("web.service is masked"), "{said}");
    assert_eq!(
        fs::read_dir(root.join("etc/systemd/system"))
            .expect("ours")
            .count(),
        1
    );
}

#[test]
fn what_a_unit_restricts_is_permitted_to_the_guard() {
    let root = machine();
    let root = root.path();
    let unit = root.join("usr/lib/systemd/system/web.service");
    for (restriction, permitted) in [
        ("CapabilityBoundingSet=", "CapabilityBoundingSet=CAP_SYS_PTRACE"),
        ("SystemCallFilter=~@debug", "SystemCallFilter=seccomp"),
        ("SystemCallFilter=~@debug\nSystemCallFilter=", ""),
        ("NoExecPaths=/\nExecPaths=/bin /lib", "ExecPaths=/"),
        (
            "ProtectSystem=strict",
            "ReadWritePaths=-/run/tcpwrap -/var/lib/tcpwrap",
        ),
        ("ProtectSystem=full", ""),
        ("RootDirectory=/srv", ""),
        ("Type=forking", ""),
    ] {
        let text = format!("[Service]\nExecStart=/bin/true\n{restriction}\n");
        fs::write(&unit, text).expect("ours");
        let (good, shown, said) = tcpwrap(root, &["attach", "web"]);
        let added = shown.split_once("these.\n").map_or("", |(_, added)| added);
        assert!(
            good && added.starts_with(permitted) && added.is_empty() == permitted.is_empty(),
            "{shown}"
        );
        assert_eq!(
            said.contains("a root directory of its own"),
            restriction.starts_with("RootDirectory"),
            "{said}"
        );
        assert_eq!(
            said.contains("without PIDFile="),
            restriction == "Type=forking",
            "{said}"
        );
    }
}

/// What `attach --write` says of a unit, which must have installed nothing.
fn refused(root: &Path, settings: &str, options: &[&str]) -> String {
    let unit = root.join("usr/lib/systemd/system/web.service");
    fs::write(unit, format!("[Service]\nExecStart=/bin/true\n{settings}\n")).expect("ours");
    let (good, _, problem) = tcpwrap(root, &[&["attach", "--write", "web"], options].concat());
    assert!(!good, "{settings} {options:?}");
    let drop_in = below(root, "/etc/systemd/system/web.service.d/zz-tcpwrap.conf");
    assert!(!drop_in.exists(), "{problem}");
    problem
}

#[test]
fn a_tcpwrap_that_the_service_cannot_start_is_refused() {
    let root = machine();
    let root = root.path();
    let put = |path: &str| {
        let there = below(root, path);
        fs::create_dir_all(there.parent().expect("a directory")).expect("ours");
        fs::copy(below(root, OURS), there).expect("a program");
    };
    for path in [
        "/srv/target/debug/tcpwrap",
        "/root/tcpwrap",
        "/var/tmp/tcpwrap",
        "/opt/a/tcpwrap",
    ] {
        put(path);
    }
    fs::write(below(root, "/srv/target/CACHEDIR.TAG"), "").expect("ours");
    chmod(&below(root, "/root"), 0o700);
    chmod(&below(root, "/opt/a"), 0o777);
    for (settings, path, problem) in [
        ("", "/nowhere/tcpwrap", "there is no"),
        ("", "/srv/target/debug/tcpwrap", "is in a build folder"),
        ("", "/var/tmp/tcpwrap", "a folder for what does not last"),
        ("", "/opt/a/tcpwrap", "may be changed by others than root"),
        (
            "User=nobody",
            "/root/tcpwrap",
            "is for root alone, and web.service has another user",
        ),
        ("DynamicUser=yes", "/root/tcpwrap", "is for root alone"),
        (
            "ProtectHome=true",
            "/root/tcpwrap",
            "ProtectHome= of web.service hides /root/tcpwrap",
        ),
        (
            "PrivateTmp=yes",
            "/var/tmp/tcpwrap",
            "PrivateTmp= of web.service hides",
        ),
        (
            "InaccessiblePaths=-/opt /root",
            "/root/tcpwrap",
            "InaccessiblePaths= of web.service hides",
        ),
        (
            "TemporaryFileSystem=/root:ro",
            "/root/tcpwrap",
            "TemporaryFileSystem= of web.service hides",
        ),
        ("RootDirectory=/srv", OURS, "there is no"),
    ] {
        let told = refused(root, settings, &["--tcpwrap", path]);
        assert!(told.contains(problem), "{settings} {told}");
    }
}

fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

#[test]
fn rules_that_are_not_there_are_refused() {
    let root = machine();
    let root = root.path();
    fs::create_dir(root.join("empty")).expect("ours");
    for (options, problem) in [
        (&["--rules", "/nosuch"][..], "no such directory of rules"),
        (&["--rules", "/empty"], "neither hosts.allow nor hosts.deny"),
        (&["--allow", "/nosuch"], "there is no such file"),
        (
            &["--deny", "/etc/hosts.allow", "--allow", "/nosuch"],
            "there is no such file",
        ),
    ] {
        let told = refused(root, "", options);
        assert!(told.contains(problem), "{told}");
    }
    let told = refused(root, "ProtectHome=yes", &["--rules", "/home/rules"]);
    assert!(
        told.contains("ProtectHome= of web.service hides /home/rules/hosts.allow"),
        "{told}"
    );
    fs::write(root.join("etc/hosts.allow"), "# nothing\n").expect("ours");
    let told = refused(root, "", &[]);
    assert!(told.contains("so everybody would be let in"), "{told}");
    // Who knows better has the last word.
    let unit = "[Service]\nExecStart=/bin/true\n";
    assert_eq!(
        attached(root, "web", unit, &["--force"]),
        ["tcpwrap run -- /bin/true"]
    );
}

#[test]
fn options_are_passed_on() {
    let root = machine();
    let root = root.path();
    fs::write(root.join("etc/other"), "ALL: ALL\n").expect("ours");
    let unit = "[Service]\nExecStart=/bin/true\n";
    assert_eq!(
        attached(
            root,
            "web",
            unit,
            &[
                "--allow",
                "/etc/other",
                "--deny",
                "/etc/other",
                "--log",
                "json",
                "--io-uring",
                "allow",
                "--if-guard-dies",
                "refuse"
            ]
        ),
        [
            "tcpwrap run --allow /etc/other --deny /etc/other --log json --io-uring allow --if-guard-dies refuse -- /bin/true"
        ]
    );
}

#[test]
fn who_would_lock_himself_out_is_told_before() {
    let root = machine();
    let root = root.path();
    fs::write(root.join("etc/hosts.deny"), "ALL: ALL\n").expect("ours");
    let system = root.join("usr/lib/systemd/system");
    fs::write(system.join("ssh.service"), "[Service]\nExecStart=/bin/sshd -D\n").expect("ours");
    fs::copy("/bin/true", root.join("bin/sshd")).expect("a program");
    let attach = |unit: &str, client: &str| tcpwrap(root, &["attach", "--write", unit, "--client", client]);
    let (good, _, said) = attach("ssh", "192.0.2.2");
    assert!(
        !good && said.contains("you, at 192.0.2.2, would be refused by sshd"),
        "{said}"
    );
    let (good, _, said) = attach("ssh", "192.0.2.1");
    assert!(good && !said.contains("refused"), "{said}");
    // That a web server refuses somebody keeps him out of nothing.
    let (good, _, said) = attach("web", "192.0.2.2");
    assert!(
        good && said.contains("you, at 192.0.2.2, would be refused by sleep"),
        "{said}"
    );
}

#[test]
fn what_is_attached_is_listed() {
    let root = machine();
    let root = root.path();
    let list = || {
        let (good, shown, problem) = tcpwrap(root, &["attach", "--list"]);
        assert!(good, "{problem}");
        shown
    };
    assert_eq!(list(), "No service is attached.\n");
    let unit = "[Service]\nExecStart=@/bin/true name 'a b'\n";
    attached(
        root,
        "web",
        unit,
        &["--name", "www data", "--allow", "/etc/hosts.allow"],
    );
    assert_eq!(
        list(),
        "web.service  installed  (as www data --allow /etc/hosts.allow)\n"
    );
    let (_, json, _) = tcpwrap(root, &["attach", "--list", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let one = &json["result"]["attached"][0];
    assert_eq!(
        (&one["unit"], &one["daemons"][0]),
        (&"web.service".into(), &"www data".into())
    );
    fs::write(
        root.join("usr/lib/systemd/system/web.service"),
        unit.replace("a b", "c"),
    )
    .expect("ours");
    assert!(
        list().contains("web.service  the unit has changed: attach it again"),
        "{}",
        list()
    );
    fs::remove_file(root.join("usr/lib/systemd/system/web.service")).expect("ours");
    assert!(list().contains("there is no such unit"), "{}", list());
}
