//! Whom an edit lets in. Each is made, and what is decided then is compared, so that no advice opens a door without
//! saying so: in the lines it is for, which says that it opens none whatever else the tables say, and where it may, in
//! the tables as they are, which says for whom.

use std::cell::RefCell;

use super::Finding;
use super::finding::{Fix, apply};
use crate::compare::{Comparison, Difference, Incomparable, Ways, compare_alone, text};
use crate::document::{Document, Documents};
use hosts_access::syntax::list::tokens;
use hosts_access::{TableKind, Verdict};

thread_local! {
    /// Tables have few patterns that take long to tell apart, and many lines that hold them.
    static KEPT: RefCell<Ways> = RefCell::new(Ways::new());
}
/// So much of that is kept.
const MOST_KEPT: usize = 256;

/// Lines of more text than this are not compared; of such an edit nothing good is claimed.
const LONGEST: usize = 1 << 14;

/// So many sets of clients are told, and so many items of each.
const MOST_TOLD: usize = 2;
const MOST_ITEMS: usize = 4;
/// And so many letters.
const LONGEST_TOLD: usize = 240;

/// Tries edits, up to so many: where so much is wrong, nobody reads on.
pub(super) struct Advice<'t> {
    tables: Documents<'t>,
    left: usize,
    /// As far as patterns are in the way that take long to tell apart.
    left_of_costly: usize,
    /// Bytes of tables that are compared whole.
    left_of_text: usize,
}

/// Whom an edit lets in who was not let in before.
enum LetsIn {
    Nobody,
    /// These, in words, if they are all that it lets in.
    Told(String),
    /// Somebody, perhaps.
    Perhaps,
}

impl<'t> Advice<'t> {
    /// For edits of these tables.
    pub(super) fn new(tables: Documents<'t>) -> Self {
        Advice {
            tables,
            left: 200,
            left_of_costly: 12,
            left_of_text: 1 << 18,
        }
    }

    /// Says of each edit whom it lets in, or that it may let clients in where that is not known.
    pub(super) fn tell<'f>(&mut self, document: &Document, found: impl IntoIterator<Item = &'f mut Finding>) {
        for finding in found {
            let table = finding.table;
            let Some(fix) = &mut finding.fix else { continue };
            match self.lets_in(document, table, fix) {
                LetsIn::Nobody => {}
                LetsIn::Told(whom) => {
                    fix.lets_in = true;
                    fix.title.push_str(&whom);
                }
                LetsIn::Perhaps => {
                    fix.lets_in = true;
                    fix.title.push_str(", which may let in more clients");
                }
            }
        }
    }

    fn lets_in(&mut self, document: &Document, table: TableKind, fix: &Fix) -> LetsIn {
        let Some((old, new)) = lines(document, fix) else {
            return LetsIn::Perhaps;
        };
        let is_costly = is_costly(&old) || is_costly(&new);
        let left = if is_costly {
            &mut self.left_of_costly
        } else {
            &mut self.left
        };
        if *left == 0 {
            return LetsIn::Perhaps;
        }
        *left -= 1;
        match may_let_in(table, &old, &new) {
            true if is_costly => LetsIn::Perhaps,
            true => self.in_these_tables(document, table, fix),
            false => LetsIn::Nobody,
        }
    }

    /// What becomes of the tables as they are.
    fn in_these_tables(&mut self, document: &Document, table: TableKind, fix: &Fix) -> LetsIn {
        let size: usize = self.tables.iter().map(|(_, document)| document.text.len()).sum();
        let has_costly = self.tables.iter().any(|(_, document)| is_costly(&document.text));
        if size > LONGEST.min(self.left_of_text) || has_costly {
            return LetsIn::Perhaps;
        }
        self.left_of_text -= size;
        let new = Document::new("", apply(&document.text, [fix]).0);
        let mut tables = self.tables;
        match table {
            TableKind::Allow => tables.allow = Some(&new),
            TableKind::Deny => tables.deny = Some(&new),
        }
        told(compared(self.tables, tables))
    }
}

/// Whom the new tables let in, in words.
fn told(compared: Result<Comparison, Incomparable>) -> LetsIn {
    let Ok(found) = compared else {
        return LetsIn::Perhaps;
    };
    if !found.left_out.is_empty() {
        return LetsIn::Perhaps;
    }
    let opened = found.differences.iter();
    let mut opened: Vec<_> = opened.filter(|d| d.new.may_let_in_more_than(&d.old)).collect();
    // What is said in few words comes first.
    opened.sort_by_key(|d| (d.clients.answers.len(), d.clients.names.is_some()));
    if opened.is_empty() {
        return LetsIn::Nobody;
    }
    // Commands, and bounds, may still refuse some, and what a file holds that a pattern names is not known.
    let is_plain = |verdict: Verdict| verdict == Verdict::Granted;
    let is_in_file = |d: &&Difference| {
        let mut asks = d.clients.answers.iter().flat_map(|answers| &answers.asks);
        asks.any(|pattern| pattern.starts_with(b"/"))
    };
    let is_certain = opened
        .iter()
        .all(|d| d.old.is_always(|v| !is_plain(v)) && d.new.is_always(is_plain) && !is_in_file(d));
    let mut whom: Vec<String> = Vec::new();
    for difference in opened.iter().take(MOST_TOLD) {
        let clients = text::clients(&difference.clients, MOST_ITEMS);
        let services = difference.services.iter().take(MOST_ITEMS);
        let services: Vec<String> = services
            .map(|one| match text::service(one, MOST_ITEMS) {
                any if any == "any" => "any daemon".to_owned(),
                other => other,
            })
            .collect();
        whom.push(format!("{clients} to {}", services.join(" or ")));
    }
    let is_cut = |d: &&Difference| d.services.len() > MOST_ITEMS;
    let more = match opened.len() > MOST_TOLD || opened.iter().any(is_cut) {
        true => "; and more",
        false => "",
    };
    let may = if is_certain { "lets in" } else { "may let in" };
    LetsIn::Told(format!(
        ", which {may} {}{more}",
        super::fit(&whom.join("; and "), LONGEST_TOLD)
    ))
}

fn compared(old: Documents<'_>, new: Documents<'_>) -> Result<Comparison, Incomparable> {
    KEPT.with_borrow_mut(|kept| {
        if kept.len() > MOST_KEPT {
            kept.clear();
        }
        compare_alone(old, new, kept)
    })
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
        match compared(Documents::both(&old), Documents::both(&new)) {
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
