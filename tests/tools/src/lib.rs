//! The host on which the classic programs are compared with the reference's, and how they are run there.
//!
//! Needs root, and the packages in `packages.txt`.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use support::{Machine, packaged, program};

/// The directory of this package.
pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rule directories of this package.
pub fn own_rules() -> Vec<PathBuf> {
    directories(&here().join("rules"))
}

/// Rule directories found in the wild: `shared/corpus` beside the repository, where it is at hand.
pub fn corpus() -> Vec<PathBuf> {
    let beside = here().ancestors().map(|above| above.join("shared/corpus"));
    beside
        .into_iter()
        .find(|path| path.is_dir())
        .map_or_else(Vec::new, |path| directories(&path))
}

fn directories(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    if !support::reference_knows_netgroups() {
        found.retain(|path| !names_a_netgroup(path));
    }
    found.sort();
    found
}

/// Does a table in this directory name a netgroup?
fn names_a_netgroup(directory: &Path) -> bool {
    ["hosts.allow", "hosts.deny"].iter().any(|table| {
        let text = fs::read(directory.join(table)).unwrap_or_default();
        let mut words = text.split(|byte| byte.is_ascii_whitespace() || b",:".contains(byte));
        words.any(|word| word.starts_with(b"@") || word.windows(2).any(|pair| pair == b"@@"))
    })
}

/// What `check` finds in all these directories, on all processors.
pub fn each(directories: &[PathBuf], check: impl Fn(&Path) -> Vec<String> + Sync) -> Vec<String> {
    let next = Mutex::new(directories.iter());
    let problems = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(directory) = next.lock().expect("no panic while it is held").next() else {
                        return;
                    };
                    let found = check(directory);
                    problems.lock().expect("no panic while it is held").extend(found);
                }
            });
        }
    });
    problems.into_inner().expect("no panic while it was held")
}

/// Makes Debian's hardened programs say what they have to say: the library's log lines go through the
/// programs' own `vsyslog`, which writes them to standard output, as the programs were written for.
fn unmuted(directory: &Path) -> PathBuf {
    let library = directory.join("unmuted.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-o"])
        .arg(&library)
        .arg(here().join("unmuted.c"))
        .status();
    assert!(built.expect("cc runs").success());
    library
}

/// A host with names, netgroups, users and services, and the programs on it.
#[derive(Debug)]
pub struct Host<'m> {
    machine: &'m Machine,
    unmuted: PathBuf,
}

/// Whose program to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Ours.
    Ours,
    /// The reference's, as Debian built it.
    Reference,
    /// The reference's, with its warnings and options on standard output.
    Unmuted,
}

impl<'m> Host<'m> {
    /// Makes a machine the host of `host/`: its names, netgroups and inetd.conf, and its daemons, which do
    /// nothing, in `/usr/local/sbin`.
    pub fn on(machine: &'m Machine) -> Self {
        let host = Host {
            machine,
            unmuted: unmuted(machine.directory()),
        };
        host.shell("rm -rf /etc/inetd.d");
        for name in ["hosts", "nsswitch.conf", "netgroup", "inetd.conf"] {
            let text = fs::read(here().join("host").join(name)).expect("a file of this package");
            host.put(&format!("/etc/{name}"), text);
        }
        for daemon in "in.ftpd in.telnetd in.fingerd in.tftpd in.talkd sshd ipop3d smtpd".split(' ') {
            host.shell(&format!("cp /bin/true /usr/local/sbin/{daemon}"));
        }
        host
    }

    /// Puts a file in place.
    pub fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        self.machine.put(path, text);
    }

    /// Runs a shell command that must succeed.
    pub fn shell(&self, command: &str) {
        let status = Command::new("sh").args(["-ec", command]).status();
        assert!(status.expect("sh runs").success(), "{command}");
    }

    /// A directory of its own with these tables in it, either of which may be nothing.
    pub fn tables(&self, name: &str, allow: Option<&[u8]>, deny: Option<&[u8]>) -> PathBuf {
        let directory = self.machine.directory().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        for (table, text) in [("hosts.allow", allow), ("hosts.deny", deny)] {
            let path = directory.join(table);
            match text {
                Some(text) => fs::write(path, text).expect("a table"),
                None => drop(fs::remove_file(path)),
            }
        }
        directory
    }

    /// Runs a program in a directory, with nothing on standard input.
    pub fn run<S: AsRef<str>>(&self, directory: &Path, whose: Whose, name: &str, arguments: &[S]) -> Output {
        // Process 1 of its own namespace, so that %p is the same for all.
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]);
        command.arg(match whose {
            Whose::Ours => program("tcpd", name),
            Whose::Reference | Whose::Unmuted => packaged(name),
        });
        if whose == Whose::Unmuted {
            command.env("LD_PRELOAD", &self.unmuted);
        }
        command.args(arguments.iter().map(AsRef::as_ref));
        command.current_dir(directory).stdin(std::process::Stdio::null());
        command.output().expect("unshare runs")
    }

    /// Runs our program in the machine's root directory.
    pub fn ours<S: AsRef<str>>(&self, name: &str, arguments: &[S]) -> Output {
        self.run(Path::new("/"), Whose::Ours, name, arguments)
    }
}

/// What a program said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What tcpdchk says of a table, and how it exits.
///
/// # Panics
/// Where it does not run, or writes to standard output.
pub fn tcpdchk(host: &Host<'_>, table: &[u8], flags: &str) -> (String, Option<i32>) {
    let directory = host.tables("tables", Some(table), None);
    let output = host.run(&directory, Whose::Ours, "tcpdchk", &[flags]);
    assert!(output.stdout.is_empty());
    (said(&output), output.status.code())
}

/// Asserts that tcpdchk says just one thing of the first table, which contains `says`, and nothing of the second.
///
/// # Panics
/// Where it says anything else.
pub fn pair(host: &Host<'_>, flags: &str, says: &str, bad: &[u8], good: &[u8]) {
    let (said, status) = tcpdchk(host, bad, flags);
    let shown = String::from_utf8_lossy(bad);
    let lines: Vec<_> = said.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.contains(says)),
        "{shown}\nshould say: {says}\nsays: {said}"
    );
    assert!(
        lines[0].starts_with("warning: ") || lines[0].starts_with("error: "),
        "{said}"
    );
    assert!(lines[0].contains(", line "), "{said}");
    assert_eq!(status, Some(1), "{shown}");
    let (said, status) = tcpdchk(host, good, flags);
    let shown = String::from_utf8_lossy(good);
    assert_eq!((said.as_str(), status), ("", Some(0)), "{shown}");
}
