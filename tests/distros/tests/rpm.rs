//! The packages for Fedora and RHEL: installed into a root directory of their own. No Fedora can be had where these
//! tests run, so this shows that rpm takes them, what they hold and provide, and that the programs in them start;
//! not how they live beside Fedora's own packages.

use std::path::PathBuf;
use std::process::Command;

use support::target;

fn output(command: &mut Command) -> String {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{command:?}\n{printed}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    printed
}

fn packages() -> Vec<PathBuf> {
    let found = output(
        Command::new("find")
            .arg(target().join("rpm/RPMS"))
            .args(["-name", "*.rpm"]),
    );
    found.lines().map(PathBuf::from).collect()
}

#[test]
fn rpm_installs_and_removes_them() {
    let root = tempfile::tempdir().expect("a directory");
    let rpm = |words: &[&str]| {
        let mut command = Command::new("rpm");
        command.arg("--root").arg(root.path()).args(words);
        command
    };
    output(&mut rpm(&["--initdb"]));
    // The rest of the distribution is not there.
    output(rpm(&["--install", "--nodeps"]).args(packages()));
    let provided = output(&mut rpm(&["-qa", "--provides"]));
    for wanted in [
        "libwrap.so.0()(64bit)",
        "tcp_wrappers-libs = 7.6",
        "tcp_wrappers = 7.6",
    ] {
        assert!(
            provided.lines().any(|line| line == wanted),
            "{wanted}: {provided}"
        );
    }
    let files = output(&mut rpm(&["-qal"]));
    for wanted in [
        "/usr/bin/tcpwrap",
        "/usr/sbin/tcpd",
        "/usr/lib64/libwrap.so.0",
        "/usr/include/tcpd.h",
    ] {
        assert!(
            files.lines().any(|line| line.ends_with(wanted)),
            "{wanted}: {files}"
        );
    }
    assert!(!files.contains("/etc/hosts."), "{files}");
    let version = output(Command::new(root.path().join("usr/bin/tcpwrap")).arg("--version"));
    assert!(version.starts_with("tcpwrap "), "{version}");
    output(&mut rpm(&["--verify", "--nodeps", "-a"]));
    output(&mut rpm(&[
        "--erase",
        "--nodeps",
        "tcpwrap",
        "tcpwrap-libs",
        "tcpwrap-tcpd",
        "tcpwrap-devel",
    ]));
    assert!(!root.path().join("usr/bin/tcpwrap").exists());
}
