//! The files that `/path` patterns name (hosts_access(5), PATTERNS): white space apart, each word is a
//! host pattern.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The path a `/path` token names.
pub(crate) fn path(token: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(token))
}

/// The words of such a file.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c))
        .filter(|word| !word.is_empty())
}
