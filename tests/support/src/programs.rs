//! Where programs and libraries are: ours in the target directory, others' in Debian's packages.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// The directory of the built programs, `target/debug` or `target/release`, as this test was built.
pub fn target() -> PathBuf {
    // Tests run from the `deps` directory in it.
    let test = std::env::current_exe().expect("a test program has a path");
    test.ancestors()
        .nth(2)
        .expect("target/PROFILE/deps/TEST")
        .to_path_buf()
}

/// Our program `name` of the workspace's package `package`. Built the first time it is asked for.
///
/// # Panics
///
/// When it cannot be built.
pub fn program(package: &str, name: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let target = target();
    let mut built = BUILT.lock().expect("no panic while it is held");
    let built = built.get_or_insert_default();
    if !built.contains(package) && std::env::var_os("TCPWRAP_TEST_BUILT").is_none() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--offline", "--package", package, "--bins"]);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        if target.ends_with("release") {
            command.arg("--release");
        }
        let done = command.output().expect("cargo runs");
        assert!(
            done.status.success(),
            "{command:?}\n{}",
            String::from_utf8_lossy(&done.stderr)
        );
        built.insert(package.to_owned());
    }
    let path = target.join(name);
    assert!(path.exists(), "{} is no program of {package}", path.display());
    path
}

/// A file of the tree that `cargo xtask test` lays out as `cargo xtask dist` does, as `usr/lib/libwrap.so.0`.
///
/// # Panics
///
/// When `cargo xtask test` has not been run.
pub fn library(path: &str) -> PathBuf {
    let target = target();
    let path = target.join("dist").join(path);
    assert!(
        path.exists(),
        "{} is not there: run cargo xtask test",
        path.display()
    );
    path
}

/// A program of a Debian package: installed, or unpacked in `target/debian` where the package cannot be
/// installed beside others.
///
/// # Panics
///
/// When it is in neither place: `cargo xtask test` installs what `packages.txt` lists.
pub fn packaged(name: &str) -> PathBuf {
    let unpacked = target().with_file_name("debian");
    let roots = [Path::new("/"), &unpacked];
    let directories = ["usr/sbin", "usr/bin", "sbin", "bin", "usr/lib/systemd"];
    roots
        .iter()
        .flat_map(|root| {
            directories
                .iter()
                .map(move |directory| root.join(directory).join(name))
        })
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed: see tests/*/packages.txt"))
}

/// Can the reference look up netgroups? Since Debian 13 its library is built without; a rule that names one
/// then matches nobody, and it says so in the log.
///
/// # Panics
///
/// When it is not installed.
pub fn reference_knows_netgroups() -> bool {
    let directories = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten();
    let library = directories
        .map(|entry| entry.path().join("libwrap.so.0"))
        .find(|path| path.exists())
        .expect("libwrap0 is installed");
    let library = std::fs::read(library).expect("a library");
    !library
        .windows(NO_NETGROUPS.len())
        .any(|part| part == NO_NETGROUPS.as_bytes())
}

/// What the reference says of a rule that names a netgroup, where it cannot look it up.
pub const NO_NETGROUPS: &str = "netgroup support is disabled";

/// Runs a command that must succeed.
///
/// # Panics
///
/// When it does not; with all it said.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        done.status.success(),
        "{command:?}: {}\n{}{}",
        done.status,
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    done
}
