//! Tables that are no files: nothing waits for a FIFO, and each subcommand says what is wrong with it.

use std::path::Path;
use std::process::{Command, Output};

fn tcpwrap(arguments: &[&str], directory: &Path) -> Output {
    // timeout(1) ends what waits, with status 124.
    Command::new("timeout")
        .args(["60", env!("CARGO_BIN_EXE_tcpwrap")])
        .args(arguments)
        .current_dir(directory)
        .env("EDITOR", "true")
        .output()
        .unwrap()
}

/// Two directories with tables, of which `new/hosts.deny` is a FIFO.
fn scene() -> tempfile::TempDir {
    let scene = tempfile::tempdir().unwrap();
    for directory in ["old", "new"] {
        let directory = scene.path().join(directory);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("hosts.allow"), "sshd: 10.\n").unwrap();
    }
    std::fs::write(scene.path().join("old/hosts.deny"), "ALL: ALL\n").unwrap();
    fifo(&scene.path().join("new/hosts.deny"));
    let test = "[[test]]\ndaemon = \"sshd\"\nclient = \"10.0.0.1\"\nexpect = \"granted\"\n";
    std::fs::write(scene.path().join("new/hosts.test.toml"), test).unwrap();
    scene
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn no_subcommand_waits_for_a_fifo() {
    let scene = scene();
    for arguments in [
        "check --rules new",
        "check new",
        "check new/hosts.deny",
        "explain --rules new sshd 192.0.2.7",
        "test new/hosts.test.toml",
        "diff old new",
        "diff old old --new-deny new/hosts.deny",
        "run --rules new -- true",
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = tcpwrap(&words, scene.path());
        let told = String::from_utf8_lossy(&output.stderr);
        let expected = "new/hosts.deny: this is a FIFO: nothing is read from it, and whoever the table is asked \
            about is refused; put a regular file, or none, in its place";
        assert!(told.contains(expected), "{arguments}: {output:?}");
        // As env(1) has it, a status of its own sets `run` apart from the program that it would have run.
        let status = if words[0] == "run" { 125 } else { 2 };
        assert_eq!(output.status.code(), Some(status), "{arguments}");
    }
    for arguments in ["fmt new", "edit --rules new"] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = tcpwrap(&words, scene.path());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("hosts.deny: this is no regular file"), "{output:?}");
        assert_eq!(output.status.code(), Some(2), "{arguments}");
    }
}

#[test]
fn nor_for_one_that_a_pattern_names() {
    let scene = scene();
    let list = scene.path().join("list");
    fifo(&list);
    let rule = format!("sshd: {}\n", list.display());
    std::fs::write(scene.path().join("old/hosts.allow"), rule).unwrap();
    let output = tcpwrap(&["check", "--host", "old/hosts.allow"], scene.path());
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("error[W506]"), "{output:?}");
    assert!(told.contains("is a FIFO, from which nothing is read"), "{told}");
    let output = tcpwrap(&["diff", "old", "old", "--new-deny", "/dev/null"], scene.path());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("list, which a pattern names, is a FIFO: put a regular"),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_is_meant_to_be_no_file_is_read() {
    let scene = scene();
    let null = scene.path().join("new/hosts.deny");
    std::fs::remove_file(&null).unwrap();
    // As empty as no table, and not unusual.
    std::os::unix::fs::symlink("/dev/null", &null).unwrap();
    let output = tcpwrap(&["check", "new"], scene.path());
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        told.contains("W411") && told.contains("no rule refuses anyone"),
        "{output:?}"
    );
    let script = format!(
        "{} diff old old --new-allow <(echo sshd: 10. 11.) --json",
        env!("CARGO_BIN_EXE_tcpwrap")
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(scene.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("11.0.0.0/8"), "{output:?}");
}

/// Sixteen lists that each name the next one thirty times: there are 30 to the 15th ways to the last.
#[test]
fn nor_does_one_read_lists_for_each_way_to_them() {
    let scene = scene();
    let path = |n: usize| scene.path().join(format!("list{n}"));
    for n in 0..15 {
        let next = format!("{}\n", path(n + 1).display()).repeat(30);
        std::fs::write(path(n), next).unwrap();
    }
    std::fs::write(path(15), "10.0.0.1\n").unwrap();
    let rule = format!("sshd: {}\n", path(0).display());
    std::fs::write(scene.path().join("old/hosts.allow"), rule).unwrap();
    for (arguments, said) in [
        ("explain --rules old sshd 10.0.0.1", "granted"),
        ("explain --rules old sshd 10.0.0.2", "denied"),
        ("check --host old/hosts.allow", ""),
        ("diff old old --new-deny /dev/null", "10.0.0.1"),
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = tcpwrap(&words, scene.path());
        assert!(
            output.status.code().is_some_and(|code| code < 2),
            "{arguments}: {output:?}"
        );
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(told.contains(said), "{arguments}: {output:?}");
    }
}
