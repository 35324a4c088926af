//! What can be wrong with a rule's options, and the words for it in the log.

use std::fmt;

use crate::syntax::option::Keyword;

/// A mistake in a rule's options. Where it is met, the request is denied.
///
/// ```
/// use hosts_access::options::{OptionError, check};
/// let error = check(b"spwan echo", true).unwrap_err();
/// assert_eq!(error, OptionError::NoOption(b"spwan".to_vec()));
/// assert_eq!(error.to_string(), "bad option name: \"spwan\"");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OptionError {
    /// There is nothing between two colons.
    NoName,
    /// There is no option of this name.
    NoOption(Vec<u8>),
    /// The option, as it is written, has no value and needs one.
    NeedsValue(Vec<u8>),
    /// It has a value and takes none.
    TakesNoValue(Vec<u8>),
    /// It is not the last one.
    NotLast(Vec<u8>),
    /// It stands behind one that it must stand before.
    OutOfPlace {
        /// The option.
        option: Keyword,
        /// What it stands behind.
        behind: Keyword,
    },
    /// It is of no use where no table is read.
    NoTable(Keyword),
    /// It bounds what a rule grants, and stands in one that denies.
    InDenial(Vec<u8>),
    /// Its value cannot be read.
    BadValue {
        /// What it should be.
        what: &'static str,
        /// What is written.
        text: Vec<u8>,
    },
    /// It names a variable that setenv(3) refuses.
    BadVariable,
    /// It ends the process, which serves others too.
    Resident,
}

impl OptionError {
    /// The text of its line in the log. What was written is quoted as it is; whoever writes it out escapes it.
    pub fn message(&self) -> Vec<u8> {
        let quoting = |before: &str, text: &[u8], after: &str| {
            [before.as_bytes(), b"\"", text, b"\"", after.as_bytes()].concat()
        };
        match self {
            OptionError::NoName => b"missing option name".to_vec(),
            OptionError::NoOption(word) => quoting("bad option name: ", word, ""),
            OptionError::NeedsValue(word) => quoting("option ", word, " requires value"),
            OptionError::TakesNoValue(word) => quoting("option ", word, " requires no value"),
            OptionError::NotLast(word) => quoting("option ", word, " must be at end"),
            OptionError::OutOfPlace { option, behind } => {
                let before = format!(" must stand before \"{}\"", behind.as_str());
                quoting("option ", option.as_str().as_bytes(), &before)
            }
            OptionError::NoTable(option) => {
                quoting("option ", option.as_str().as_bytes(), " belongs in a table")
            }
            OptionError::InDenial(word) => quoting("option ", word, " in a rule that denies"),
            OptionError::BadValue { what, text } => quoting(&format!("bad {what}: "), text, ""),
            // The words the log has always had for it.
            OptionError::BadVariable => b"memory allocation failure".to_vec(),
            OptionError::Resident => b"twist option in resident process".to_vec(),
        }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.message()))
    }
}

impl std::error::Error for OptionError {}
