//! What a guard tells of itself: a small file in memory that it holds open. Whoever may look at its descriptors, which
//! is root alone, learns from it whom it guards. There is nothing to clean up, and nobody else can write it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::FromRawFd as _;
use std::os::unix::ffi::OsStrExt as _;

use hosts_access::TableKind;

use crate::Options;
use crate::call::check;

/// The file's name. `tcpwrap status` looks for it.
const NAME: &std::ffi::CStr = c"tcpwrap-guard";

/// Makes the file. What stands in it, each with a NUL behind it: the first process of the program, the daemon's name,
/// the program as it was named, the allow table, the deny table.
///
/// # Errors
/// Where the kernel has no room for it.
pub(crate) fn make(options: &Options, process: u32) -> io::Result<File> {
    // SAFETY: a C string and a number; the descriptor is new.
    let mut file = unsafe {
        let fd = check(libc::memfd_create(NAME.as_ptr(), libc::MFD_CLOEXEC).into())?;
        File::from_raw_fd(fd as i32)
    };
    let process = process.to_string();
    let table = |kind| options.tables.path(kind).as_os_str().as_bytes();
    let parts = [
        process.as_bytes(),
        &options.name,
        options.program.as_bytes(),
        table(TableKind::Allow),
        table(TableKind::Deny),
    ];
    for part in parts {
        file.write_all(part)?;
        file.write_all(&[0])?;
    }
    Ok(file)
}
