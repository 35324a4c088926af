//! What decisions remember between processes, and what they are told of the world: the ban list, limits,
//! connections as the kernel counts them, databases of countries and networks, addresses of names, lists in the
//! DNS, this host's interfaces, the clock.
//!
//! Every question is answered, or comes back as [`Unknown`] with its cause: a door that does not know says so, and
//! the language's rules for the unknown (hosts_access(5), ADDITIONS) keep it closed. Nothing here knows the
//! language, and nothing here decides.
//!
//! No answer waits for a lock that another user can hold, or for the disk to write. What daemons read is read, never
//! mapped; the one exception is the memory of [`limits`], which only the process's own user can shrink.

mod all;
pub mod bans;
pub mod clock;
pub mod config;
pub mod counts;
mod files;
pub mod geo;
pub mod interfaces;
mod lazy;
pub mod limits;
mod looked;
pub mod names;
pub mod network;
mod news;
pub mod stamp;

use std::fmt;
use std::io;

pub use all::State;

/// Why a question has no answer, as an administrator should read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(String);

impl Unknown {
    /// This cause.
    pub fn new(cause: impl Into<String>) -> Self {
        Unknown(cause.into())
    }

    /// A file that cannot be used.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Unknown(format!("{}: {}", path.display(), reason(error)))
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unknown {}

/// What came of a question.
pub type Answer<T> = Result<T, Unknown>;

/// An error of the system, in the C library's words.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
