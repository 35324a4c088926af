//! Whom an edit may let in. Each is made in the lines it is for, and what these lines decide is compared, so that
//! no advice opens a door without saying so.

use std::cell::RefCell;

use super::Finding;
use super::finding::{Fix, apply};
use crate::compare::{Ways, compare_alone};
use crate::document::{Document, Documents};
use hosts_access::TableKind;
use hosts_access::syntax::list::tokens;

thread_local! {
    /// Tables have few patterns that take long to tell apart, and many lines that hold them.
    static KEPT: RefCell<Ways> = RefCell::new(Ways::new());
}
/// So much of that is kept.
const MOST_KEPT: usize = 256;

/// Lines of more text than this are not compared; of such an edit nothing good is claimed.
const LONGEST: usize = 1 << 14;

/// Tries edits, up to so many: where so much is wrong, nobody reads on.
pub(super) struct Advice {
    left: usize,
    /// As far as patterns are in the way that take long to tell apart.
    left_of_costly: usize,
}

impl Default for Advice {
    fn default() -> Self {
        Advice {
            left: 200,
            left_of_costly: 12,
        }
    }
}

impl Advice {
    /// Says of each edit that it may let clients in, if so or if it is not tried.
    pub(super) fn tell<'f>(&mut self, document: &Document, found: impl IntoIterator<Item = &'f mut Finding>) {
        for finding in found {
            let table = finding.table;
            if let Some(fix) = &mut finding.fix
                && self.may_let_in(document, table, fix)
            {
                fix.lets_in = true;
                fix.title.push_str(", which may let in more clients");
            }
        }
    }

    fn may_let_in(&mut self, document: &Document, table: TableKind, fix: &Fix) -> bool {
        let Some((old, new)) = lines(document, fix) else {
            return true;
        };
        let left = if is_costly(&old) || is_costly(&new) {
            &mut self.left_of_costly
        } else {
            &mut self.left
        };
        if *left == 0 {
            return true;
        }
        *left -= 1;
        may_let_in(table, &old, &new)
    }
}

/// Is there a word that is compared with the text of addresses and is none? Which IPv6 addresses have such a text takes
/// long to tell.
fn is_costly(lines: &[u8]) -> bool {
    tokens(lines).any(|word| {
        let is_text = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'*' | b'?');
        word.iter().all(is_text) && (word[0] == b'.' || word.iter().any(|b| matches!(b, b'*' | b'?')))
            || word.iter().filter(|b| **b == b'.').count() == 6
    })
}

/// May somebody be let in by the new lines, and whatever is above and below them, who was not by the old?
fn may_let_in(table: TableKind, old: &[u8], new: &[u8]) -> bool {
    // Whoever is granted access by the lines shows where all others are refused, whoever is refused where they are not.
    [&b"ALL: ALL\n"[..], b""].iter().any(|below| {
        let policy = |lines: &[u8]| match table {
            TableKind::Allow => [lines.to_vec(), below.to_vec()],
            // Nothing is read below a line that has no end.
            TableKind::Deny if lines.ends_with(b"\n") => [Vec::new(), [lines, below].concat()],
            TableKind::Deny => [Vec::new(), lines.to_vec()],
        };
        let [old, new] = [old, new].map(|lines| policy(lines).map(|text| Document::new("", text)));
        let compared = KEPT.with_borrow_mut(|kept| {
            if kept.len() > MOST_KEPT {
                kept.clear();
            }
            compare_alone(Documents::both(&old), Documents::both(&new), kept)
        });
        match compared {
            Ok(found) => {
                !found.left_out.is_empty()
                    || found
                        .differences
                        .iter()
                        .any(|d| d.new.may_let_in_more_than(&d.old))
            }
            Err(_) => true,
        }
    })
}

/// The lines an edit changes, before and after it, with those that it joins to them.
fn lines(document: &Document, fix: &Fix) -> Option<(Vec<u8>, Vec<u8>)> {
    let from = fix.edits.iter().map(|e| e.bytes.start).min()?;
    let to = fix.edits.iter().map(|e| e.bytes.end).max()?;
    let entries = &document.entries;
    let first = entries
        .partition_point(|e| e.bytes.end <= from)
        .min(entries.len().checked_sub(1)?);
    let start = entries[first].bytes.start;
    let mut last = entries.partition_point(|e| e.bytes.end < to).max(first);
    loop {
        let end = entries.get(last).or(entries.last())?.bytes.end;
        if end - start > LONGEST {
            return None;
        }
        let old = document.text.get(start..end)?.to_vec();
        let new = apply(&old, [&fix.moved_back(start)]).0;
        let joins_next = new.ends_with(b"\\\n") || !(new.is_empty() || new.ends_with(b"\n"));
        if !joins_next || last + 1 >= entries.len() {
            return Some((old, new));
        }
        last += 1;
    }
}
