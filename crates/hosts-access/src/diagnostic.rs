//! What goes to the log while a decision is made, in the words that log filters know.
//!
//! Not for lints: those describe a file at rest and live in `check`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A line of a table: where a diagnostic belongs, and where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The table's path as it was given.
    pub file: Arc<Path>,
    /// The number of the last physical line of the rule, counted from 1.
    pub line: u32,
}

impl Place {
    /// A place in `file`.
    pub fn new(file: impl Into<PathBuf>, line: u32) -> Self {
        Place {
            file: Arc::from(file.into()),
            line,
        }
    }
}

/// How a diagnostic is logged: its syslog level and its first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `error: …` at `err`; the decision ends with a denial.
    Error,
    /// `warning: …` at `err`; the decision goes on.
    Warning,
    /// The bare text at `info`.
    Info,
    /// The bare text at `debug`.
    Debug,
}

/// One line for the log.
///
/// ```
/// use hosts_access::{Diagnostic, Kind, Place};
/// let place = Place::new("/etc/hosts.allow", 3);
/// let d = Diagnostic::new(Kind::Warning, Some(place), "missing \":\" separator");
/// assert_eq!(d.line(), b"warning: /etc/hosts.allow, line 3: missing \":\" separator");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Level and first word.
    pub kind: Kind,
    /// The rule being read, if a table was being read.
    pub place: Option<Place>,
    /// The text after the place. Not escaped: whoever writes it out escapes control characters.
    pub text: Vec<u8>,
}

impl Diagnostic {
    /// A diagnostic of any kind.
    pub fn new(kind: Kind, place: Option<Place>, text: impl Into<Vec<u8>>) -> Self {
        Diagnostic {
            kind,
            place,
            text: text.into(),
        }
    }

    /// The whole log line, in the reference's form.
    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.text.len() + 48);
        match self.kind {
            Kind::Error => line.extend_from_slice(b"error: "),
            Kind::Warning => line.extend_from_slice(b"warning: "),
            Kind::Info | Kind::Debug => {}
        }
        if let (Kind::Error | Kind::Warning, Some(place)) = (self.kind, &self.place) {
            line.extend_from_slice(place.file.as_os_str().as_encoded_bytes());
            line.extend_from_slice(format!(", line {}: ", place.line).as_bytes());
        }
        line.extend_from_slice(&self.text);
        line
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.line()))
    }
}
