//! What a diagnostic is: its stable code, its level, what it means and an example of each side.
//!
//! The codes themselves stand beside the lints that raise them; [`ALL`] lists them. The examples are
//! held by a test: the bad one raises the code, the good one does not.

use std::fmt;

use super::{
    characters, clients, comments, compat, daemons, host, ipv6, lines, lists, names, options, policy, shadow,
};

/// How grave a diagnostic is. In order: `Info < Warning < Error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing; nothing is wrong.
    Info,
    /// The rules very likely do not mean what they seem to.
    Warning,
    /// The rule cannot do what it says: it matches nothing, everything, or only denies.
    Error,
}

impl Level {
    /// The level's name: `error`, `warning` or `info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two tables of an example; an empty one stands for a table without rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// The allow table.
    pub allow: &'static str,
    /// The deny table.
    pub deny: &'static str,
}

/// An example that is an allow table, above a deny table that closes everything else.
pub(super) const fn allow(text: &'static str) -> Example {
    Example {
        allow: text,
        deny: "ALL: ALL\n",
    }
}

/// A kind of diagnostic.
pub struct Code {
    /// The stable code, as `W201`. Codes are never reused for something else.
    pub id: &'static str,
    /// A short name.
    pub name: &'static str,
    /// The usual level; a finding may be raised or lowered where the case is clear.
    pub level: Level,
    /// What it means, in full sentences.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// Tables that raise it. For codes about the host, tables that can.
    pub bad: Example,
    /// Tables that do not.
    pub good: Example,
    /// It depends on the machine, and is looked for only where that is asked for.
    pub needs_host: bool,
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Code {}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// All codes, by subject, in order.
pub static ALL: &[&[&Code]] = &[
    lines::CODES,
    characters::CODES,
    comments::CODES,
    lists::CODES,
    daemons::CODES,
    ipv6::CODES,
    clients::CODES,
    names::CODES,
    options::CODES,
    shadow::CODES,
    policy::CODES,
    host::CODES,
    compat::CODES,
];

/// The code with this id, ASCII case apart.
///
/// ```
/// assert_eq!(analysis::check::code::find("w201").unwrap().name, "bare-ipv6");
/// ```
pub fn find(id: &str) -> Option<&'static Code> {
    ALL.iter()
        .flat_map(|group| group.iter())
        .find(|code| code.id.eq_ignore_ascii_case(id))
        .copied()
}
