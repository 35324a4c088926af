//! What is asked of strings, by how it is looked up.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Atom, Kind};
use hosts_access::request::{PARANOID, UNKNOWN};
use hosts_access::string_matches;
use hosts_access::syntax::pattern::StringPattern;

/// The atoms, by how they are looked up.
pub(super) struct Atoms<'t> {
    pub(super) exact: HashMap<Vec<u8>, Vec<u32>>,
    /// Beginnings, in lower case.
    pub(super) heads: BTreeMap<Vec<u8>, Vec<u32>>,
    /// Endings, and of each whether it was written as a suffix pattern, which wants something before it.
    pub(super) tails: HashMap<Vec<u8>, Vec<(u32, bool)>>,
    /// What has wildcards elsewhere.
    pub(super) others: Vec<(StringPattern<'t>, u32)>,
    pub(super) known: Vec<u32>,
    pub(super) local: Vec<u32>,
    pub(super) all: Vec<u32>,
    pub(super) longest_tail: usize,
    pub(super) longest_head: usize,
}

/// A pattern of which only the end or the beginning is free.
enum Shape<'t> {
    Exact(&'t [u8]),
    Head(&'t [u8]),
    Tail(&'t [u8], bool),
    All,
    Never,
    Other,
}

fn shape<'t>(pattern: StringPattern<'t>, kind: Kind) -> Shape<'t> {
    match pattern {
        StringPattern::Exact(text) => Shape::Exact(text),
        StringPattern::Prefix(text) => Shape::Head(text),
        StringPattern::Suffix(text) => Shape::Tail(text, true),
        StringPattern::All => Shape::All,
        // Host names are no addresses: one that reads as an address is `paranoid`.
        StringPattern::Bracketed(_) if kind == Kind::Hosts => Shape::Never,
        StringPattern::Wildcard(text) => {
            let is_literal = |text: &[u8]| !text.iter().any(|b| matches!(b, b'*' | b'?'));
            match text {
                b"*" => Shape::All,
                [head @ .., b'*'] if is_literal(head) => Shape::Head(head),
                [b'*', tail @ ..] if is_literal(tail) => Shape::Tail(tail, false),
                _ => Shape::Other,
            }
        }
        StringPattern::Known | StringPattern::Bracketed(_) => Shape::Other,
    }
}

impl<'t> Atoms<'t> {
    pub(super) fn new(atoms: &[(Atom<'t>, u32)], kind: Kind) -> Self {
        let mut sorted = Atoms {
            exact: HashMap::new(),
            heads: BTreeMap::new(),
            tails: HashMap::new(),
            others: Vec::new(),
            known: Vec::new(),
            local: Vec::new(),
            all: Vec::new(),
            longest_tail: 0,
            longest_head: 0,
        };
        let mut seen = HashSet::new();
        for (atom, tag) in atoms {
            let pattern = match atom {
                Atom::Known => {
                    sorted.known.push(*tag);
                    continue;
                }
                Atom::Local => {
                    sorted.local.push(*tag);
                    continue;
                }
                Atom::Matches(pattern) => *pattern,
            };
            match shape(pattern, kind) {
                Shape::Exact(text) => sorted.exact.entry(lower(text)).or_default().push(*tag),
                Shape::Head([b'.', ..]) if kind == Kind::Hosts => {}
                Shape::Head(text) => sorted.heads.entry(lower(text)).or_default().push(*tag),
                Shape::Tail(text, longer) => {
                    sorted.tails.entry(lower(text)).or_default().push((*tag, longer));
                }
                Shape::All => sorted.all.push(*tag),
                Shape::Never => {}
                Shape::Other => {
                    if seen.insert((format!("{pattern:?}").to_ascii_lowercase(), *tag)) {
                        sorted.others.push((pattern, *tag));
                    }
                }
            }
        }
        sorted.longest_tail = sorted.tails.keys().map(Vec::len).max().unwrap_or(0);
        sorted.longest_head = sorted.heads.keys().map(Vec::len).max().unwrap_or(0);
        sorted
    }

    /// The tags of the atoms that hold for a string in lower case.
    pub(super) fn tags(&self, string: &[u8]) -> Vec<u32> {
        let mut tags = self.all.clone();
        tags.extend(self.exact.get(string).into_iter().flatten());
        if !self.heads.is_empty() {
            for end in 0..=string.len().min(self.longest_head) {
                tags.extend(self.heads.get(&string[..end]).into_iter().flatten());
            }
        }
        if !self.tails.is_empty() {
            for start in string.len().saturating_sub(self.longest_tail)..=string.len() {
                let found = self.tails.get(&string[start..]).into_iter().flatten();
                tags.extend(
                    found
                        .filter(|(_, longer)| !longer || start > 0)
                        .map(|(tag, _)| tag),
                );
            }
        }
        let others = self.others.iter();
        tags.extend(
            others
                .filter(|(p, _)| string_matches(*p, string))
                .map(|(_, tag)| tag),
        );
        if string != UNKNOWN && string != PARANOID {
            tags.extend(&self.known);
            if !string.contains(&b'.') {
                tags.extend(&self.local);
            }
        }
        tags.sort_unstable();
        tags.dedup();
        tags
    }
}

pub(super) fn lower(text: &[u8]) -> Vec<u8> {
    text.to_ascii_lowercase()
}
