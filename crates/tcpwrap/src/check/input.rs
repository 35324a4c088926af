//! Which tables `tcpwrap check` is to read, and reading them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use analysis::document::{Document, Documents};
use hosts_access::source::{self, Contents};
use hosts_access::{TableKind, Tables};

use crate::rules::ends;

/// One or both tables of a policy.
#[derive(Debug, Default)]
pub struct Policy {
    /// The allow table.
    pub allow: Option<Document>,
    /// The deny table.
    pub deny: Option<Document>,
}

impl Policy {
    /// The tables as the lints want them.
    pub fn tables(&self) -> Documents<'_> {
        Documents {
            allow: self.allow.as_ref(),
            deny: self.deny.as_ref(),
        }
    }

    /// One of the tables.
    pub fn table(&self, table: TableKind) -> Option<&Document> {
        match table {
            TableKind::Allow => self.allow.as_ref(),
            TableKind::Deny => self.deny.as_ref(),
        }
    }

    /// Puts another document in a table's place.
    pub fn replace(&mut self, table: TableKind, document: Document) {
        *self.slot(table) = Some(document);
    }

    fn slot(&mut self, table: TableKind) -> &mut Option<Document> {
        match table {
            TableKind::Allow => &mut self.allow,
            TableKind::Deny => &mut self.deny,
        }
    }
}

/// Both tables of a policy. One that does not exist is empty; `must_exist` asks for one of them at least.
///
/// # Errors
/// A message, where a table cannot be read.
pub fn both(tables: &Tables, must_exist: bool) -> Result<Policy, String> {
    let allow = table(tables.path(TableKind::Allow))?;
    let deny = table(tables.path(TableKind::Deny))?;
    if must_exist && allow.is_none() && deny.is_none() {
        return Err(format!(
            "neither {} nor {} exists",
            tables.path(TableKind::Allow).display(),
            tables.path(TableKind::Deny).display()
        ));
    }
    let empty = |kind| Document::new(tables.path(kind).to_path_buf(), Vec::new());
    Ok(Policy {
        allow: Some(allow.unwrap_or_else(|| empty(TableKind::Allow))),
        deny: Some(deny.unwrap_or_else(|| empty(TableKind::Deny))),
    })
}

/// The policies of files named one by one: an allow and a deny table in one directory belong together,
/// and a directory stands for the two tables in it. `-` is standard input.
///
/// # Errors
/// A message, where a file cannot be read.
pub fn files(files: &[PathBuf], kind: Option<TableKind>) -> Result<Vec<Policy>, String> {
    let mut policies: Vec<(PathBuf, Policy)> = Vec::new();
    for path in files {
        if path.is_dir() {
            policies.push((PathBuf::new(), both(&Tables::in_directory(path), true)?));
            continue;
        }
        let kind = kind.unwrap_or_else(|| kind_of(path));
        let document = if path.as_os_str() == "-" {
            let mut text = Vec::new();
            io::stdin()
                .read_to_end(&mut text)
                .map_err(|error| format!("standard input: {error}"))?;
            Document::new("<stdin>", text)
        } else {
            table(path)?.ok_or_else(|| format!("{}: No such file or directory", path.display()))?
        };
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let partner = policies
            .iter_mut()
            .map(|(at, policy)| (at, policy))
            .find(|(at, policy)| **at == directory && policy.table(kind).is_none());
        match partner {
            Some((_, policy)) => *policy.slot(kind) = Some(document),
            None => {
                let mut policy = Policy::default();
                *policy.slot(kind) = Some(document);
                policies.push((directory, policy));
            }
        }
    }
    Ok(policies.into_iter().map(|(_, policy)| policy).collect())
}

/// A file whose name speaks of denying is a deny table.
fn kind_of(path: &Path) -> TableKind {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_ascii_lowercase());
    match name {
        Some(name) if name.contains("deny") => TableKind::Deny,
        _ => TableKind::Allow,
    }
}

fn table(path: &Path) -> Result<Option<Document>, String> {
    ends(path)?;
    match source::read(path).0 {
        Contents::Missing => Ok(None),
        Contents::Unreadable(error) => Err(format!(
            "{}: {}",
            path.display(),
            hosts_access::decide::reason(&error)
        )),
        Contents::Text(text) => Ok(Some(Document::new(path, text))),
    }
}
