//! `tcpwrap edit` on a real terminal, which script(1) provides.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Scene {
    directory: tempfile::TempDir,
}

/// What a session left behind.
struct Seen {
    text: String,
    status: Option<i32>,
}

impl Scene {
    fn new(allow: &str, deny: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene { directory };
        std::fs::write(scene.path("hosts.allow"), allow).unwrap();
        std::fs::write(scene.path("hosts.deny"), deny).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Edits with a shell script as editor, typing `typed`.
    fn edit(&self, arguments: &str, editor: &str, typed: &str) -> Seen {
        let script = self.path("editor");
        std::fs::write(&script, format!("#!/bin/sh\n{editor}\n")).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let command = format!(
            "{} edit --rules {} {arguments}",
            env!("CARGO_BIN_EXE_tcpwrap"),
            self.directory.path().display()
        );
        let mut child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env_remove("VISUAL")
            .env("EDITOR", &script)
            .env("SSH_CONNECTION", "10.0.0.5 50000 10.0.0.1 22")
            .env("TCPWRAP", env!("CARGO_BIN_EXE_tcpwrap"))
            .env("SCENE", self.directory.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("script(1) is part of every Debian");
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Seen {
            text: String::from_utf8_lossy(&output.stdout).replace('\r', ""),
            status: output.status.code(),
        }
    }
}

fn has(seen: &Seen, text: &str) {
    assert!(seen.text.contains(text), "no {text:?} in:\n{}", seen.text);
}

const ALLOW: &str = "sshd: 10.0.0.\n";
const DENY: &str = "ALL: ALL\n";

#[test]
fn a_sound_change_is_put_in_place_on_yes() {
    let scene = Scene::new(ALLOW, DENY);
    let table = scene.path("hosts.allow");
    std::fs::set_permissions(&table, std::fs::Permissions::from_mode(0o640)).unwrap();
    let _ = std::os::unix::fs::chown(&table, Some(1), Some(2));
    let before = std::fs::metadata(&table).unwrap();
    // Not every file system has them.
    let flags = rustix::fs::XattrFlags::empty();
    let label = rustix::fs::setxattr(&table, "user.label", b"kept", flags).is_ok();
    let seen = scene.edit("", "echo 'sshd: 192.0.2.7' >> $1", "y\n");
    has(&seen, "+sshd: 192.0.2.7");
    has(
        &seen,
        "1 difference, each confirmed by deciding the request shown.",
    );
    has(&seen, "192.0.2.7");
    has(&seen, "at 10.0.0.5, would be let in by sshd");
    has(&seen, "is in place; the previous version is");
    assert_eq!(seen.status, Some(0));
    assert_eq!(scene.text("hosts.allow"), "sshd: 10.0.0.\nsshd: 192.0.2.7\n");
    assert_eq!(scene.text("hosts.allow~"), ALLOW);
    let after = std::fs::metadata(&table).unwrap();
    assert_eq!(
        (before.mode(), before.uid(), before.gid()),
        (after.mode(), after.uid(), after.gid())
    );
    assert_ne!(before.ino(), after.ino());
    if label {
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(&table, "user.label", &mut value).unwrap();
        assert_eq!(&value[..length], b"kept");
    }
    left_nothing(&scene, &["editor", "hosts.allow", "hosts.allow~", "hosts.deny"]);
}

fn left_nothing(scene: &Scene, expected: &[&str]) {
    let mut names: Vec<_> = std::fs::read_dir(scene.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_mistake_is_shown_and_yes_is_not_enough() {
    let scene = Scene::new(ALLOW, DENY);
    let seen = scene.edit("", "echo 'sshd: 2001:db8::1' >> $1", "y\nx\n");
    has(&seen, "error[W201]");
    has(&seen, &format!("{}:2:7", scene.path("hosts.allow").display()));
    has(&seen, "Answer Q, a capital");
    has(&seen, "nothing was changed");
    assert_eq!(seen.status, Some(1));
    assert_eq!(scene.text("hosts.allow"), ALLOW);
    left_nothing(&scene, &["editor", "hosts.allow", "hosts.deny"]);
}

#[test]
fn a_mistake_may_be_insisted_on() {
    let scene = Scene::new(ALLOW, DENY);
    let seen = scene.edit("", "echo 'sshd: 10.1.2.3/8' >> $1", "Q\n");
    has(&seen, "error[W205]");
    assert_eq!(seen.status, Some(0));
    assert_eq!(scene.text("hosts.allow"), "sshd: 10.0.0.\nsshd: 10.1.2.3/8\n");
}

#[test]
fn findings_that_were_there_before_do_not_stand_in_the_way() {
    let scene = Scene::new("sshd: 10.1.2.3/8\nsshd: 10.0.0.\n", DENY);
    let seen = scene.edit("", "echo 'sshd: 192.0.2.7' >> $1", "y\n");
    has(&seen, "1 more findings of tcpwrap check were there before");
    assert_eq!(seen.status, Some(0));
}

#[test]
fn editing_again_goes_on_with_the_copy() {
    let scene = Scene::new(ALLOW, DENY);
    let editor = "test -e $SCENE/again && sed -i s/2001:db8::1/[2001:db8::1]/ $1\n\
        test -e $SCENE/again || { echo 'sshd: 2001:db8::1' >> $1; touch $SCENE/again; }";
    let seen = scene.edit("", editor, "e\ny\n");
    assert_eq!(seen.status, Some(0));
    assert_eq!(scene.text("hosts.allow"), "sshd: 10.0.0.\nsshd: [2001:db8::1]\n");
}

#[test]
fn who_would_be_locked_out_is_told() {
    let scene = Scene::new(ALLOW, DENY);
    let seen = scene.edit("", "echo 'sshd: 192.0.2.7' > $1", "x\n");
    has(
        &seen,
        "you, at 10.0.0.5, would be refused by sshd (line 1 of hosts.deny)",
    );
    has(&seen, "What now?");
    assert_eq!(scene.text("hosts.allow"), ALLOW);
}

#[test]
fn the_deny_table_and_both_tables_can_be_edited() {
    let scene = Scene::new(ALLOW, DENY);
    let seen = scene.edit("deny", "echo '# closed' >> $1", "y\n");
    assert_eq!(seen.status, Some(0));
    assert_eq!(scene.text("hosts.deny"), "ALL: ALL\n# closed\n");
    let seen = scene.edit("allow deny", "echo '# open' >> $1; echo '# shut' >> $2", "y\n");
    assert_eq!(seen.status, Some(0));
    assert_eq!(scene.text("hosts.allow"), "sshd: 10.0.0.\n# open\n");
    assert_eq!(scene.text("hosts.deny"), "ALL: ALL\n# closed\n# shut\n");
    let tables = ["hosts.allow", "hosts.allow~", "hosts.deny", "hosts.deny~"];
    left_nothing(&scene, &[&["editor"], &tables[..]].concat());
}

#[test]
fn nothing_changed_nothing_asked() {
    let scene = Scene::new(ALLOW, DENY);
    let seen = scene.edit("", "true", "");
    has(&seen, "nothing has changed");
    assert_eq!(seen.status, Some(0));
}

#[test]
fn an_editor_that_fails_changes_nothing() {
    let scene = Scene::new(ALLOW, DENY);
    let seen = scene.edit("", "echo x >> $1; exit 3", "y\n");
    has(&seen, "nothing was changed");
    assert_eq!(seen.status, Some(2));
    assert_eq!(scene.text("hosts.allow"), ALLOW);
}

#[test]
fn two_do_not_edit_at_once() {
    let scene = Scene::new(ALLOW, DENY);
    let editor = "EDITOR=true $TCPWRAP edit --rules $SCENE > $SCENE/second 2>&1\necho $? >> $SCENE/second";
    scene.edit("", editor, "");
    let second = scene.text("second");
    assert!(second.contains("someone else is editing it"), "{second}");
    assert!(second.ends_with("2\n"), "{second}");
}

#[test]
fn a_change_by_others_meanwhile_is_not_overwritten() {
    let scene = Scene::new(ALLOW, DENY);
    let editor = "echo 'sshd: 192.0.2.7' >> $1; echo 'vsftpd: 10.' >> $SCENE/hosts.allow";
    let seen = scene.edit("", editor, "y\n");
    has(&seen, "changed meanwhile");
    assert_eq!(seen.status, Some(2));
    assert_eq!(scene.text("hosts.allow"), "sshd: 10.0.0.\nvsftpd: 10.\n");
}

#[test]
fn the_end_of_input_and_an_interrupt_leave_everything() {
    let scene = Scene::new(ALLOW, DENY);
    let seen = scene.edit("", "echo 'sshd: 192.0.2.7' >> $1", "");
    assert_ne!(seen.status, Some(0));
    let marker = scene.path("copy");
    let editor = "echo 'sshd: 192.0.2.7' >> $1; dirname $1 > $SCENE/copy";
    let seen = scene.edit("", editor, "\u{3}");
    assert_ne!(seen.status, Some(0), "{}", seen.text);
    assert_eq!(scene.text("hosts.allow"), ALLOW);
    // An interrupt may come before the editor has said where the copy is.
    if let Ok(copy) = std::fs::read_to_string(marker) {
        assert!(!Path::new(copy.trim()).exists());
    }
}

#[test]
fn policy_tests_beside_the_tables_are_run_on_the_copy() {
    let scene = Scene::new(ALLOW, DENY);
    let tests = "[[test]]\ndaemon = \"sshd\"\nclient = \"10.0.0.1\"\nexpect = \"granted\"\n";
    std::fs::write(scene.path("hosts.test.toml"), tests).unwrap();
    let seen = scene.edit("", "echo 'sshd: 192.0.2.7' > $1", "x\n");
    has(&seen, "expected granted, denied");
    has(&seen, "policy tests: 0 passed, 1 failed");
    assert_eq!(scene.text("hosts.allow"), ALLOW);
    let seen = scene.edit("", "echo 'sshd: 192.0.2.7' >> $1", "y\n");
    has(&seen, "policy tests: 1 passed, 0 failed");
}

#[test]
fn an_edit_of_both_that_was_cut_short_is_gone_on_with() {
    // As after a crash between the two: the new allow table is in place, the new deny table is not.
    let scene = Scene::new("sshd: 192.0.2.7\n", DENY);
    let left_over = scene.path("hosts.deny.tcpwrap-second");
    std::fs::write(&left_over, "ALL: ALL EXCEPT 10.9.\n").unwrap();
    std::fs::write(scene.path("hosts.deny~"), "# before\n").unwrap();
    let editor = "touch $SCENE/edited";
    let seen = scene.edit("--client 192.0.2.7", editor, "x\n");
    has(
        &seen,
        "hosts.deny.tcpwrap-second is what an edit that was cut short had still to put in place",
    );
    has(&seen, "+ALL: ALL EXCEPT 10.9.");
    assert!(left_over.exists());
    let seen = scene.edit("--client 192.0.2.7", editor, "y\n");
    has(&seen, "hosts.deny is in place");
    assert!(!scene.path("edited").exists());
    assert_eq!(scene.text("hosts.deny"), "ALL: ALL EXCEPT 10.9.\n");
    assert!(!left_over.exists());
    assert_eq!(scene.text("hosts.deny~"), "# before\n");
}

#[test]
fn neither_order_is_sound_and_the_tables_are_closed_in_between() {
    let scene = Scene::new("sshd: 10.: deny\n", "sshd: 11.\n");
    let editor = "echo 'sshd: 11.: deny' > $1; echo 'sshd: 10.' > $2";
    let seen = scene.edit("allow deny --client 192.0.2.7", editor, "y\n");
    has(&seen, "hosts.deny refused everybody for a moment");
    assert_eq!(scene.text("hosts.allow"), "sshd: 11.: deny\n");
    assert_eq!(scene.text("hosts.deny"), "sshd: 10.\n");
    let tables = ["hosts.allow", "hosts.allow~", "hosts.deny", "hosts.deny~"];
    left_nothing(&scene, &[&["editor"], &tables[..]].concat());
}

#[test]
fn of_a_large_change_the_beginning_is_shown() {
    let scene = Scene::new(ALLOW, DENY);
    let seen = scene.edit("deny", "seq -f 'sshd: 192.0.2.%g' 250 >> $1", "x\n");
    has(&seen, "+sshd: 192.0.2.190\n");
    has(&seen, "... and 54 more lines\n");
    assert!(!seen.text.contains("192.0.2.200"), "{}", seen.text);
    has(&seen, "No request ends differently.");
}

#[test]
fn tables_that_are_not_there_yet() {
    let scene = Scene::new("", "");
    for name in ["hosts.allow", "hosts.deny"] {
        std::fs::remove_file(scene.path(name)).unwrap();
    }
    let editor = "echo 'sshd: 10.' > \"$1\"; echo 'ALL: ALL' > \"$2\"";
    let seen = scene.edit("allow deny", editor, "y\n");
    assert_eq!(seen.status, Some(0), "{}", seen.text);
    assert_eq!(
        [scene.text("hosts.allow"), scene.text("hosts.deny")],
        ["sshd: 10.\n", "ALL: ALL\n"]
    );
    // A link to nothing is neither followed nor replaced.
    let link = scene.path("hosts.allow");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("elsewhere", &link).unwrap();
    let seen = scene.edit("allow", "echo 'sshd: 10.' > \"$1\"", "y\n");
    assert_eq!(seen.status, Some(2), "{}", seen.text);
    assert!(
        seen.text.contains("a link to a file that is not there"),
        "{}",
        seen.text
    );
    assert!(link.is_symlink());
}
