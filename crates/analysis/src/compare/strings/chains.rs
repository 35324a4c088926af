//! Classes where patterns leave only one end of a string free: by the longest beginning and the longest ending.

use std::collections::{BTreeSet, HashMap};

use super::atoms::Atoms;
use super::{Found, Kind, fillers};
use crate::compare::words::{Grouped, Texts};
use hosts_access::syntax::pattern::StringPattern;

/// Longest beginnings or endings that no atom tells apart: the tags of them and of all that they hold, and one of
/// them.
struct Group {
    tags: Vec<u32>,
    text: Vec<u8>,
    dotted: bool,
}

/// The beginnings and endings of patterns, in groups.
pub(super) struct Groups {
    head_groups: Vec<Group>,
    tail_groups: Vec<Group>,
    pub(super) heads: Texts,
    pub(super) tails: Texts,
}

impl Groups {
    pub(super) fn new(atoms: &Atoms<'_>, kind: Kind) -> Self {
        let tells_dots = !atoms.local.is_empty();
        let heads = atoms.heads.keys().map(|text| {
            let tags = (0..=text.len()).filter_map(|end| atoms.heads.get(&text[..end]));
            (text.clone(), tags.flatten().copied().collect(), show_head(text))
        });
        let (head_groups, heads) = grouped(heads);
        let tails = atoms.tails.keys().map(|text| {
            let tags = (0..=text.len()).filter_map(|start| atoms.tails.get(&text[start..]));
            let tags = tags.flatten().map(|(tag, _)| *tag).collect();
            (text.clone(), tags, show_tail(text, kind))
        });
        let (tail_groups, tails) = grouped(tails);
        Groups {
            head_groups,
            tail_groups,
            heads: Texts::new(heads, tells_dots, head),
            tails: Texts::new(tails, tells_dots, tail),
        }
    }
}

/// Texts with their tags and as patterns, in groups; the first group is that of the empty text. Beside the groups,
/// each text with the number of its group, and as a pattern.
fn grouped(texts: impl Iterator<Item = (Vec<u8>, Vec<u32>, Vec<u8>)>) -> (Vec<Group>, Vec<Grouped>) {
    let mut groups = vec![Group {
        tags: Vec::new(),
        text: Vec::new(),
        dotted: false,
    }];
    let mut told = vec![(Vec::new(), 0, Vec::new())];
    let mut numbers: HashMap<(Vec<u32>, bool), u32> = HashMap::new();
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    for (text, mut tags, pattern) in texts {
        tags.sort_unstable();
        tags.dedup();
        let dotted = text.contains(&b'.');
        let next = groups.len() as u32;
        let number = *numbers.entry((tags, dotted)).or_insert_with_key(|(tags, _)| {
            groups.push(Group {
                tags: tags.clone(),
                text: text.clone(),
                dotted,
            });
            next
        });
        told.push((text, number, pattern));
    }
    (groups, told)
}

/// All classes of strings that are not exactly named, where patterns leave only one end free. A string
/// with a longest beginning and a longest ending among the patterns agrees with any other that has the
/// same two, but for having a dot.
pub(super) fn chains(
    atoms: &Atoms<'_>,
    groups: &Groups,
    exact: &BTreeSet<Vec<u8>>,
    found: &mut Found<'_, '_>,
) {
    let fillers = fillers(atoms, exact);
    let tells_dots = !atoms.local.is_empty();
    for (head_at, head) in (0..).zip(&groups.head_groups) {
        for (tail_at, tail) in (0..).zip(&groups.tail_groups) {
            let mut expected = [&atoms.all[..], &atoms.known, &head.tags, &tail.tags].concat();
            let is_dotted = head.dotted || tail.dotted;
            for dotted in [false, true] {
                if (is_dotted && !dotted) || (!tells_dots && dotted && !is_dotted) {
                    continue;
                }
                if !dotted {
                    expected.extend(&atoms.local);
                }
                expected.extend(other_holds(atoms));
                expected.sort_unstable();
                expected.dedup();
                let witness = fillers.iter().find_map(|filler| {
                    let middle = if dotted && !is_dotted {
                        [&filler[..], b".", filler].concat()
                    } else {
                        filler.clone()
                    };
                    let string = [&head.text[..], &middle, &tail.text].concat();
                    (!exact.contains(&string) && atoms.tags(&string) == expected).then_some(string)
                });
                if let Some(witness) = witness {
                    let free = (head_at, tail_at, dotted && tells_dots);
                    found.class(expected.clone(), &witness).free.push(free);
                }
                if !dotted {
                    expected.retain(|tag| !atoms.local.contains(tag));
                }
            }
        }
    }
}

/// Tags of `KNOWN` as a string pattern, which holds for all but one string.
fn other_holds<'a>(atoms: &'a Atoms<'_>) -> impl Iterator<Item = &'a u32> {
    let known = atoms.others.iter().filter(|(p, _)| *p == StringPattern::Known);
    known.map(|(_, tag)| tag)
}

fn show_head(text: &[u8]) -> Vec<u8> {
    match text {
        [b'.', ..] => [text, b"*"].concat(),
        [.., b'.'] => text.to_vec(),
        _ => [text, b"*"].concat(),
    }
}

/// For names of hosts, which do not begin with a dot, a suffix is all that ends in it.
fn show_tail(text: &[u8], kind: Kind) -> Vec<u8> {
    match text {
        [b'.', .., last] if kind == Kind::Hosts && *last != b'.' => text.to_vec(),
        _ => [b"*", text].concat(),
    }
}

/// So many letters of a string at its beginning.
pub(super) fn head(text: &[u8], length: usize) -> &[u8] {
    &text[..length]
}

/// So many letters of a string at its end.
pub(super) fn tail(text: &[u8], length: usize) -> &[u8] {
    &text[text.len() - length..]
}
