//! `tcpwrap fmt` from the command line.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output, Stdio};

fn fmt(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .arg("fmt")
        .args(arguments)
        .output()
        .unwrap()
}

const OLD: &str = "# The office.   \nsshd,vsftpd :10.,all except .bad.example.com  :Severity=auth.info:ALLOW\n\n\n\n\
    ALL:ALL\nsshd:192.0.2.1\n";
const NEW: &str = "# The office.\nsshd, vsftpd: 10., ALL EXCEPT .bad.example.com : severity auth.info : allow\n\n\
    ALL:ALL\nsshd:192.0.2.1\n";

#[test]
fn files_are_formatted_in_place_and_keep_owner_and_mode() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hosts.allow");
    std::fs::write(&path, OLD).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let _ = std::os::unix::fs::chown(&path, Some(1), Some(2));
    let before = std::fs::metadata(&path).unwrap();
    let name = path.to_str().unwrap();

    let check = fmt(&["--check", name]);
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&check.stdout), format!("{name}\n"));
    let diff = fmt(&["--diff", name]);
    assert_eq!(diff.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&diff.stdout).contains("\n+sshd, vsftpd: 10., ALL EXCEPT"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), OLD);

    assert_eq!(fmt(&[name]).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), NEW);
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(
        (before.mode(), before.uid(), before.gid()),
        (after.mode(), after.uid(), after.gid())
    );
    assert_eq!(fmt(&["--check", name]).status.code(), Some(0));
    // A file in the style already is not written again.
    assert_eq!(fmt(&[name]).status.code(), Some(0));
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), after.ino());
}

#[test]
fn standard_input_goes_to_standard_output() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(["fmt", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(OLD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), NEW);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn directories_stand_for_their_tables() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().to_str().unwrap();
    assert_eq!(fmt(&[name]).status.code(), Some(2));
    std::fs::write(directory.path().join("hosts.allow"), OLD).unwrap();
    std::fs::write(directory.path().join("hosts.deny"), OLD).unwrap();
    assert_eq!(fmt(&["--rules", name]).status.code(), Some(0));
    for table in ["hosts.allow", "hosts.deny"] {
        assert_eq!(
            std::fs::read_to_string(directory.path().join(table)).unwrap(),
            NEW
        );
    }
}

#[test]
fn what_is_not_there_is_status_2() {
    assert_eq!(fmt(&["/no/such/file"]).status.code(), Some(2));
}
