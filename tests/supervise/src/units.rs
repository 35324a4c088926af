//! A system below a directory, for `tcpwrap attach` and `detach`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{packaged, program, run};

/// `tcpwrap` on the system below the root: whether it succeeded, and its outputs.
///
/// # Panics
/// Where it does not run.
pub fn tcpwrap(root: &Path, arguments: &[&str]) -> (bool, String, String) {
    let done = Command::new(program("tcpwrap", "tcpwrap"))
        .args(arguments)
        .arg("--root")
        .arg(root)
        .args(if arguments[0] == "attach" && !arguments.contains(&"--tcpwrap") {
            &["--tcpwrap", OURS][..]
        } else {
            &[]
        })
        .output()
        .expect("it runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (done.status.success(), text(&done.stdout), text(&done.stderr))
}

/// Where our program is on the system below the root.
pub const OURS: &str = "/usr/bin/tcpwrap";

/// The unit `web.service` of [`machine`].
pub const UNIT: &str = "[Unit]\nDescription=Web\n[Service]\nType=notify\nEnvironment=A=b\n\
                    ExecStartPre=/bin/true\nExecStart=-/bin/sleep --x \\\n  'a b' %i $A\nCapabilityBoundingSet=CAP_SETUID\n";

/// A path of the system below the root.
pub fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// A system with a unit, rules, and our program.
///
/// # Panics
/// Where it cannot be made.
pub fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for directory in ["usr/lib/systemd/system", "etc/systemd/system", "bin"] {
        fs::create_dir_all(root.path().join(directory)).expect("ours");
    }
    for file in ["bin/sleep", "bin/true"] {
        fs::copy("/bin/true", root.path().join(file)).expect("a program");
    }
    fs::create_dir(root.path().join("usr/bin")).expect("ours");
    fs::copy(program("tcpwrap", "tcpwrap"), below(root.path(), OURS)).expect("a program");
    fs::write(root.path().join("etc/hosts.allow"), "ALL: 192.0.2.1\n").expect("ours");
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

/// The unit `name` below `root` is made of `text`, and `attach --write` has to accept it. Returns the drop-in's
/// commands without the path of our program.
///
/// # Panics
/// Where it does not accept it.
pub fn attached(root: &Path, name: &str, text: &str, options: &[&str]) -> Vec<String> {
    let unit = root
        .join("usr/lib/systemd/system")
        .join(format!("{name}.service"));
    fs::write(unit, text).expect("ours");
    let (good, _, problem) = tcpwrap(root, &[&["attach", "--write", name], options].concat());
    assert!(good, "{name}: {problem}");
    commands(root, name)
}

/// The commands of a unit's drop-in, without the path of our program.
///
/// # Panics
/// Where it has none.
pub fn commands(root: &Path, name: &str) -> Vec<String> {
    let drop_in = root.join(format!("etc/systemd/system/{name}.service.d/zz-tcpwrap.conf"));
    let text = fs::read_to_string(&drop_in).unwrap_or_else(|error| panic!("{}: {error}", drop_in.display()));
    let lines = text.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    lines.skip(1).map(|line| line.replace(OURS, "tcpwrap")).collect()
}

/// Can `systemd-analyze` verify units below a directory? It has since systemd 250.
///
/// # Panics
/// Where it does not say its version.
pub fn verifies_elsewhere() -> bool {
    let output = run(Command::new(packaged("systemd-analyze")).arg("--version"));
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok());
    version.is_some_and(|number: u32| number >= 250)
}
