//! The rules as they are now.
//!
//! The guard's main thread only asks whether the rules it has are still the ones that hold. Where they are not, the
//! connection waits, and a thread reads the new ones: nobody is let in by rules that were replaced before he came, and
//! nothing but connections waits.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hosts_access::policy::{Compiled, Policy};
use hosts_access::source::FileId;
use hosts_access::{TableKind, Tables};
use system::syslog;

use crate::changes::{Changes, Trust};
use crate::log::Log;
use crate::rules;

/// How often files are looked at that should tell of their changes.
const LOOK: Duration = Duration::from_secs(1);
/// How often tables are read that name new files each time, before these are looked at for each decision.
const TRIES: usize = 4;

/// What can be seen of a table without reading it.
type State = Result<FileId, ErrorKind>;

/// The rules of one moment, and whether they still hold.
#[derive(Debug)]
pub(crate) struct Snapshot {
    compiled: Arc<Compiled>,
    /// Something is missing that is required: nobody is let in.
    gone: Option<PathBuf>,
    /// Both tables were there.
    is_complete: bool,
    changes: Option<Changes>,
    is_replaced: AtomicBool,
    looked: Mutex<Instant>,
}

impl Snapshot {
    /// The rules, or nothing without what is required.
    pub(crate) fn rules(&self) -> Option<Arc<Compiled>> {
        self.gone.is_none().then(|| Arc::clone(&self.compiled))
    }

    /// Hears of changes, and says whether it is time to look for those that are not told. Who hears of one takes it out
    /// of the kernel's queue; nobody else must find that empty and these rules not yet marked as replaced.
    fn hear(&self, changes: &Changes) -> Heard {
        let mut looked = lock(&self.looked);
        if self.is_replaced.load(SeqCst) || !changes.is_quiet() {
            self.is_replaced.store(true, SeqCst);
            return Heard::Change;
        }
        let look = looked.elapsed() >= LOOK;
        if look {
            *looked = Instant::now();
        }
        Heard::Nothing { look }
    }
}

/// What the kernel tells of the files.
enum Heard {
    Change,
    Nothing { look: bool },
}

/// The tables, and what must be there.
#[derive(Debug)]
pub(crate) struct Current {
    policy: Policy,
    /// Without one of these nobody is let in.
    required: Vec<PathBuf>,
    snapshot: Mutex<Arc<Snapshot>>,
    /// Held by who reads them.
    reading: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    /// As the log has been told.
    tables: [State; 2],
    gone: Option<PathBuf>,
    /// What was the snapshot before, whose watches take a moment to end.
    last: Option<Arc<Snapshot>>,
}

impl Current {
    /// Reads the tables.
    pub(crate) fn new(tables: Tables, required: Vec<PathBuf>) -> Self {
        let state = states(&tables);
        let policy = Policy::new(tables);
        let snapshot = read(&policy, &required, None);
        Current {
            policy,
            required,
            snapshot: Mutex::new(Arc::new(snapshot)),
            reading: Mutex::new(Reading {
                tables: state,
                gone: None,
                last: None,
            }),
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.snapshot))
    }

    /// The rules that hold, where that can be said without waiting for anybody.
    pub(crate) fn at_once(&self) -> Option<Arc<Snapshot>> {
        let snapshot = self.snapshot();
        let trust = snapshot.changes.as_ref().map_or(Trust::Local, Changes::trust);
        (trust != Trust::Remote && self.holds(&snapshot)).then_some(snapshot)
    }

    fn holds(&self, snapshot: &Snapshot) -> bool {
        if snapshot.is_replaced.load(SeqCst) {
            return false;
        }
        let quiet = match &snapshot.changes {
            Some(changes) if changes.trust() == Trust::Tells => match snapshot.hear(changes) {
                Heard::Nothing { look } => !(look && self.is_stale(snapshot)),
                Heard::Change => false,
            },
            _ => !self.is_stale(snapshot),
        };
        if !quiet {
            snapshot.is_replaced.store(true, SeqCst);
        }
        quiet
    }

    fn is_stale(&self, snapshot: &Snapshot) -> bool {
        snapshot.compiled.is_stale()
            || !snapshot.is_complete && missing(&self.required) != snapshot.gone.as_deref()
    }

    /// The rules that hold, read where they are new. When they are other ones than before, what is wrong with them
    /// is logged.
    pub(crate) fn read(&self, daemon: &[u8], log: &Log) -> Arc<Snapshot> {
        let mut reading = lock(&self.reading);
        // Somebody may have read them while we waited.
        let snapshot = self.snapshot();
        if self.holds(&snapshot) {
            return snapshot;
        }
        let old = snapshot;
        let snapshot = Arc::new(read(&self.policy, &self.required, Some(&old.compiled)));
        let state = states(self.policy.tables());
        // A table that cannot be read is tried again each time, and is no other one for that.
        if !Arc::ptr_eq(&old.compiled, &snapshot.compiled) && reading.tables != state {
            reading.tables = state;
            log.tables_changed();
            for problem in rules::unfit(self.policy.tables(), daemon) {
                log.diagnostic(&problem);
            }
        }
        if snapshot.gone != reading.gone {
            log_gone(log, snapshot.gone.as_deref(), reading.gone.as_deref());
            reading.gone.clone_from(&snapshot.gone);
        }
        *lock(&self.snapshot) = Arc::clone(&snapshot);
        reading.last = Some(old);
        snapshot
    }
}

/// Reads the tables. What they are read from is watched from before that.
fn read(policy: &Policy, required: &[PathBuf], old: Option<&Compiled>) -> Snapshot {
    let now = Instant::now();
    let owned = |compiled: &Compiled| compiled.paths().map(Path::to_path_buf).collect();
    let mut named: Vec<PathBuf> = old.map_or_else(Vec::new, owned);
    let mut tries = 0;
    let (compiled, changes) = loop {
        tries += 1;
        let mut changes = Changes::new().ok();
        if let Some(changes) = &mut changes {
            named.iter().chain(required).for_each(|path| changes.add(path));
        }
        let compiled = policy.current();
        let has_all = |changes: &Changes| compiled.paths().all(|path| changes.has(path));
        if changes.as_ref().is_none_or(has_all) {
            break (compiled, changes);
        }
        if tries == TRIES {
            break (compiled, None);
        }
        named = owned(&compiled);
    };
    Snapshot {
        gone: missing(required).map(Path::to_path_buf),
        is_complete: states(policy.tables()).iter().all(Result::is_ok),
        compiled,
        changes,
        is_replaced: AtomicBool::new(false),
        looked: Mutex::new(now),
    }
}

/// What is required and not there.
fn missing(required: &[PathBuf]) -> Option<&Path> {
    let gone = required.iter().find(|path| rules::is_gone(path));
    gone.map(PathBuf::as_path)
}

fn log_gone(log: &Log, gone: Option<&Path>, before: Option<&Path>) {
    if let Some(path) = gone {
        let line = format!(
            "error: {} is gone: nobody is let in until it is back",
            path.display()
        );
        log.line(syslog::ERR, line.as_bytes());
    } else if let Some(path) = before {
        let line = format!("{} is back, and its rules hold", path.display());
        log.line(syslog::WARNING, line.as_bytes());
    }
}

fn states(tables: &Tables) -> [State; 2] {
    [TableKind::Allow, TableKind::Deny].map(|table| match std::fs::metadata(tables.path(table)) {
        Ok(metadata) => Ok(FileId::of(&metadata)),
        Err(error) => Err(error.kind()),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
