//! `tcpwrap check --fix`: what it mends, and what it keeps.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Rules {
    directory: tempfile::TempDir,
}

impl Rules {
    fn new(allow: &str, deny: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("hosts.allow"), allow).unwrap();
        std::fs::write(directory.path().join("hosts.deny"), deny).unwrap();
        Rules { directory }
    }

    fn allow(&self) -> PathBuf {
        self.directory.path().join("hosts.allow")
    }

    fn check(&self, arguments: &[&str]) -> Output {
        check(self.directory.path(), arguments)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.allow()).unwrap()
    }
}

fn check(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["check", "--rules"])
        .arg(directory)
        .args(arguments)
        .output()
        .unwrap()
}

const BROKEN: &str = "# the office\r\nsshd: 2001:db8::1, ::1, 10.0.0.1 # upstairs\r\n  # indented\r\n\
    sshd: [10.0.0.2], [::ffff:10.0.0.3], 10.0.0.4/255.255.255.255\r\n\
    vsftpd: 10.0.0.5 : allow : severity auth.info\r\nvsftpd: 10.0.0.6 :\r\n\
    vsftpd: 10.0.0.7 : spawn echo at: home\r\nvsftpd: [2001:db8::/32], 10.0.0.0/28x, 010.1.2.3";

const MENDED: &str = "# the office\n# upstairs\nsshd: [2001:db8::1], [::1], 10.0.0.1\n# indented\n\
    sshd: 10.0.0.2, 10.0.0.3, 10.0.0.4\n\
    vsftpd: 10.0.0.5 : severity auth.info : allow\nvsftpd: 10.0.0.6\n\
    vsftpd: 10.0.0.7 : spawn echo at\\: home\nvsftpd: [2001:db8::]/32, 10.0.0.0/28, 10.1.2.3\n";

#[test]
fn safe_mistakes_are_mended_and_nothing_else_is_touched() {
    let rules = Rules::new(BROKEN, "ALL: ALL\n");
    let output = rules.check(&["--fix"]);
    assert_eq!(rules.text(), MENDED);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("mended 1"), "{said}");
    assert!(
        said.contains("each confirmed by deciding the request shown"),
        "{said}"
    );
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stdout)),
        (Some(0), "ok: 7 rules, no findings\n".into())
    );
    let again = rules.check(&["--fix"]);
    assert_eq!(
        (again.status.code(), again.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}

#[test]
fn doubtful_mistakes_are_left_and_reported() {
    let allow = "sshd: 10.1.2.3/8\nssh: 192.168\nsshd: example.com\n";
    let rules = Rules::new(allow, "ALL: ALL\n");
    let output = rules.check(&["--fix"]);
    assert_eq!(rules.text(), allow);
    assert_eq!(output.status.code(), Some(1));
    for code in ["W205", "W123", "W214", "W231"] {
        assert!(String::from_utf8_lossy(&output.stdout).contains(code), "{code}");
    }
}

#[test]
fn a_dry_run_shows_and_changes_nothing() {
    let rules = Rules::new(BROKEN, "ALL: ALL\n");
    let output = rules.check(&["--dry-run"]);
    assert_eq!(rules.text(), BROKEN);
    assert_eq!(rules.check(&["--fix", "--dry-run"]), output);
    assert_eq!(rules.text(), BROKEN);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        shown.contains("+sshd: [2001:db8::1], [::1], 10.0.0.1\n"),
        "{shown}"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn owner_mode_label_and_links_are_kept() {
    let rules = Rules::new("sshd: ::1\n", "ALL: ALL\n");
    let real = rules.directory.path().join("real");
    std::fs::rename(rules.allow(), &real).unwrap();
    symlink("real", rules.allow()).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o604)).unwrap();
    let _ = std::os::unix::fs::chown(&real, Some(3), Some(4));
    let flags = rustix::fs::XattrFlags::empty();
    let label = rustix::fs::setxattr(&real, "user.label", b"kept", flags).is_ok();
    let before = std::fs::metadata(&real).unwrap();
    assert_eq!(rules.check(&["--fix"]).status.code(), Some(0));
    let after = std::fs::metadata(&real).unwrap();
    assert_eq!(std::fs::read_to_string(&real).unwrap(), "sshd: [::1]\n");
    assert_eq!(
        (before.mode(), before.uid(), before.gid()),
        (after.mode(), after.uid(), after.gid())
    );
    assert!(std::fs::symlink_metadata(rules.allow()).unwrap().is_symlink());
    if label {
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(&real, "user.label", &mut value).unwrap();
        assert_eq!(&value[..length], b"kept");
    }
    let names: Vec<_> = std::fs::read_dir(rules.directory.path()).unwrap().collect();
    // hosts.allow, real and hosts.deny, and what real was before.
    assert_eq!(names.len(), 4, "{names:?}");
    let kept = rules.directory.path().join("real~");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "sshd: ::1\n");
    let kept = std::fs::metadata(kept).unwrap();
    assert_eq!((kept.mode(), kept.uid()), (before.mode(), before.uid()));
}

#[test]
fn identical_rules_are_removed_but_not_what_other_programs_wrote() {
    let allow = "vsftpd: LOCAL\nsshd: LOCAL\nvsftpd : local\n";
    let deny =
        "ALL: 192.0.2.1\nALL: 192.0.2.1\n###sshguard###\nALL :  192.0.2.1 : DENY\n###sshguard###\nALL: ALL\n";
    let rules = Rules::new(allow, deny);
    let output = rules.check(&["--fix"]);
    assert_eq!(rules.text(), "vsftpd: LOCAL\nsshd: LOCAL\n");
    let kept = std::fs::read_to_string(rules.directory.path().join("hosts.deny")).unwrap();
    assert_eq!(kept, deny);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn standard_input_cannot_be_mended() {
    let output = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["check", "--fix", "-"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn both_tables_are_mended_or_neither() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("hosts.allow"), "sshd: 10.0.0.1\r\n").unwrap();
    std::fs::write(path("hosts.deny"), "ALL: ALL").unwrap();
    // The second cannot be written.
    std::fs::create_dir(path("hosts.deny.tcpwrap-second")).unwrap();
    let fix = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tcpwrap"));
        command
            .args(["check", "--fix"])
            .arg(directory.path())
            .output()
            .unwrap()
    };
    let output = fix();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("hosts.deny: Is a directory"), "{told}");
    let text = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    assert_eq!(
        [text("hosts.allow"), text("hosts.deny")],
        ["sshd: 10.0.0.1\r\n", "ALL: ALL"]
    );
    std::fs::remove_dir(path("hosts.deny.tcpwrap-second")).unwrap();
    let output = fix();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        [text("hosts.allow"), text("hosts.deny")],
        ["sshd: 10.0.0.1\n", "ALL: ALL\n"]
    );
    assert_eq!(
        [text("hosts.allow~"), text("hosts.deny~")],
        ["sshd: 10.0.0.1\r\n", "ALL: ALL"]
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 4);
}
