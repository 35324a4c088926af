//! Copies of databases that were good: what processes ask that begin when the file itself is gone or damaged.
//!
//! A copy is made whole or not at all, of a database whose tree and records can all be read, and stands under the
//! database's own path. The file itself is always asked first, so a copy can be old but never in its way.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::mmdb::Layout;
use super::{Database, Record, Wanted};
use crate::{Answer, Unknown, files};

/// Where copies are.
pub const DIRECTORY: &str = "/var/lib/tcpwrap/databases";

/// A copy that was made, or is as the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The database.
    pub database: PathBuf,
    /// Its copy.
    pub copy: PathBuf,
    /// Is it another than was there before?
    pub is_new: bool,
}

/// Where the copy of a database is.
pub(super) fn path_of(directory: &Path, database: &Path) -> PathBuf {
    let below = database.components();
    let below = below.filter(|part| matches!(part, Component::Normal(_)));
    directory.join(below.collect::<PathBuf>())
}

impl Database {
    /// Copies the database, if all of it is good.
    ///
    /// # Errors
    /// There is none, or it is damaged; the copy that was there stays.
    pub fn copy(&self) -> Answer<Copied> {
        let (database, file, metadata) = self.open().map_err(|(_, why)| why)?;
        let read = || {
            let bytes = files::read(&file, metadata.len())?;
            check(&bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| Unknown::file(&database, &error))?;
        let copy = path_of(&self.copies, &database);
        let is_new = fs::read(&copy).map_or(true, |old| old != bytes);
        if is_new {
            write(&copy, &bytes).map_err(|error| Unknown::file(&copy, &error))?;
        }
        Ok(Copied {
            database,
            copy,
            is_new,
        })
    }

    /// Is there a copy of a database that this may be?
    pub fn has_copy(&self) -> bool {
        let mut copies = self.paths.iter().map(|path| path_of(&self.copies, path));
        copies.any(|copy| copy.exists())
    }

    /// Removes the copies of all databases that this may be; returns those there were.
    ///
    /// # Errors
    /// One is still there.
    pub fn remove_copies(&self) -> Answer<Vec<PathBuf>> {
        let mut removed = Vec::new();
        for path in &self.paths {
            let copy = path_of(&self.copies, path);
            match fs::remove_file(&copy) {
                Ok(()) => removed.push(copy),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Unknown::file(&copy, &error)),
            }
        }
        Ok(removed)
    }
}

/// Can all of it be read?
fn check(bytes: &[u8]) -> io::Result<()> {
    let mut source = bytes;
    let layout = Layout::read(&mut source)?;
    for at in layout.records(&mut source)? {
        Record::read(&layout, &mut source, at, Wanted::Both)?;
    }
    Ok(())
}

/// Puts a file there that everybody may read, whole.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    files::make_directory(directory)?;
    let new = path.with_extension("new");
    files::write_new(&new, bytes)?;
    fs::rename(&new, path).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A distribution's database that was replaced by another leaves its copy behind, which no `compile` renews.
    #[test]
    fn a_copy_of_another_database_is_not_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["a.mmdb", "b.mmdb"].map(|name| directory.path().join(name));
        let database = Database {
            paths: vec![first.clone(), second.clone()],
            copies: directory.path().join("copies"),
            ..Database::of_countries(None)
        };
        let copy = path_of(&database.copies, &first);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(&copy, "damaged").unwrap();
        // It would be asked.
        assert!(matches!(database.kept(), Some(Err(_))));
        fs::write(&second, "in use").unwrap();
        assert!(database.kept().is_none());
        fs::write(&first, "in use").unwrap();
        assert!(matches!(database.kept(), Some(Err(_))));
    }
}
