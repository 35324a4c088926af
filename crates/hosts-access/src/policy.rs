//! Two tables kept ready by a process that decides many requests.
//!
//! A policy notices edited, replaced, created and removed files before each decision, and answers any
//! number of threads at once: no lock is held while a decision looks things up or runs commands.

use std::sync::{Arc, Mutex, PoisonError};

use crate::decide::{Evaluation, FilesRead, NoTrace, Tables};
use crate::decision::{Decision, TableKind};
use crate::request::Request;
use crate::source::{self, Contents, Seen};

/// Two tables, read and kept until they change.
#[derive(Debug)]
pub struct Policy {
    tables: Tables,
    current: Mutex<Option<Arc<Snapshot>>>,
}

/// The tables as they were read at one time.
#[derive(Debug)]
struct Snapshot {
    allow: Table,
    deny: Table,
}

#[derive(Debug)]
struct Table {
    contents: Contents,
    seen: Seen,
}

impl Policy {
    /// A policy over these tables, which are read when first needed.
    pub fn new(tables: Tables) -> Self {
        Policy {
            tables,
            current: Mutex::new(None),
        }
    }

    /// The tables' paths.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Decides one request by the tables as they are now.
    pub fn decide(&self, request: &mut Request<'_>) -> Decision {
        let snapshot = self.snapshot();
        Evaluation::new(FilesRead::default(), NoTrace).decide(request, |evaluation, table, request| {
            evaluation.scan(
                table,
                self.tables.path(table),
                &snapshot.table(table).contents,
                request,
            )
        })
    }

    /// The tables as they are now; read again only where they changed.
    fn snapshot(&self) -> Arc<Snapshot> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = &*current
            && !snapshot.is_stale(&self.tables)
        {
            return Arc::clone(snapshot);
        }
        let read = |table| {
            let (contents, seen) = source::read(self.tables.path(table));
            Table { contents, seen }
        };
        let snapshot = Arc::new(Snapshot {
            allow: read(TableKind::Allow),
            deny: read(TableKind::Deny),
        });
        *current = Some(Arc::clone(&snapshot));
        snapshot
    }
}

impl Snapshot {
    fn table(&self, table: TableKind) -> &Table {
        match table {
            TableKind::Allow => &self.allow,
            TableKind::Deny => &self.deny,
        }
    }

    fn is_stale(&self, tables: &Tables) -> bool {
        [TableKind::Allow, TableKind::Deny]
            .iter()
            .any(|t| self.table(*t).seen.is_stale(tables.path(*t)))
    }
}
