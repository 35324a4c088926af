//! Guards an unmodified program: `tcpwrap run`, hosts_access(5) for programs that never heard of it.
//!
//! A seccomp filter sends the program's `accept` calls to a guard, a process beside it. The guard takes the
//! program's listening socket, accepts, asks the rules, and puts a granted connection into the program as
//! the result of its call. A refused one is closed, and the program never learns of it. What this protects
//! against and what not is in `docs/run.md`.

mod accept;
mod bell;
mod call;
mod changes;
mod clean;
mod confine;
mod current;
mod decide;
mod filter;
mod guard;
mod inherit;
mod label;
mod launch;
mod log;
mod lookups;
mod machine;
mod memory;
mod names;
mod network;
mod notify;
mod pool;
mod queue;
mod reach;
mod relay;
mod repeated;
mod room;
mod rules;
mod serve;
mod settle;
mod stuck;
mod task;
mod timers;
mod udp;
mod wake;
mod watch;

use std::ffi::OsString;
use std::fmt;
use std::path::{PathBuf, absolute};

use hosts_access::decide::reason;
use hosts_access::{TableKind, Tables, source};

pub use log::Format;

/// What to run, and by which rules.
///
/// ```no_run
/// use supervise::{Format, Options, run};
/// let problem = run(Options {
///     program: "python3".into(),
///     argv0: None,
///     arguments: vec!["-m".into(), "http.server".into()],
///     name: b"www".to_vec(),
///     tables: hosts_access::Tables::default(),
///     required: Vec::new(),
///     log: Format::Json,
///     io_uring: false,
///     user_namespace: false,
///     if_guard_dies: supervise::IfGuardDies::End,
///     warnings: Vec::new(),
/// });
/// eprintln!("{problem}");
/// ```
#[derive(Debug)]
pub struct Options {
    /// The program, a path or a name to be found in `PATH`.
    pub program: OsString,
    /// What it is told its own name is, `program` where there is none.
    pub argv0: Option<OsString>,
    /// Its arguments, without its own name.
    pub arguments: Vec<OsString>,
    /// What the rules call it.
    pub name: Vec<u8>,
    /// The rules.
    pub tables: Tables,
    /// The directory or the files that the rules were said to be in. A missing table is an empty one, but
    /// without one of these nobody is let in.
    pub required: Vec<PathBuf>,
    /// Where decisions are logged.
    pub log: Format,
    /// Lets the program use io_uring, through which it can accept unguarded connections.
    pub io_uring: bool,
    /// Runs the program in a user namespace of its own, which an ordinary user needs where tracing is
    /// restricted and the program forks.
    pub user_namespace: bool,
    /// What becomes of the program when its guard is killed.
    pub if_guard_dies: IfGuardDies,
    /// What the log is to say at the start.
    pub warnings: Vec<String>,
}

/// What becomes of a program without a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfGuardDies {
    /// It is ended: asked to, and killed if it does not.
    #[default]
    End,
    /// It stays, and its `accept` fails.
    Refuse,
}

/// Why the program was not started.
#[derive(Debug)]
pub struct Problem {
    /// What to tell the user, one line or more.
    pub text: String,
    /// The exit status, as shells have it: 125 for a failure of the guard's, 126 and 127 where the program
    /// cannot be executed or found.
    pub status: u8,
}

impl Problem {
    fn new(text: String) -> Self {
        Problem { text, status: 125 }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Starts a guard, and replaces this process by the program. Returns only where that fails; the program has
/// not been started then.
///
/// To be called while this process has one thread.
pub fn run(mut options: Options) -> Problem {
    match launch::absolute(&options.tables) {
        Ok(tables) => options.tables = tables,
        Err(error) => return Problem::new(reason(&error)),
    }
    // The guard has a directory of its own.
    match options.required.iter().map(absolute).collect() {
        Ok(required) => options.required = required,
        Err(error) => return Problem::new(reason(&error)),
    }
    if let Some(path) = options.required.iter().find(|path| rules::is_gone(path)) {
        return Problem::new(format!("{}: no such file or directory", path.display()));
    }
    for table in [TableKind::Allow, TableKind::Deny] {
        let path = options.tables.path(table);
        let given = system::given::descriptor(path).map(|_| "a descriptor of this process");
        if let Some(what) = given.or_else(|| source::endless(path)) {
            let path = path.display();
            return Problem::new(format!(
                "{path}: {what}: the guard reads its rules again when they change, so they must be in a file"
            ));
        }
    }
    let unfit = rules::unfit(&options.tables, &options.name);
    if !unfit.is_empty() {
        let lines: Vec<String> = unfit.iter().map(ToString::to_string).collect();
        return Problem::new(lines.join("\n"));
    }
    launch::launch(options)
}
