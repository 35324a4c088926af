//! From a line's text to the parts of a rule (hosts_access(5), ACCESS CONTROL RULES).
//!
//! Everything here borrows from the line and allocates nothing, so that the process that decides once
//! and the tools that study a whole file read rules by the same code.

pub mod brace;
pub mod list;
pub mod option;
pub mod pattern;
pub mod time;

pub use crate::text::{atoi, find_outside_brackets, is_separator};

/// The mask of a prefix length, 1 to 32, read as C's `atoi` reads it: leading digits, the rest ignored.
pub fn cidr_mask(length: &[u8]) -> Option<u32> {
    match u32::try_from(atoi(length)) {
        Ok(length @ 1..=32) => Some(u32::MAX << (32 - length)),
        _ => None,
    }
}

/// The fields of a rule: `daemons : clients [: options]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields<'t> {
    /// The daemon list.
    pub daemons: &'t [u8],
    /// The client list.
    pub clients: &'t [u8],
    /// Everything after the second colon, if there is one.
    pub options: Option<&'t [u8]>,
}

/// Splits a logical line at its first and second `:` outside square brackets.
/// Nothing, where there is no `:` at all.
///
/// ```
/// let f = hosts_access::syntax::fields(b"sshd: [2001:db8::1] : deny").unwrap();
/// assert_eq!(f.clients, b" [2001:db8::1] ");
/// assert_eq!(f.options, Some(&b" deny"[..]));
/// ```
pub fn fields(line: &[u8]) -> Option<Fields<'_>> {
    let first = find_outside_brackets(line, b':')?;
    let (daemons, rest) = (&line[..first], &line[first + 1..]);
    Some(match find_outside_brackets(rest, b':') {
        Some(second) => Fields {
            daemons,
            clients: &rest[..second],
            options: Some(&rest[second + 1..]),
        },
        None => Fields {
            daemons,
            clients: rest,
            options: None,
        },
    })
}

/// What a logical line is, before it is read as a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Its first character is `#`.
    Comment,
    /// It holds nothing but blanks.
    Blank,
    /// Anything else: a rule, good or bad.
    Rule,
}

/// Tells comments and blank lines from rules. Only a `#` in the very first column makes a comment.
pub fn line_kind(line: &[u8]) -> LineKind {
    match line.first() {
        Some(b'#') => LineKind::Comment,
        _ if line.iter().all(|b| crate::text::is_blank(*b)) => LineKind::Blank,
        _ => LineKind::Rule,
    }
}
