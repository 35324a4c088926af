//! Replacing a rule file: the new text appears whole or not at all, with the old file's owner, mode and
//! label.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::compile;
use hosts_access::decide::reason;
use hosts_access::source::{self, FileId};
use rustix::fs::{Gid, Mode, Uid, XattrFlags};
use rustix::io::Errno;

/// A file as it was when it was read, to be replaced only while it is still the same.
#[derive(Debug)]
pub struct Original {
    /// Where it really is: symbolic links are followed, and stay.
    path: PathBuf,
    /// What it was called.
    name: PathBuf,
    /// The file, and its state; nothing where there was no such file.
    was: Option<(File, Metadata)>,
    /// Its text, empty where there was none.
    pub text: Vec<u8>,
}

impl Original {
    /// Reads the file; one that does not exist counts as empty.
    ///
    /// # Errors
    /// Where it exists and cannot be read, or is no plain file.
    pub fn read(name: &Path) -> io::Result<Self> {
        let name = name.to_owned();
        let path = match name.canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if name.is_symlink() {
                    let problem = "this is a link to a file that is not there; make that, or remove the link";
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
                }
                return Ok(Original {
                    path: name.clone(),
                    name,
                    was: None,
                    text: Vec::new(),
                });
            }
            Err(error) => return Err(error),
        };
        if !std::fs::metadata(&path)?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this is no regular file; put one in its place",
            ));
        }
        // Its text, owner, mode and label are those of one file, whoever may put another in its place.
        let mut file = source::open(&path)?;
        let metadata = file.metadata()?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(Original {
            path,
            name,
            was: Some((file, metadata)),
            text,
        })
    }

    /// Where it really is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Is there such a file?
    pub fn exists(&self) -> bool {
        self.was.is_some()
    }

    /// Puts `text` in the file's place.
    ///
    /// # Errors
    /// Where the file has changed since it was read, or where owner, mode or label cannot be kept; the
    /// file is then as it was.
    pub fn replace(&self, text: &[u8]) -> io::Result<()> {
        let new = self.written(text)?;
        self.unchanged()?;
        new.persist(&self.path)
            .map_err(|error| not_replaced(error.error))?;
        self.in_place()
    }

    /// Writes `text` into a file beside this one, from where [`Original::put`] puts it in place.
    ///
    /// # Errors
    /// As [`Original::replace`].
    pub fn stage(&self, text: &[u8], extension: &str) -> io::Result<PathBuf> {
        let staged = self.beside(extension);
        let new = self.written(text)?;
        new.persist(&staged).map_err(|error| error.error)?;
        self.sync_directory()?;
        Ok(staged)
    }

    /// Puts a staged text in the file's place.
    ///
    /// # Errors
    /// Where that fails.
    pub fn put(&self, staged: &Path) -> io::Result<()> {
        std::fs::rename(staged, &self.path).map_err(not_replaced)?;
        self.in_place()
    }

    /// The path of a file beside this one, `extension` being put behind its name.
    pub fn beside(&self, extension: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(extension);
        PathBuf::from(name)
    }

    /// A new file in the same directory, with this one's owner, mode and label, which outlasts a crash.
    fn written(&self, text: &[u8]) -> io::Result<tempfile::NamedTempFile> {
        let directory = parent(&self.path);
        let made = tempfile::Builder::new()
            .prefix(".tcpwrap-")
            .tempfile_in(directory);
        let mut new = made.map_err(|error| {
            let text = format!("cannot write in {}: {}", directory.display(), reason(&error));
            io::Error::new(error.kind(), text)
        })?;
        new.write_all(text)?;
        match &self.was {
            Some((old, metadata)) => copy_attributes(old, metadata, new.as_file())?,
            None => new
                .as_file()
                .set_permissions(std::fs::Permissions::from_mode(0o644))?,
        }
        new.as_file().sync_all()?;
        Ok(new)
    }

    fn in_place(&self) -> io::Result<()> {
        compile::refresh(&self.name);
        self.sync_directory()
    }

    /// The new name must outlast a crash too.
    fn sync_directory(&self) -> io::Result<()> {
        File::open(parent(&self.path))?.sync_all()
    }

    /// Keeps the text as `NAME~` beside the file, with its owner, mode and label.
    ///
    /// # Errors
    /// As [`Original::replace`].
    pub fn keep_previous(&self) -> io::Result<Option<PathBuf>> {
        if !self.exists() {
            return Ok(None);
        }
        self.stage(&self.text, "~").map(Some)
    }

    /// Is the file still as it was read?
    ///
    /// # Errors
    /// Where it is not.
    pub fn unchanged(&self) -> io::Result<()> {
        let now = std::fs::metadata(&self.path).ok();
        let was = self.was.as_ref().map(|(_, metadata)| FileId::of(metadata));
        if now.as_ref().map(FileId::of) == was {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "it was changed meanwhile by someone else; nothing was written",
        ))
    }
}

/// Why a file may withstand being replaced, in the words of somebody who can do something about it.
fn not_replaced(error: io::Error) -> io::Error {
    let text = match Errno::from_io_error(&error) {
        Some(Errno::BUSY) => {
            "it is mounted there by itself, as in a container: change it where it is mounted from"
        }
        Some(Errno::PERM) => "it may not be replaced: is it immutable? chattr -i ends that",
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}

/// The directory a file is in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// Owner, mode and extended attributes, among which are SELinux labels and access lists.
fn copy_attributes(old: &File, metadata: &Metadata, new: &File) -> io::Result<()> {
    let own = new.metadata()?;
    if (own.uid(), own.gid()) != (metadata.uid(), metadata.gid()) {
        rustix::fs::fchown(
            new,
            Some(Uid::from_raw(metadata.uid())),
            Some(Gid::from_raw(metadata.gid())),
        )?;
    }
    rustix::fs::fchmod(new, Mode::from_raw_mode(metadata.mode() & 0o7777))?;
    copy_xattrs(old, new)
}

fn copy_xattrs(old: impl AsFd, new: impl AsFd) -> io::Result<()> {
    let mut names = vec![0u8; 64 * 1024];
    let length = match rustix::fs::flistxattr(&old, &mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0u8; 64 * 1024];
    let mut present = vec![0u8; 64 * 1024];
    for name in names[..length].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        // The kernel computes these from the content; the old ones would not fit the new text.
        if matches!(name, b"security.ima" | b"security.evm") {
            continue;
        }
        let length = rustix::fs::fgetxattr(&old, name, &mut value)?;
        let value = &value[..length];
        // A label that the new file has by itself need not be set, which may not be allowed.
        if rustix::fs::fgetxattr(&new, name, &mut present).is_ok_and(|n| &present[..n] == value) {
            continue;
        }
        rustix::fs::fsetxattr(&new, name, value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Holds a lock on a file or directory while something is edited; nothing where someone else holds it.
///
/// The lock is on the table itself, or on its directory where there is no table yet. Who replaces the table
/// locks out nobody for longer than that takes; [`Original::replace`] looks for changes in any case.
///
/// # Errors
/// Where it cannot be opened.
pub fn lock(path: &Path) -> io::Result<Option<Lock>> {
    let file = File::open(path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_kept_whatever_is_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let table = directory.path().join("hosts.allow");
        std::fs::write(&table, "sshd: 192.0.2.1\n").unwrap();
        std::fs::set_permissions(&table, std::fs::Permissions::from_mode(0o640)).unwrap();
        let original = Original::read(&table).unwrap();
        // Whose end nobody opens.
        std::fs::remove_file(&table).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &table,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o666),
            0,
        )
        .unwrap();
        let kept = original.keep_previous().unwrap().unwrap();
        assert_eq!(std::fs::read(&kept).unwrap(), original.text);
        assert_eq!(std::fs::metadata(&kept).unwrap().mode() & 0o7777, 0o640);
        assert!(original.replace(b"").is_err());
        assert!(Original::read(&table).is_err());
    }
}
