//! Opening what the configuration names, waiting for nobody; and making files and directories that everybody may read.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Opens a file to read it, and says what it is. Who writes to a FIFO need never come, and a device need never end.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    match file.metadata()? {
        metadata if metadata.is_file() => Ok((file, metadata)),
        // What stands for an empty file.
        metadata if metadata.file_type().is_char_device() && metadata.rdev() == libc::makedev(1, 3) => {
            Ok((file, metadata))
        }
        _ => Err(not_a_file()),
    }
}

pub(crate) fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// What tells a file from the one that was in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64, u64, i64, i64);

impl Identity {
    pub fn of(metadata: &Metadata) -> Self {
        Identity(
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        )
    }

    /// Of what is at a path, if anything is.
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Identity::of(&metadata))
    }
}

/// Reads so much of a file, which may be larger than all memory.
pub(crate) fn read(file: impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    bytes
        .try_reserve_exact(wanted)
        .map_err(|_| io::ErrorKind::OutOfMemory)?;
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a new file that everybody may read, and has it on the disk.
pub(crate) fn write_new(path: &Path, contents: &[u8]) -> io::Result<File> {
    let write = || {
        // One that a killed writer left is nobody's.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(contents)?;
        // Readers are whoever asks libwrap, whatever this process's umask.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()?;
        Ok(file)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// Makes a directory, and those it is in, so that everybody may look into them whatever this process's umask.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    let mut ways: Vec<&Path> = path.ancestors().take_while(|way| !way.is_dir()).collect();
    while let Some(way) = ways.pop() {
        match DirBuilder::new().mode(0o755).create(way) {
            Ok(()) => fs::set_permissions(way, Permissions::from_mode(0o755))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
