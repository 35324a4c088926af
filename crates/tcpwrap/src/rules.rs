//! The options by which every subcommand is told where the tables are.

use std::path::{Path, PathBuf};

use analysis::document::{Document, is_rule};
use hosts_access::source::Contents;
use hosts_access::{ALLOW_TABLE, DENY_TABLE, TableKind, Tables, source};
use system::given;

use crate::output;

/// Which tables to read: `/etc/hosts.allow` and `/etc/hosts.deny` unless told otherwise.
#[derive(Debug, clap::Args)]
pub struct Rules {
    /// Read hosts.allow and hosts.deny in this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["allow", "deny"])]
    pub rules: Option<PathBuf>,
    /// Read this file as the allow table
    #[arg(long, value_name = "FILE")]
    pub allow: Option<PathBuf>,
    /// Read this file as the deny table
    #[arg(long, value_name = "FILE")]
    pub deny: Option<PathBuf>,
}

impl Rules {
    /// The tables asked for.
    pub fn tables(&self) -> Tables {
        match &self.rules {
            Some(directory) => Tables::in_directory(directory),
            None => Tables::new(
                self.allow.clone().unwrap_or_else(|| ALLOW_TABLE.into()),
                self.deny.clone().unwrap_or_else(|| DENY_TABLE.into()),
            ),
        }
    }

    /// The tables asked for, where what was named is there: a misspelt path must not pass for an empty table.
    ///
    /// # Errors
    /// A message, where the directory or a file that was named does not exist, or holds nothing to read.
    pub fn existing_tables(&self) -> Result<Tables, String> {
        if let Some(directory) = &self.rules
            && !directory.is_dir()
        {
            return Err(format!("{}: no such directory", directory.display()));
        }
        for file in [&self.allow, &self.deny].into_iter().flatten() {
            if let Ok(false) = file.try_exists() {
                return Err(format!("{}: no such file", file.display()));
            }
        }
        let tables = self.tables();
        both_end(&tables)?;
        let is_empty = [TableKind::Allow, TableKind::Deny].iter().all(|kind| {
            let there = tables.path(*kind).try_exists();
            matches!(there, Ok(false))
        });
        if let Some(directory) = self.rules.as_ref().filter(|_| is_empty) {
            return Err(format!(
                "{}: neither hosts.allow nor hosts.deny in it",
                directory.display()
            ));
        }
        Ok(tables)
    }

    /// The directory or the files that were named.
    pub fn named(&self) -> Vec<PathBuf> {
        let named = [&self.rules, &self.allow, &self.deny];
        named.into_iter().flatten().cloned().collect()
    }

    /// Were they named, rather than left to be the usual ones?
    pub fn are_named(&self) -> bool {
        self.rules.is_some() || self.allow.is_some() || self.deny.is_some()
    }
}

/// How many rules a table has.
pub fn count(document: &Document) -> usize {
    let lines = document.entries.iter().map(|entry| document.line(entry));
    lines.filter(|line| is_rule(line)).count()
}

/// Is there no rule in either table? One that cannot be read is none of these: it refuses.
pub fn none(tables: &Tables) -> bool {
    [TableKind::Allow, TableKind::Deny].into_iter().all(|kind| {
        let path = tables.path(kind);
        match source::read(path).0 {
            Contents::Missing => true,
            Contents::Text(text) => count(&Document::new(path.to_path_buf(), text)) == 0,
            Contents::Unreadable(_) => false,
        }
    })
}

/// Refuses tables that are there and cannot be read: what they decide for others cannot be told.
///
/// # Errors
/// A message that says which and why.
pub fn readable(tables: &Tables) -> Result<(), String> {
    for kind in [TableKind::Allow, TableKind::Deny] {
        let path = tables.path(kind);
        if let Contents::Unreadable(error) = source::read(path).0 {
            return Err(output::at(path, &error));
        }
    }
    Ok(())
}

/// Both tables of a pair, as [`ends`] has it.
///
/// # Errors
/// See there.
pub fn both_end(tables: &Tables) -> Result<(), String> {
    [TableKind::Allow, TableKind::Deny]
        .into_iter()
        .try_for_each(|kind| ends(tables.path(kind)))
}

/// Refuses to read a table that is no file, which might take for ever. A descriptor that this process was given,
/// as a shell's `<(...)` is, is meant so, and read here.
///
/// # Errors
/// A message that says what it is, and what to do.
pub fn ends(path: &Path) -> Result<(), String> {
    let Some(what) = source::endless(path) else {
        return Ok(());
    };
    match given::descriptor(path) {
        Some(descriptor) => given::make_file(descriptor).map_err(|error| output::at(path, &error)),
        None => Err(format!(
            "{}: this is {what}: nothing is read from it, and whoever the table is asked about is refused; put a \
             regular file, or none, in its place",
            path.display()
        )),
    }
}
