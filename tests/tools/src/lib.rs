//! Hosts of their own for the classic programs: private mount, network and process namespaces in which
//! `/etc` holds what a test puts there, and the reference's programs beside ours.
//!
//! Needs root, and the packages in `packages.txt`.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::OnceLock;

/// The directory of this package.
pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Our programs' directory; builds them the first time.
pub fn ours() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "-q", "-p", "tcpd", "--bins"])
            .status();
        assert!(built.expect("cargo runs").success());
        // The tests run from the `deps` directory beside the programs.
        let test = std::env::current_exe().expect("a test has a path");
        test.ancestors().nth(2).expect("target/PROFILE").to_path_buf()
    })
}

/// Makes Debian's hardened programs say what they have to say: the library's log lines go through the
/// programs' own `vsyslog`, which writes them to standard output, as the programs were written for.
pub fn unmuted() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let library = ours().join("unmuted.so");
        // Test programs run beside each other: build under another name, then put it in place.
        let fresh = ours().join(format!("unmuted-{}.so", std::process::id()));
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&fresh)
            .arg(here().join("unmuted.c"))
            .status();
        assert!(built.expect("cc runs").success());
        fs::rename(fresh, &library).expect("a library in the target directory");
        library
    })
}

/// One program to run.
#[derive(Debug, Clone)]
pub struct Run {
    program: PathBuf,
    arguments: Vec<String>,
    preload: Option<PathBuf>,
}

impl Run {
    /// Our program.
    pub fn ours<S: AsRef<str>>(program: &str, arguments: &[S]) -> Self {
        Run::new(ours().join(program), arguments, None)
    }

    /// The reference's program, as Debian built it.
    pub fn reference<S: AsRef<str>>(program: &str, arguments: &[S]) -> Self {
        Run::new(Path::new("/usr/sbin").join(program), arguments, None)
    }

    /// The reference's program, with its warnings and options on standard output.
    pub fn unmuted<S: AsRef<str>>(program: &str, arguments: &[S]) -> Self {
        Run::new(
            Path::new("/usr/sbin").join(program),
            arguments,
            Some(unmuted().to_path_buf()),
        )
    }

    fn new<S: AsRef<str>>(program: PathBuf, arguments: &[S], preload: Option<PathBuf>) -> Self {
        let arguments = arguments.iter().map(|a| a.as_ref().to_owned()).collect();
        Run {
            program,
            arguments,
            preload,
        }
    }

    fn shell(&self) -> String {
        let mut line = String::new();
        if let Some(library) = &self.preload {
            line += &format!("LD_PRELOAD={} ", quoted(&library.display().to_string()));
        }
        // Process 1 of its own namespace, so that %p is the same for all.
        line += &format!(
            "unshare --pid --fork {}",
            quoted(&self.program.display().to_string())
        );
        for argument in &self.arguments {
            line += " ";
            line += &quoted(argument);
        }
        line
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A host with an `/etc` of its own.
#[derive(Debug)]
pub struct Host {
    files: tempfile::TempDir,
    setup: String,
}

impl Default for Host {
    /// The host of `host/`: its names, netgroups and inetd.conf, its daemons in `/usr/local/sbin`.
    fn default() -> Self {
        let mut host = Host {
            files: tempfile::tempdir().expect("a temporary directory"),
            setup: String::new(),
        };
        for name in ["hosts", "nsswitch.conf", "netgroup", "inetd.conf"] {
            let text = fs::read(here().join("host").join(name)).expect("a file of this package");
            host.put(&format!("/etc/{name}"), &text);
        }
        let daemons = "in.ftpd in.telnetd in.fingerd in.tftpd in.talkd sshd ipop3d smtpd";
        host.setup(&format!(
            "for daemon in {daemons}; do cp /bin/true /usr/local/sbin/$daemon; done"
        ));
        host
    }
}

impl Host {
    /// Puts a file in place; its directory is one of those that are private: `/etc`, `/usr/local/sbin`, `/srv`.
    pub fn put(&mut self, path: &str, text: impl AsRef<[u8]>) -> &mut Self {
        let to = self.files.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("an absolute path")).expect("a directory");
        fs::write(to, text).expect("a file");
        self
    }

    /// A shell command to run as root of this host before anything else.
    pub fn setup(&mut self, command: &str) -> &mut Self {
        self.setup += command;
        self.setup.push('\n');
        self
    }

    /// Runs programs on this host, one after the other, in `directory`.
    pub fn run(&self, directory: &Path, runs: &[Run]) -> Vec<Output> {
        let out = tempfile::tempdir().expect("a temporary directory");
        let mut script = format!(
            "set -e\n\
             mount --make-rprivate /\n\
             ip link set lo up\n\
             mount -t tmpfs -o mode=755 tmpfs /mnt\n\
             mkdir /mnt/upper /mnt/work\n\
             mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work overlay /etc\n\
             rm -rf /etc/inetd.conf /etc/inetd.d /etc/xinetd.conf /etc/xinetd.d /etc/hosts.allow /etc/hosts.deny\n\
             mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin\n\
             mount -t tmpfs -o mode=755 tmpfs /srv\n\
             cp -r {}/. /\n\
             {}\n\
             cd {}\n\
             set +e\n",
            quoted(&self.files.path().display().to_string()),
            self.setup,
            quoted(&directory.display().to_string()),
        );
        for (number, run) in runs.iter().enumerate() {
            let out = out.path().join(number.to_string());
            let out = quoted(&out.display().to_string());
            script += &format!(
                "{} >{out}.out 2>{out}.err </dev/null; echo $? >{out}.status\n",
                run.shell()
            );
        }
        let file = out.path().join("script");
        fs::write(&file, script).expect("a script");
        let done = Command::new("timeout")
            .args([
                "60",
                "unshare",
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
            ])
            .arg(&file)
            .output()
            .expect("unshare runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        (0..runs.len())
            .map(|number| {
                let read = |what: &str| {
                    fs::read(out.path().join(format!("{number}.{what}"))).expect("what the program left")
                };
                let status = String::from_utf8(read("status")).expect("a number");
                let status: i32 = status.trim().parse().expect("a number");
                Output {
                    status: ExitStatus::from_raw(status << 8),
                    stdout: read("out"),
                    stderr: read("err"),
                }
            })
            .collect()
    }
}
