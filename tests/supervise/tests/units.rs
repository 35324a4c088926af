//! `tcpwrap attach` and `detach`: units that systemd itself finds in order.

use std::fs;
use std::process::Command;

use supervise_tests::units::{OURS, UNIT, attached, commands, machine, tcpwrap, verifies_elsewhere};
use support::{packaged, run};

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
