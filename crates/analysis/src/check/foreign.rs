//! Lines and blocks that other programs write and look for again: fail2ban, DenyHosts, sshguard,
//! BlockHosts, OSSEC and their like.
//!
//! They are found by the text those programs search for, so nothing here may be made prettier. Not a
//! judgement on whether the rules work; the lints look at them as at any other, style apart.

use std::ops::Range;

use crate::document::{Content, Document, Rule, content};
use hosts_access::syntax::option::Keyword;
use hosts_access::syntax::{LineKind, line_kind};

/// The stretches of a table that another program writes, as ranges of entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocks {
    ranges: Vec<Range<usize>>,
}

impl Blocks {
    /// Finds them.
    ///
    /// ```
    /// use analysis::{check::foreign::Blocks, document::Document};
    /// let text = "###sshguard###\nALL :  192.0.2.1 : DENY\n###sshguard###\nALL: 10.\n";
    /// let document = Document::new("hosts.deny", text);
    /// let blocks = Blocks::of(&document);
    /// assert!(blocks.contains(1) && !blocks.contains(3));
    /// ```
    pub fn of(document: &Document) -> Self {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        // Where a block is open: its first entry, and what ends it.
        let mut open: Option<(usize, &str)> = None;
        for (number, entry) in document.entries.iter().enumerate() {
            let raw = &document.text[entry.bytes.clone()];
            // Every mark begins so; nearly every line is told apart by one byte.
            if raw.first() != Some(&b'#') || line_kind(raw) != LineKind::Comment {
                continue;
            }
            if let Some((start, end)) = open {
                if raw.starts_with(end.as_bytes()) {
                    ranges.push(start..number + 1);
                    open = None;
                }
                continue;
            }
            if raw.starts_with(SSHGUARD.as_bytes()) {
                open = Some((number, SSHGUARD));
            } else if raw.starts_with(BLOCKHOSTS.as_bytes()) {
                open = Some((number, BLOCKHOSTS));
            } else if raw.starts_with(b"# DenyHosts:") {
                // The line after it is removed with it.
                ranges.push(number..(number + 2).min(document.entries.len()));
            } else if raw.starts_with(b"#bh:") {
                ranges.push(number..number + 1);
            } else if ends_the_readable(raw) {
                ranges.push(number..document.entries.len());
                open = None;
                break;
            }
        }
        if let Some((start, _)) = open {
            ranges.push(start..document.entries.len());
        }
        Blocks { ranges }
    }

    /// Does the entry of this number belong to another program?
    pub fn contains(&self, entry: usize) -> bool {
        let at = self.ranges.partition_point(|range| range.end <= entry);
        self.ranges.get(at).is_some_and(|range| range.contains(&entry))
    }
}

const SSHGUARD: &str = "###sshguard###";
const BLOCKHOSTS: &str = "#---- BlockHosts Additions";

/// `# Do not remove past this line`: some tools cut the file there.
fn ends_the_readable(comment: &[u8]) -> bool {
    let lower = comment.to_ascii_lowercase();
    let has = |part: &[u8]| memchr::memmem::find(&lower, part).is_some();
    (has(b"do not remove") || has(b"do not edit") || has(b"do not delete"))
        && (has(b"past this line") || has(b"below this line") || has(b"after this line"))
}

/// A ban as programs write it: one address for one list of daemons, and at most a `deny`.
///
/// fail2ban, DenyHosts, OSSEC, Wazuh, PortSentry and psad write such lines and remove them by their exact
/// text.
pub fn is_ban(rule: &Rule<'_>) -> bool {
    let [base] = rule.clients.parts.as_slice() else {
        return false;
    };
    let [client] = base.as_slice() else {
        return false;
    };
    let is_address = client.text.starts_with(b"[")
        || (client.text.contains(&b'.')
            && client
                .text
                .iter()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/')));
    let options = match rule.options.as_slice() {
        [] => true,
        [deny] => deny.keyword == Some(Keyword::Deny) && deny.problem.is_none(),
        _ => false,
    };
    is_address && options
}

/// A line that audits and other programs look for to the letter: `ALL: ALL` in all its spellings, bans,
/// and whatever stands in a block of theirs.
pub(crate) fn is_looked_for(line: &[u8]) -> bool {
    match content(line) {
        Content::Rule(rule) => {
            let is_all = |text: &[u8]| text.eq_ignore_ascii_case(b"ALL");
            let mut daemons = rule.daemons.tokens();
            let all_daemons = daemons.next().is_some_and(|t| is_all(t.text)) && daemons.next().is_none();
            let mut clients = rule.clients.tokens();
            let first_all = clients.next().is_some_and(|t| is_all(t.text));
            (all_daemons && first_all && clients.next().is_none()) || is_ban(&rule)
        }
        Content::Comment | Content::Blank | Content::NoSeparator => false,
    }
}
