//! What a diagnostic is: its stable code, its level, what it means and an example of each side.
//!
//! The codes themselves stand beside the lints that raise them; [`all`] lists them. The examples are
//! held by a test: the bad one raises the code, the good one does not.

use std::fmt;
use std::sync::LazyLock;

use super::{
    banned, bounds, braces, characters, clients, commands, comments, compat, conditions, daemons, host, idle,
    ipv6, lines, lists, misplaced, names, options, policy, portable, shadow, shell,
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

/// The codes of one module, and their list `CODES`. `@host` stands before those that depend on the machine.
macro_rules! codes {
    (@host $($rest:tt)*) => {
        $crate::check::code::codes!(@all true, pub, $($rest)*);
    };
    (@all $needs_host:literal, $list:vis, $(
        $(#[$doc:meta])*
        $visible:vis $code:ident = $id:literal $name:literal $level:ident {
            meaning: $meaning:expr,
            remedy: $remedy:expr,
            bad: $bad:expr,
            good: $good:expr $(,)?
        }
    )*) => {
        $(
            $(#[$doc])*
            $visible static $code: Code = Code {
                id: $id,
                name: $name,
                level: Level::$level,
                meaning: $meaning,
                remedy: $remedy,
                bad: $bad,
                good: $good,
                needs_host: $needs_host,
            };
        )*
        /// The codes of this module.
        $list static CODES: &[&Code] = &[$(&$code),*];
    };
    ($($rest:tt)*) => {
        $crate::check::code::codes!(@all false, pub(super), $($rest)*);
    };
}
pub(super) use codes;

/// All codes, in order.
pub fn all() -> &'static [&'static Code] {
    static ALL: LazyLock<Vec<&Code>> = LazyLock::new(|| {
        let modules = [
            lines::CODES,
            characters::CODES,
            comments::CODES,
            lists::CODES,
            misplaced::CODES,
            daemons::CODES,
            ipv6::CODES,
            clients::CODES,
            names::CODES,
            options::CODES,
            commands::CODES,
            shell::CODES,
            shadow::CODES,
            idle::CODES,
            policy::CODES,
            host::CODES,
            compat::CODES,
            portable::CODES,
            braces::CODES,
            conditions::CODES,
            bounds::CODES,
            banned::CODES,
        ];
        let mut all = modules.concat();
        all.sort_by_key(|code| code.id);
        all
    });
    &ALL
}

/// The code with this id or name, ASCII case apart.
///
/// ```
/// use analysis::check::code::find;
/// assert_eq!(find("w201").unwrap().name, "bare-ipv6");
/// assert_eq!(find("bare-ipv6").unwrap().id, "W201");
/// ```
pub fn find(text: &str) -> Option<&'static Code> {
    let is_it = |code: &&&Code| code.id.eq_ignore_ascii_case(text) || code.name.eq_ignore_ascii_case(text);
    all().iter().find(is_it).copied()
}
