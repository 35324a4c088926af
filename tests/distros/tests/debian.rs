//! The Debian packages: on this machine's own system under a layer that takes what is written, and, by command, on
//! fresh ones of other releases: `cargo xtask test -p distros-tests --run-ignored all`.

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{alone_for, run, target};

/// Where `cargo xtask test` has put our packages.
fn packages() -> PathBuf {
    let packages = target().join("deb");
    assert!(
        packages.is_dir(),
        "{}: run cargo xtask deb --dev",
        packages.display()
    );
    packages
}

/// Runs `lifecycle.sh` in a root directory; what it needs from outside is put there.
fn lifecycle(root: &Path, archives: &Path) {
    let inside = root.join("srv/tcpwrap-test");
    std::fs::create_dir_all(&inside).expect("a directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lifecycle.sh");
    run(Command::new("cp").arg(script).arg(&inside));
    run(Command::new("cp")
        .arg("-r")
        .arg(packages())
        .arg(inside.join("packages")));
    run(Command::new("cp")
        .arg("-r")
        .arg(archives)
        .arg(inside.join("archives")));
    for (kind, place) in [("proc", "proc"), ("sysfs", "sys")] {
        run(Command::new("mount")
            .args(["-t", kind, kind])
            .arg(root.join(place)));
    }
    run(Command::new("mount")
        .args(["--rbind", "/dev"])
        .arg(root.join("dev")));
    // Maintainer scripts start nothing.
    let policy = root.join("usr/sbin/policy-rc.d");
    std::fs::write(&policy, "#!/bin/sh\nexit 101\n").expect("a script");
    run(Command::new("chmod").arg("755").arg(&policy));
    let done = Command::new("chroot")
        .arg(root)
        .args(["bash", "/srv/tcpwrap-test/lifecycle.sh"])
        .args(["/srv/tcpwrap-test/packages", "/srv/tcpwrap-test/archives"])
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .output()
        .expect("chroot runs");
    let printed = String::from_utf8_lossy(&done.stdout);
    let complaints = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}\n{printed}\n{complaints}", done.status);
    assert!(printed.ends_with("lifecycle: all is well\n"), "{printed}");
}

#[test]
fn packages_come_and_go_on_this_release() {
    alone_for(600, |_| {
        layer(Path::new("/"));
        lifecycle(
            Path::new("/mnt/root"),
            &target().with_file_name("debian/.archives"),
        );
    });
}

/// Mounts a root directory at `/mnt/root` in such a way that it stays as it is.
fn layer(root: &Path) {
    let lower = root.display();
    run(Command::new("sh").args([
        "-c",
        &format!(
            "mkdir -p /mnt/root /mnt/system/upper /mnt/system/work &&
             mount -t overlay -o lowerdir={lower},upperdir=/mnt/system/upper,workdir=/mnt/system/work overlay /mnt/root"
        ),
    ]));
}

/// A fresh system of a release, made once and kept under `target/distros`.
fn fresh(release: &str, mirror: &str) -> PathBuf {
    let root = target().with_file_name("distros").join(release);
    let done = root.with_extension("done");
    if !done.exists() {
        let _ = std::fs::remove_dir_all(&root);
        // Debian has neither Ubuntu's keys nor a script for each of its releases; what is made here is thrown away.
        let ubuntu = mirror == UBUNTU;
        let options = ubuntu.then_some("--no-check-gpg");
        let script = ubuntu.then_some("/usr/share/debootstrap/scripts/jammy");
        let include = "openssh-server,vsftpd,stunnel4,rpcbind,tcpd,libwrap0,python3-minimal,gcc,libc6-dev";
        // What it mounts goes with it, also when it is ended in the middle.
        run(Command::new("unshare")
            .args([
                "--mount",
                "debootstrap",
                "--variant=minbase",
                "--components=main,universe",
            ])
            .arg(format!("--include={include}"))
            .args(options)
            .arg(release)
            .arg(&root)
            .arg(mirror)
            .args(script));
        run(Command::new("chroot").arg(&root).args([
            "sh",
            "-c",
            "mkdir -p /archives && cd /archives && apt-get update && apt-get download libwrap0 tcpd",
        ]));
        std::fs::write(done, "").expect("a note");
    }
    root
}

/// The same on a fresh system, which stays one.
fn on_fresh(root: &Path) {
    layer(root);
    lifecycle(Path::new("/mnt/root"), Path::new("/mnt/root/archives"));
}

const DEBIAN: &str = "http://deb.debian.org/debian";
const UBUNTU: &str = "http://archive.ubuntu.com/ubuntu";

#[test]
#[ignore = "minutes, and a mirror: cargo xtask test -p distros-tests --run-ignored all"]
fn packages_come_and_go_on_debian_12() {
    let root = fresh("bookworm", DEBIAN);
    alone_for(1200, |_| on_fresh(&root));
}

#[test]
#[ignore = "minutes, and a mirror: cargo xtask test -p distros-tests --run-ignored all"]
fn packages_come_and_go_on_debian_13() {
    let root = fresh("trixie", DEBIAN);
    alone_for(1200, |_| on_fresh(&root));
}

#[test]
#[ignore = "minutes, and a mirror: cargo xtask test -p distros-tests --run-ignored all"]
fn packages_come_and_go_on_ubuntu_24_04() {
    let root = fresh("noble", UBUNTU);
    alone_for(1200, |_| on_fresh(&root));
}

#[test]
fn lintian_finds_no_error() {
    let changes = std::fs::read_dir(packages())
        .expect("packages")
        .flatten()
        .map(|entry| entry.path());
    let changes = changes
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "changes"));
    let done = Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error", "--tag-display-limit", "0"])
        .arg(changes.expect("a .changes file"))
        .output()
        .expect("lintian runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

/// The packages that a clone of this repository in some directory makes, by name.
fn made_in(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    run(Command::new("git")
        .args(["clone", "--quiet"])
        .arg(here)
        .arg(directory));
    run(Command::new("cargo")
        .args(["xtask", "deb"])
        .current_dir(directory)
        .env_remove("CARGO_TARGET_DIR"));
    let made = std::fs::read_dir(directory.join("target/packages/deb")).expect("packages");
    let archives = made.flatten().map(|entry| entry.path());
    let mut archives: Vec<_> = archives
        .filter(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("an archive"))
        })
        .collect();
    archives.sort();
    archives
}

#[test]
#[ignore = "builds everything twice: cargo xtask test -p distros-tests --run-ignored all"]
fn a_second_build_elsewhere_gives_the_same_bytes() {
    let [first, second] = [(), ()].map(|()| tempfile::tempdir().expect("a directory"));
    let first = made_in(&first.path().join("one"));
    let second = made_in(&second.path().join("a-longer-name/two"));
    assert_eq!(first.len(), 5);
    for (one, two) in first.iter().zip(&second) {
        assert_eq!(one.0, two.0);
        assert!(one.1 == two.1, "{} differs", one.0);
    }
}
