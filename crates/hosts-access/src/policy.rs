//! Two tables kept ready by a process that decides many requests.
//!
//! A policy notices edited, replaced, created and removed files before each decision, and answers any
//! number of threads at once, without a lock. While one thread compiles, the others decide by scanning; so
//! does the child of a process that forked while another of its threads did, since nothing here waits for it.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, TryLockError};

use arc_swap::ArcSwapOption;

use crate::decide::{Evaluation, FilesKept, Rules, Tables};
use crate::decision::{Decision, TableKind};
use crate::files::{self, HostFile};
use crate::host::{self, Host};
use crate::index::TableIndex;
use crate::options::conditions;
use crate::request::Request;
use crate::room;
use crate::source::{self, Contents, Lines, Seen};
use crate::syntax::fields;
use crate::syntax::list::tokens;
use crate::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern};
use crate::trace::NoTrace;

/// Two tables, compiled and kept until they change.
///
/// ```
/// use hosts_access::{Policy, Request, Tables, dry::DryHost};
/// let dir = tempfile::tempdir()?;
/// let deny = dir.path().join("hosts.deny");
/// std::fs::write(&deny, "ALL: 192.0.2.\n")?;
/// let policy = Policy::new(Tables::in_directory(dir.path()));
/// let granted = |policy: &Policy| {
///     policy.decide(&mut Request::new("sshd"), &mut DryHost::new("192.0.2.1")).verdict.is_granted()
/// };
/// assert!(!granted(&policy));
/// std::fs::remove_file(deny)?;
/// assert!(granted(&policy));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Policy {
    tables: Tables,
    /// What was compiled last.
    current: ArcSwapOption<Compiled>,
    compiling: Mutex<()>,
}

impl Policy {
    /// A policy over these tables, which are read when first needed.
    pub fn new(tables: Tables) -> Self {
        Policy {
            tables,
            current: ArcSwapOption::empty(),
            compiling: Mutex::new(()),
        }
    }

    /// The tables' paths.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Begins a decision by the tables as they are now. It keeps to them, whatever becomes of the files, and waits for
    /// nothing: while another thread compiles them, while somebody writes to them, and where there is too little
    /// memory for them, they are scanned. Only if a pattern needs a file that it names, that is looked at.
    pub fn evaluate(&self) -> Evaluation<'static> {
        match self.ready() {
            Some(compiled) if !compiled.is_short => {
                Evaluation::new(Rules::Shared(compiled, FilesKept::IfUnchanged), NoTrace)
            }
            _ => self.tables.evaluate(),
        }
    }

    /// Decides one request by the tables as they are now, waiting for what `host` answers.
    pub fn decide(&self, request: &mut Request, host: &mut dyn Host) -> Decision {
        host::decide(&mut self.evaluate(), request, host)
    }

    /// The tables as they are now, compiled, and the files that they name. Waits where another thread is compiling
    /// them, so not for a process that may have forked meanwhile, and for files that are being written to.
    pub fn current(&self) -> Arc<Compiled> {
        loop {
            let kept = self.current.load_full();
            if let Some(compiled) = &kept
                && !compiled.is_stale()
            {
                return Arc::clone(compiled);
            }
            let _compiling = match self.compiling.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    drop(self.compiling.lock());
                    continue;
                }
            };
            let Ok(compiled) = Compiled::new(&self.tables, kept.as_deref(), patiently);
            return self.keep(compiled);
        }
    }

    /// The tables as they are now, compiled; read again only where they changed. Nothing where that would have to wait.
    fn ready(&self) -> Option<Arc<Compiled>> {
        let kept = self.current.load_full();
        if let Some(compiled) = &kept
            && !compiled.is_outdated()
        {
            return kept;
        }
        let _compiling = match self.compiling.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let at_once = |path: &Path| source::read_now(path).ok_or(Busy);
        let compiled = Compiled::new(&self.tables, kept.as_deref(), at_once);
        compiled.ok().map(|compiled| self.keep(compiled))
    }

    fn keep(&self, compiled: Compiled) -> Arc<Compiled> {
        let compiled = Arc::new(compiled);
        self.current.store(Some(Arc::clone(&compiled)));
        compiled
    }
}

/// Two tables as they were read at one time, with an index of their rules and of the files they name.
#[derive(Debug)]
pub struct Compiled {
    tables: Tables,
    allow: Arc<Table>,
    deny: Arc<Table>,
    files: HashMap<Vec<u8>, Arc<HostFile>>,
    /// One of them was found changed.
    has_changed: AtomicBool,
    /// There is too little memory for all of it: nothing can be decided by this.
    is_short: bool,
}

/// One table, compiled.
#[derive(Debug)]
struct Table {
    kept: Kept,
    seen: Seen,
    files: HashSet<Vec<u8>>,
}

/// What is kept of a table.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a policy has two, and each decision goes through them"
)]
pub(crate) enum Kept {
    /// There is none.
    Missing,
    /// It cannot be read.
    Unreadable(io::Error),
    /// Its text, and the index of that.
    Text(Vec<u8>, TableIndex),
}

/// A file is being written to, and nobody waits for that.
struct Busy;

/// Reads a file, and waits until it holds still.
fn patiently(path: &Path) -> Result<(Contents, Seen), Infallible> {
    Ok(source::read(path))
}

impl Compiled {
    /// Reads and compiles the tables. What `old` holds and has not changed since is used again.
    fn new<E>(
        tables: &Tables,
        old: Option<&Compiled>,
        read: impl Fn(&Path) -> Result<(Contents, Seen), E>,
    ) -> Result<Self, E> {
        let table = |table| match old.map(|old| old.table(table)) {
            Some(old) if !old.seen.is_stale(tables.path(table)) => Ok(Arc::clone(old)),
            _ => read(tables.path(table)).map(|(contents, seen)| Arc::new(Table::new(contents, seen))),
        };
        Compiled::with(
            tables,
            table(TableKind::Allow)?,
            table(TableKind::Deny)?,
            old,
            read,
        )
    }

    /// The tables, and the files that their patterns name.
    fn with<E>(
        tables: &Tables,
        allow: Arc<Table>,
        deny: Arc<Table>,
        old: Option<&Compiled>,
        read: impl Fn(&Path) -> Result<(Contents, Seen), E>,
    ) -> Result<Self, E> {
        let mut files = HashMap::new();
        let named = allow.files.union(&deny.files);
        let mut has_room = room::has(named.clone().map(|path| 64 + path.len()).sum());
        let mut wanted: Vec<Vec<u8>> = named.filter(|_| has_room).cloned().collect();
        while let Some(path) = wanted.pop() {
            if files.contains_key(&path) {
                continue;
            }
            let file = match old.and_then(|old| old.files.get(&path)) {
                Some(old) if !old.is_stale(&path) => Arc::clone(old),
                _ => Arc::new(HostFile::new(read(files::path(&path))?).indexed()),
            };
            let further = file.named_files().filter(|path| !files.contains_key(*path));
            for further in further {
                has_room = has_room && room::has(2 * further.len()) && wanted.try_reserve(1).is_ok();
                if has_room {
                    wanted.push(further.to_vec());
                }
            }
            has_room = has_room && room::has(2 * path.len()) && files.try_reserve(1).is_ok();
            if !has_room {
                files = HashMap::new();
                break;
            }
            files.insert(path, file);
        }
        let is_short =
            !has_room || allow.is_short() || deny.is_short() || files.values().any(|file| file.is_short());
        Ok(Compiled {
            tables: tables.clone(),
            allow,
            deny,
            files,
            has_changed: AtomicBool::new(false),
            is_short,
        })
    }

    /// Two tables of these texts, compiled as if they had been read from the paths of `tables`; nothing stands for
    /// a table that is missing. The files that patterns name are read.
    ///
    /// ```
    /// use hosts_access::policy::Compiled;
    /// use hosts_access::{Request, Tables, dry::DryHost};
    /// let compiled = Compiled::of_texts(&Tables::default(), None, Some(b"ALL: 192.0.2.\n".to_vec()));
    /// let decision = compiled.decide(&mut Request::new("sshd"), &mut DryHost::new("192.0.2.1"));
    /// assert!(!decision.verdict.is_granted());
    /// ```
    pub fn of_texts(tables: &Tables, allow: Option<Vec<u8>>, deny: Option<Vec<u8>>) -> Self {
        let [allow, deny] = [allow, deny].map(|text| {
            let contents = text.map_or(Contents::Missing, Contents::Text);
            Arc::new(Table::new(contents, Seen::Unsettled))
        });
        let Ok(compiled) = Compiled::with(tables, allow, deny, None, patiently);
        compiled
    }

    fn table(&self, table: TableKind) -> &Arc<Table> {
        match table {
            TableKind::Allow => &self.allow,
            TableKind::Deny => &self.deny,
        }
    }

    /// The files it was read from: both tables, and those that patterns name.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let tables = [TableKind::Allow, TableKind::Deny].map(|table| &**self.tables.path(table));
        let files = self.files.keys().map(|token| files::path(token));
        tables.into_iter().chain(files)
    }

    /// Has one of the files changed since it was read?
    pub fn is_stale(&self) -> bool {
        self.has_stale_table() || self.has_stale_file()
    }

    fn has_stale_table(&self) -> bool {
        let stale = |table| self.table(table).seen.is_stale(self.tables.path(table));
        stale(TableKind::Allow) || stale(TableKind::Deny)
    }

    fn has_stale_file(&self) -> bool {
        self.files.iter().any(|(path, file)| file.is_stale(path))
    }

    /// Has a table changed, or is it known that a file has, or is there one that could not be read?
    fn is_outdated(&self) -> bool {
        self.has_changed.load(Relaxed) || self.has_stale_table() || (self.is_short && self.has_stale_file())
    }

    /// Begins a decision without looking whether a file has changed.
    pub fn evaluate(&self) -> Evaluation<'_> {
        Evaluation::new(Rules::Compiled(self), NoTrace)
    }

    /// Decides one request without looking whether a file has changed, waiting for what `host` answers.
    pub fn decide(&self, request: &mut Request, host: &mut dyn Host) -> Decision {
        host::decide(&mut self.evaluate(), request, host)
    }

    /// One of the tables, as it is read: its path, and what is kept of it.
    #[inline]
    pub(crate) fn for_reading(&self, kind: TableKind) -> (&Arc<Path>, &Kept) {
        (self.tables.path(kind), &self.table(kind).kept)
    }

    /// A file that patterns name; nothing where it must be read.
    pub(crate) fn file(&self, path: &[u8], kept: FilesKept) -> Option<Arc<HostFile>> {
        let file = self.files.get(path)?;
        let is_good = match kept {
            FilesKept::AsTheyAre => true,
            FilesKept::IfUnchanged => !file.is_stale(path),
        };
        if !is_good {
            // The next decision compiles it.
            self.has_changed.store(true, Relaxed);
        }
        is_good.then(|| Arc::clone(file))
    }

    /// How many bytes the tables take, text and index.
    pub fn bytes(&self) -> usize {
        [&self.allow, &self.deny].iter().map(|table| table.bytes()).sum()
    }
}

impl From<Arc<Compiled>> for Evaluation<'static> {
    fn from(compiled: Arc<Compiled>) -> Self {
        Evaluation::new(Rules::Shared(compiled, FilesKept::AsTheyAre), NoTrace)
    }
}

impl Table {
    fn new(contents: Contents, seen: Seen) -> Self {
        let (kept, files) = match contents {
            Contents::Text(text) => match TableIndex::new(&text) {
                Some(index) => match named_files(&text) {
                    Some(files) => (Kept::Text(text, index), files),
                    None => too_large(),
                },
                // Where there is no memory for an index, the text takes too much as well.
                None => too_large(),
            },
            Contents::Missing => (Kept::Missing, HashSet::new()),
            Contents::Unreadable(error) => (Kept::Unreadable(error), HashSet::new()),
        };
        Table { kept, seen, files }
    }

    /// Is there too little memory for it?
    fn is_short(&self) -> bool {
        match &self.kept {
            Kept::Unreadable(error) => error.kind() == io::ErrorKind::OutOfMemory,
            Kept::Missing | Kept::Text(..) => false,
        }
    }

    fn bytes(&self) -> usize {
        match &self.kept {
            Kept::Text(text, index) => text.capacity() + index.bytes(),
            Kept::Missing | Kept::Unreadable(_) => 0,
        }
    }
}

/// A table that there is too little memory for.
fn too_large() -> (Kept, HashSet<Vec<u8>>) {
    (
        Kept::Unreadable(io::ErrorKind::OutOfMemory.into()),
        HashSet::new(),
    )
}

/// The files that patterns of a table name; nothing where there is too little memory for them.
fn named_files(text: &[u8]) -> Option<HashSet<Vec<u8>>> {
    let mut found = HashSet::new();
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next() {
        // A path begins with a slash; few tables have any, and most of theirs are in networks.
        if memchr::memchr(b'/', line.text).is_none() {
            continue;
        }
        let Some(fields) = fields(line.text) else { continue };
        let clients = tokens(fields.clients).map(|t| ClientPattern::parse(t).host);
        let servers = tokens(fields.daemons).filter_map(|t| DaemonPattern::parse(t).host);
        for host in clients.chain(servers) {
            if let HostPattern::File(path) = host {
                room::has(2 * path.len()).then(|| found.insert(path.to_vec()))?;
            }
        }
        for list in fields.options.into_iter().flat_map(conditions) {
            for token in tokens(&list) {
                if let HostPattern::File(path) = ClientPattern::parse(token).host {
                    found.try_reserve(1).ok()?;
                    room::has(2 * path.len()).then(|| found.insert(path.to_vec()))?;
                }
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dry::DryHost;

    /// Text, where each rule begins, and what is looked up.
    #[test]
    fn how_much_memory_tables_take() {
        let tables = Tables::default();
        let bytes = |rules: usize| {
            let text: String = (0..rules)
                .map(|n| format!("sshd: 10.{}.{}.1\n", n / 250, n % 250))
                .collect();
            let length = text.len();
            let of = |allow, deny| Compiled::of_texts(&tables, allow, deny).bytes();
            let text = || Some(text.clone().into_bytes());
            // As much in either table.
            assert_eq!(of(text(), None), of(None, text()));
            assert_eq!(of(text(), text()), 2 * of(text(), None));
            of(text(), None) - length
        };
        assert_eq!(Compiled::of_texts(&tables, None, None).bytes(), 0);
        for rules in [1000, 20_000] {
            // Eight bytes say where a rule is, eight and one to two buckets of five where it is looked up.
            assert!(
                (21 * rules..27 * rules).contains(&bytes(rules)),
                "{} for {rules}",
                bytes(rules)
            );
        }
    }

    /// A process that had no descriptor for a list once does not scan its tables ever after.
    #[test]
    fn what_there_was_no_room_for_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let [list, deny] = ["list", "hosts.deny"].map(|name| directory.path().join(name));
        std::fs::write(&list, "192.0.2.1\n").unwrap();
        std::fs::write(&deny, format!("sshd: {}\n", list.display())).unwrap();
        let tables = Tables::in_directory(directory.path());
        let without = |path: &Path| match path == list {
            true => {
                let error = io::Error::from_raw_os_error(libc::EMFILE);
                Ok((Contents::Unreadable(error), Seen::Unsettled))
            }
            false => patiently(path),
        };
        let Ok(short) = Compiled::new(&tables, None, without);
        assert!(short.is_short);
        let policy = Policy::new(tables);
        policy.keep(short);
        let mut host = DryHost::new("192.0.2.1");
        let decision = policy.decide(&mut Request::new("sshd"), &mut host);
        assert!(!decision.verdict.is_granted());
        assert!(!policy.current.load_full().unwrap().is_short);
    }

    #[test]
    fn a_file_is_looked_at_only_by_who_needs_it() {
        let directory = tempfile::tempdir().unwrap();
        let [list, deny] = ["list", "hosts.deny"].map(|name| directory.path().join(name));
        std::fs::write(&list, "192.0.2.1\n").unwrap();
        std::fs::write(&deny, format!("sshd: {}\n", list.display())).unwrap();
        // Younger files are read anew each time.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let policy = Policy::new(Tables::in_directory(directory.path()));
        let is_granted = |daemon: &str, address: &str| {
            let mut request = Request::new(daemon);
            policy
                .decide(&mut request, &mut DryHost::new(address))
                .verdict
                .is_granted()
        };
        assert!(!is_granted("sshd", "192.0.2.1"));
        let first = policy.ready().unwrap();
        std::fs::write(&list, "192.0.2.2\n").unwrap();
        assert!(is_granted("vsftpd", "192.0.2.2"));
        assert!(Arc::ptr_eq(&first, &policy.ready().unwrap()));
        // Whoever needs it sees the change at once, and the next decision has it ready.
        assert!(!is_granted("sshd", "192.0.2.2"));
        assert!(!Arc::ptr_eq(&first, &policy.ready().unwrap()));
        assert!(!is_granted("sshd", "192.0.2.2") && is_granted("sshd", "192.0.2.1"));
        // The guard has all of them from the beginning.
        std::fs::write(&list, "192.0.2.3\n").unwrap();
        let mut host = DryHost::new("192.0.2.3");
        assert!(
            !policy
                .current()
                .decide(&mut Request::new("sshd"), &mut host)
                .verdict
                .is_granted()
        );
    }
}
