//! The answer to a request.

use std::sync::Arc;

use crate::diagnostic::Place;
use crate::effect::Effect;
use crate::expand::client_info;
use crate::fact::Cause;
use crate::request::{Pending, Request, Side};

/// May the client talk to the service?
///
/// The values lie far apart, so that no single flipped bit turns one into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
#[repr(u32)]
pub enum Verdict {
    /// Access is granted.
    Granted = 0x5a3c_96e1,
    /// Access is denied.
    Denied = 0xa5c3_691e,
    /// A shell command has the connection (`twist`) or, in a dry run, would decide.
    /// The service itself must not be started.
    Delegated = 0x33cc_55aa,
}

impl Verdict {
    /// True for [`Verdict::Granted`] alone.
    #[must_use]
    pub fn is_granted(self) -> bool {
        self == Verdict::Granted
    }
}

/// Which of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// `hosts.allow`
    Allow,
    /// `hosts.deny`
    Deny,
}

impl TableKind {
    /// What a rule decides by standing in this table.
    pub fn verdict(self) -> Verdict {
        match self {
            TableKind::Allow => Verdict::Granted,
            TableKind::Deny => Verdict::Denied,
        }
    }
}

/// The rule that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deciding {
    /// The table it stands in.
    pub table: TableKind,
    /// File and last line.
    pub place: Place,
    /// Its first physical line.
    pub first_line: u32,
    /// Its line, with the newline.
    pub(crate) line: Arc<[u8]>,
}

impl Deciding {
    /// Its text, continuation lines joined, without the final newline.
    pub fn text(&self) -> &[u8] {
        without_newline(&self.line)
    }
}

/// A line, without its newline.
pub(crate) fn without_newline(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// What led to a decision besides the rule that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A rule that is on trial matched.
    Trial {
        /// The rule.
        rule: Deciding,
        /// What it would have decided; nothing, where its options are wrong.
        verdict: Option<Verdict>,
    },
    /// It could not be determined whether a rule matches, or what its bounds say.
    NotKnown {
        /// The rule.
        rule: Deciding,
        /// All that was not known, in the order in which it was asked.
        causes: Vec<Cause>,
    },
}

/// Why a decision ended as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A rule matched.
    Rule,
    /// No rule in either table matched: granted.
    NoMatch,
    /// The deny table could not be read to its end: denied.
    TableError,
    /// An option of the matching rule was wrong or could not be carried out: denied.
    OptionError,
    /// An `aclexec` command in the allow table failed and nothing else decided: denied.
    AclexecFailed,
    /// A `limit` of the matching rule was reached: denied.
    OverLimit,
    /// The `max` of the matching rule was reached: denied.
    TooMany,
    /// It cannot be determined whether the rule matches, or what it asks: denied.
    NotKnown,
}

/// A syslog facility and level, as the numbers of `<syslog.h>`: `facility | level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Severity(pub u32);

impl Severity {
    /// `info`: what a granted request is logged at, unless a rule or the program says otherwise.
    pub const INFO: Severity = Severity(6);
    /// `warning`: the same for a refused one.
    pub const WARNING: Severity = Severity(4);
}

/// What a door does when all is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Then<'d> {
    /// The client gets the service.
    Serve,
    /// It does not.
    Refuse,
    /// This shell command gets the connection, in the service's place.
    Twist(&'d [u8]),
}

/// The line that is logged of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The level, and the facility where a rule names one.
    pub severity: Severity,
    /// The text. Not escaped: whoever writes it out escapes control characters.
    pub text: Vec<u8>,
}

/// A finished decision: the verdict, what led to it, and what was or is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// How it came about.
    pub reason: Reason,
    /// The rule that decided, if one did.
    pub rule: Option<Deciding>,
    /// The effects asked for, in order, each already carried out, refused or failed.
    pub effects: Vec<Effect>,
    /// Set by a `severity` option: the log level for this request, whatever the verdict.
    pub severity: Option<Severity>,
    /// Trials, and what was not known, in order.
    pub notes: Vec<Note>,
}

impl Decision {
    /// What to do now. The one place that knows: every door does this.
    pub fn then(&self) -> Then<'_> {
        match (self.verdict, self.effects.last()) {
            (Verdict::Granted, _) => Then::Serve,
            (Verdict::Delegated, Some(Effect::Twist(command))) => Then::Twist(command),
            (Verdict::Denied | Verdict::Delegated, _) => Then::Refuse,
        }
    }

    /// The line to log of it, and at which severity where the program logs what it grants and what it refuses at
    /// `usual`.
    ///
    /// # Errors
    /// The client's address is wanted and not known yet.
    pub fn log_line(&self, request: &mut Request, usual: [Severity; 2]) -> Result<LogLine, Pending> {
        let client = client_info(request)?;
        let [granted, refused] = usual;
        let (severity, parts) = match self.then() {
            Then::Twist(command) => (refused, [b"twist ", &client[..], b" to ", command, b""]),
            Then::Serve => (
                granted,
                [
                    b"connect from ",
                    &client[..],
                    b" (",
                    request.address(Side::Client)?,
                    b")",
                ],
            ),
            Then::Refuse => (
                refused,
                [
                    b"refused connect from ",
                    &client[..],
                    b" (",
                    request.address(Side::Client)?,
                    b")",
                ],
            ),
        };
        Ok(LogLine {
            severity: self.severity.unwrap_or(severity),
            text: parts.concat(),
        })
    }
}
