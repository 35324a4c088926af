//! What `tcpwrap attach` refuses to install, and says of it.

use std::fs;
use std::path::Path;

use supervise_tests::units::{OURS, attached, below, commands, machine, tcpwrap, verifies_elsewhere};

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
