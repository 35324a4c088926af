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
        .output()
        .expect("it runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (done.status.success(), text(&done.stdout), text(&done.stderr))
}

const UNIT: &str = "[Unit]\nDescription=Web\n[Service]\nType=notify\nEnvironment=A=b\n\
                    ExecStartPre=/bin/true\nExecStart=-/bin/sleep --x \\\n  'a b' %i $A\nCapabilityBoundingSet=CAP_SETUID\n";

fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for directory in ["usr/lib/systemd/system", "etc/systemd/system", "bin"] {
        fs::create_dir_all(root.path().join(directory)).expect("ours");
    }
    for file in ["bin/sleep", "bin/true"] {
        fs::copy("/bin/true", root.path().join(file)).expect("a program");
    }
    // The drop-in names our program by its path, which systemd looks for below the root.
    let ours = program("tcpwrap", "tcpwrap");
    let there = root
        .path()
        .join(ours.strip_prefix("/").expect("an absolute path"));
    fs::create_dir_all(there.parent().expect("a directory")).expect("ours");
    fs::copy(ours, there).expect("a program");
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
    let own = program("tcpwrap", "tcpwrap");
    let own = own.display();
    let (good, shown, _) = tcpwrap(
        root,
        &["attach", "web", "--name", "www", "--rules", "/etc/web rules"],
    );
    assert!(good);
    let line = format!(
        "ExecStart=-{own} run --rules \"/etc/web rules\" --name www -- /bin/sleep --x  'a b' %i $A\n"
    );
    assert!(
        shown.contains(&format!("[Service]\nExecStart=\n{line}")),
        "{shown}"
    );
    assert!(
        shown.contains("CapabilityBoundingSet=CAP_SYS_PTRACE\n"),
        "{shown}"
    );
    let drop_in = root.join("etc/systemd/system/web.service.d/90-tcpwrap.conf");
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
    let verified = Command::new(packaged("systemd-analyze"))
        .args(["verify", "--man=no"])
        .arg(format!("--root={}", root.display()))
        .arg("web.service")
        .output()
        .expect("it runs");
    assert!(verified.status.success(), "{verified:?}");
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
        let drop_in = directory.join("90-tcpwrap.conf");
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
    fs::write(&unit, "[Service]\nExecStart=/bin/sleep 'unbalanced\n").expect("ours");
    let (good, _, problem) = tcpwrap(root, &["attach", "--write", "web"]);
    assert!(
        !good && problem.contains("systemd-analyze verify objects"),
        "{problem}"
    );
    assert!(
        !root
            .join("etc/systemd/system/web.service.d/90-tcpwrap.conf")
            .exists()
    );
    fs::write(&unit, "[Service]\nExecStart=@/bin/sleep zzz 1\n").expect("ours");
    let (good, _, problem) = tcpwrap(root, &["attach", "web"]);
    assert!(!good && problem.contains("cannot be kept"), "{problem}");
    let (good, _, problem) = tcpwrap(root, &["attach", "nosuch"]);
    assert!(
        !good && problem.contains("there is no nosuch.service"),
        "{problem}"
    );
}
