//! Two tables kept ready by a process that decides many requests.
//!
//! A policy notices edited, replaced, created and removed files before each decision, and answers any
//! number of threads at once, without a lock. While one thread compiles, the others decide by scanning; so
//! does the child of a process that forked while another of its threads did, since nothing here waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, TryLockError};

use arc_swap::ArcSwapOption;

use crate::decide::{Evaluation, Rules, Tables};
use crate::decision::{Decision, TableKind};
use crate::files::{self, HostFile};
use crate::host::{self, Host};
use crate::index::TableIndex;
use crate::options::conditions;
use crate::request::Request;
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

    /// Begins a decision by the tables as they are now. It keeps to them, whatever becomes of the files. Tables for
    /// which there is too little memory are scanned.
    pub fn evaluate(&self) -> Evaluation<'static> {
        match self.try_current() {
            Some(compiled) if !compiled.is_short => compiled.into(),
            _ => self.tables.evaluate(),
        }
    }

    /// Decides one request by the tables as they are now, waiting for what `host` answers.
    pub fn decide(&self, request: &mut Request, host: &mut dyn Host) -> Decision {
        host::decide(&mut self.evaluate(), request, host)
    }

    /// The tables as they are now, compiled. Waits where another thread is compiling them, so not for a
    /// process that may have forked meanwhile.
    pub fn current(&self) -> Arc<Compiled> {
        loop {
            if let Some(compiled) = self.try_current() {
                return compiled;
            }
            drop(self.compiling.lock());
        }
    }

    /// The tables as they are now, compiled; read again only where they changed. Nothing while another
    /// thread compiles them.
    fn try_current(&self) -> Option<Arc<Compiled>> {
        let kept = self.current.load_full();
        if let Some(compiled) = &kept
            && !compiled.is_stale()
        {
            return kept;
        }
        let _compiling = match self.compiling.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let compiled = Arc::new(Compiled::new(&self.tables, kept.as_deref()));
        self.current.store(Some(Arc::clone(&compiled)));
        Some(compiled)
    }
}

/// Two tables as they were read at one time, with an index of their rules and of the files they name.
#[derive(Debug)]
pub struct Compiled {
    tables: Tables,
    allow: Arc<Table>,
    deny: Arc<Table>,
    files: BTreeMap<Vec<u8>, Arc<HostFile>>,
    /// There is too little memory for all of it: nothing can be decided by this.
    is_short: bool,
}

/// One table, compiled.
#[derive(Debug)]
struct Table {
    contents: Contents,
    seen: Seen,
    index: Option<TableIndex>,
    files: BTreeSet<Vec<u8>>,
}

impl Compiled {
    /// Reads and compiles the tables. What `old` holds and has not changed since is used again.
    fn new(tables: &Tables, old: Option<&Compiled>) -> Self {
        let read = |table| match old.map(|old| old.table(table)) {
            Some(old) if !old.seen.is_stale(tables.path(table)) => Arc::clone(old),
            _ => Arc::new(Table::read(tables, table)),
        };
        Compiled::with(tables, read(TableKind::Allow), read(TableKind::Deny), old)
    }

    /// The tables, and the files that their patterns name.
    fn with(tables: &Tables, allow: Arc<Table>, deny: Arc<Table>, old: Option<&Compiled>) -> Self {
        let mut files = BTreeMap::new();
        let mut wanted: Vec<Vec<u8>> = allow.files.union(&deny.files).cloned().collect();
        while let Some(path) = wanted.pop() {
            let file = match old.and_then(|old| old.files.get(&path)) {
                Some(old) if !old.is_stale(&path) => Arc::clone(old),
                _ => Arc::new(HostFile::read(&path).indexed()),
            };
            wanted.extend(
                file.named_files()
                    .filter(|p| !files.contains_key(*p))
                    .map(<[u8]>::to_vec),
            );
            files.insert(path, file);
        }
        let is_short = allow.is_short() || deny.is_short() || files.values().any(|file| file.is_short());
        Compiled {
            tables: tables.clone(),
            allow,
            deny,
            files,
            is_short,
        }
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
        let table = |text: Option<Vec<u8>>| {
            let contents = text.map_or(Contents::Missing, Contents::Text);
            Arc::new(Table::new(contents, Seen::Unsettled))
        };
        Compiled::with(tables, table(allow), table(deny), None)
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
        let stale = |table| self.table(table).seen.is_stale(self.tables.path(table));
        stale(TableKind::Allow)
            || stale(TableKind::Deny)
            || self.files.iter().any(|(path, file)| file.is_stale(path))
    }

    /// Begins a decision without looking whether a file has changed.
    pub fn evaluate(&self) -> Evaluation<'_> {
        Evaluation::new(Rules::Compiled(self), NoTrace)
    }

    /// Decides one request without looking whether a file has changed, waiting for what `host` answers.
    pub fn decide(&self, request: &mut Request, host: &mut dyn Host) -> Decision {
        host::decide(&mut self.evaluate(), request, host)
    }

    /// One of the tables, as it is read: its path, what is in it, and its index.
    pub(crate) fn for_reading(&self, kind: TableKind) -> (&Arc<Path>, &Contents, Option<&TableIndex>) {
        let table = self.table(kind);
        (self.tables.path(kind), &table.contents, table.index.as_ref())
    }

    /// A file that patterns name.
    pub(crate) fn file(&self, path: &[u8]) -> Arc<HostFile> {
        match self.files.get(path) {
            Some(file) => Arc::clone(file),
            None => Arc::new(HostFile::read(path)),
        }
    }

    /// How many bytes the tables take, text and index.
    pub fn bytes(&self) -> usize {
        [&self.allow, &self.deny].iter().map(|table| table.bytes()).sum()
    }
}

impl From<Arc<Compiled>> for Evaluation<'static> {
    fn from(compiled: Arc<Compiled>) -> Self {
        Evaluation::new(Rules::Shared(compiled), NoTrace)
    }
}

impl Table {
    fn read(tables: &Tables, table: TableKind) -> Self {
        let (contents, seen) = source::read(tables.path(table));
        Table::new(contents, seen)
    }

    fn new(contents: Contents, seen: Seen) -> Self {
        let (index, files) = match &contents {
            Contents::Text(text) => (TableIndex::new(text), named_files(text)),
            Contents::Missing | Contents::Unreadable(_) => (None, BTreeSet::new()),
        };
        let contents = match (contents, &index) {
            // Where there is no memory for an index, the text takes too much as well.
            (Contents::Text(_), None) => Contents::Unreadable(io::ErrorKind::OutOfMemory.into()),
            (contents, _) => contents,
        };
        Table {
            contents,
            seen,
            index,
            files,
        }
    }

    /// Is there too little memory for it?
    fn is_short(&self) -> bool {
        match &self.contents {
            Contents::Unreadable(error) => error.kind() == io::ErrorKind::OutOfMemory,
            Contents::Missing | Contents::Text(_) => false,
        }
    }

    fn bytes(&self) -> usize {
        let text = match &self.contents {
            Contents::Text(text) => text.capacity(),
            Contents::Missing | Contents::Unreadable(_) => 0,
        };
        text + self.index.as_ref().map_or(0, TableIndex::bytes)
    }
}

/// The files that patterns of a table name.
fn named_files(text: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
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
                found.insert(path.to_vec());
            }
        }
        for list in fields.options.into_iter().flat_map(conditions) {
            for token in tokens(&list) {
                if let HostPattern::File(path) = ClientPattern::parse(token).host {
                    found.insert(path.to_vec());
                }
            }
        }
    }
    found
}
