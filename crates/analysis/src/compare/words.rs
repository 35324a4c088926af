//! Sets of strings (daemons' names, host names, users) in words that stand on their own: who reads them need not
//! know what else the policies name.
//!
//! A set is given by the classes that make it up. It is told by patterns of the rule language, each without what
//! other patterns or names take away again.

use std::collections::{BTreeMap, HashMap};

use hosts_access::string_matches;
use hosts_access::syntax::pattern::StringPattern;

use super::strings::{Class, Free};

/// Some strings. A set is a list of these, and holds what one of them holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strings {
    /// Those that patterns tell.
    Like(Like),
    /// This string alone; `unknown` and `paranoid` are such strings.
    Exactly(Vec<u8>),
}

/// Strings that patterns tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Like {
    /// Patterns that all match. Where there is none, every string will do.
    pub like: Vec<Vec<u8>>,
    /// Whether they have a dot, where that matters.
    pub dot: Option<bool>,
    /// Patterns of which none matches.
    pub unlike: Vec<Vec<u8>>,
    /// Strings that are not among them.
    pub but: Vec<Vec<u8>>,
}

impl Strings {
    /// Is this string among them? Upper and lower case are the same.
    ///
    /// ```
    /// use analysis::compare::{Like, Strings};
    /// let like = Like { like: vec![b"host*".to_vec()], unlike: vec![b".example.com".to_vec()], ..Like::default() };
    /// assert!(Strings::Like(like.clone()).holds(b"Host1"));
    /// assert!(!Strings::Like(like).holds(b"host1.example.com"));
    /// ```
    pub fn holds(&self, string: &[u8]) -> bool {
        match self {
            Strings::Exactly(text) => text.eq_ignore_ascii_case(string),
            Strings::Like(like) => like.holds(string),
        }
    }

    /// May a string be among both? Where that is not plain to see, it may.
    pub fn may_meet(&self, other: &Strings) -> bool {
        match (self, other) {
            (Strings::Exactly(text), other) | (other, Strings::Exactly(text)) => other.holds(text),
            (Strings::Like(a), Strings::Like(b)) => {
                let leaves_out = |one: &Like, other: &Like| one.unlike.iter().any(|p| other.like.contains(p));
                let is_dotted_apart = a.dot.zip(b.dot).is_some_and(|(a, b)| a != b);
                !leaves_out(a, b) && !leaves_out(b, a) && !is_dotted_apart
            }
        }
    }
}

impl Like {
    fn holds(&self, string: &[u8]) -> bool {
        let matches = |pattern: &Vec<u8>| string_matches(StringPattern::parse(pattern), string);
        self.like.iter().all(matches)
            && !self.unlike.iter().any(matches)
            && !self.but.iter().any(|text| text.eq_ignore_ascii_case(string))
            && self.dot.is_none_or(|dot| dot == string.contains(&b'.'))
    }
}

/// How the strings of some classes can be told.
#[derive(Debug)]
pub(super) enum Words {
    Ends(Ends),
    Wildcards(Wildcards),
}

impl Words {
    /// The strings of some of the classes.
    pub(super) fn tell(&self, classes: &[Class], which: &[u32]) -> Vec<Strings> {
        let mut told = match self {
            Words::Ends(ends) => ends.tell(classes, which),
            Words::Wildcards(wildcards) => wildcards.tell(classes, which),
        };
        told.sort();
        told
    }
}

/// A beginning or ending, the number of its group, and it as a pattern.
pub(super) type Grouped = (Vec<u8>, u32, Vec<u8>);

/// Beginnings, or endings, that patterns name. The first one is empty.
#[derive(Debug)]
pub(super) struct Texts {
    list: Vec<Text>,
    numbers: HashMap<Vec<u8>, u32>,
    longest: usize,
}

#[derive(Debug)]
struct Text {
    /// As a pattern; nothing for the empty one.
    pattern: Option<Vec<u8>>,
    /// The longest one that this begins or ends with, always further up.
    parent: usize,
    /// The number under which the classes know it, with others that no rule tells apart.
    group: u32,
    dotted: bool,
}

impl Texts {
    /// Texts, each with its group and as a pattern. `part` gives the so many letters of it at the end that counts.
    pub(super) fn new(
        mut texts: Vec<Grouped>,
        tells_dots: bool,
        part: impl Fn(&[u8], usize) -> &[u8],
    ) -> Self {
        texts.sort_by(|a, b| (a.0.len(), &a.0).cmp(&(b.0.len(), &b.0)));
        let mut all = Texts {
            list: Vec::with_capacity(texts.len()),
            numbers: HashMap::new(),
            longest: texts.last().map_or(0, |last| last.0.len()),
        };
        for (text, group, pattern) in texts {
            let shorter = (0..text.len()).rev();
            let parent = shorter
                .filter_map(|length| all.numbers.get(part(&text, length)))
                .next();
            let parent = parent.map_or(0, |parent| *parent as usize);
            all.list.push(Text {
                pattern: (!text.is_empty()).then_some(pattern),
                parent,
                group,
                dotted: tells_dots && text.contains(&b'.'),
            });
            all.numbers.insert(text, all.list.len() as u32 - 1);
        }
        all
    }

    /// The longest one that the string begins or ends with.
    pub(super) fn longest_of(&self, string: &[u8], part: impl Fn(&[u8], usize) -> &[u8]) -> u32 {
        let lengths = (0..=string.len().min(self.longest)).rev();
        let mut found = lengths.filter_map(|length| self.numbers.get(part(string, length)));
        found.next().copied().unwrap_or(0)
    }

    pub(super) fn group(&self, number: u32) -> u32 {
        self.list[number as usize].group
    }

    /// Which texts go with the one above them, given which are the same as that: for each the topmost, and for each
    /// topmost those right below that do not go with it.
    fn regions(&self, is_same: impl Fn(&Text, &Text) -> bool) -> Regions {
        let mut regions = Regions {
            top: Vec::with_capacity(self.list.len()),
            without: HashMap::new(),
        };
        for (at, text) in self.list.iter().enumerate() {
            if at == 0 {
                regions.top.push(0);
                continue;
            }
            let above = regions.top[text.parent];
            if is_same(text, &self.list[text.parent]) {
                regions.top.push(above);
            } else {
                regions.top.push(at);
                regions.without.entry(above).or_default().push(at);
            }
        }
        regions
    }

    /// The patterns of what a region leaves out.
    fn without(&self, regions: &Regions, top: usize, dot: Option<bool>) -> impl Iterator<Item = Vec<u8>> {
        let without = regions.without.get(&top).into_iter().flatten();
        without.filter_map(move |at| {
            let text = &self.list[*at];
            // What has no dot is none of these anyway.
            text.pattern
                .clone()
                .filter(|_| dot != Some(false) || !text.dotted)
        })
    }
}

struct Regions {
    top: Vec<usize>,
    without: HashMap<usize, Vec<usize>>,
}

/// Strings by their longest beginnings and endings.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) heads: Texts,
    pub(super) tails: Texts,
    pub(super) tells_dots: bool,
    /// Strings that are named one by one, by the groups of their ends and whether they have a dot: their class, and
    /// their place in it.
    named: HashMap<Free, Vec<(u32, usize)>>,
}

/// Which strings with certain ends are told: those with a dot, those without, or both.
type Row = BTreeMap<u32, u8>;
const DOTTED: u8 = 1;
const LOCAL: u8 = 2;

impl Ends {
    pub(super) fn new(heads: Texts, tails: Texts, tells_dots: bool, classes: &[Class]) -> Self {
        let mut named: HashMap<Free, Vec<(u32, usize)>> = HashMap::new();
        for (number, class) in (0..).zip(classes) {
            for (at, (_, (head, tail, dot))) in class.exact.iter().enumerate() {
                let place = (heads.group(*head), tails.group(*tail), *dot && tells_dots);
                named.entry(place).or_default().push((number, at));
            }
        }
        Ends {
            heads,
            tails,
            tells_dots,
            named,
        }
    }

    fn tell(&self, classes: &[Class], which: &[u32]) -> Vec<Strings> {
        let mut rows: HashMap<u32, Row> = HashMap::new();
        let free = || which.iter().flat_map(|at| &classes[*at as usize].free);
        for (head, tail, dot) in free() {
            let bits = match (self.tells_dots, dot) {
                (false, _) => DOTTED | LOCAL,
                (true, true) => DOTTED,
                (true, false) => LOCAL,
            };
            *rows.entry(*head).or_default().entry(*tail).or_default() |= bits;
        }
        let none = Row::new();
        let row = |group: u32| rows.get(&group).unwrap_or(&none);
        let heads = self.heads.regions(|head, above| {
            let (own, above) = (row(head.group), row(above.group));
            if head.dotted {
                dotted(own).eq(dotted(above))
            } else {
                own == above
            }
        });
        // The regions of the endings, by the group of the beginning.
        let mut tails: HashMap<u32, Regions> = HashMap::new();
        let mut likes: Vec<Like> = Vec::new();
        let mut places: HashMap<(usize, usize), usize> = HashMap::new();
        for (at, head) in self.heads.list.iter().enumerate() {
            if heads.top[at] != at || row(head.group).is_empty() {
                continue;
            }
            let bits = |tail: &Text| row(head.group).get(&tail.group).copied().unwrap_or(0);
            let regions = tails.entry(head.group).or_insert_with(|| {
                self.tails.regions(|tail, above| match (bits(tail), bits(above)) {
                    (own, above) if head.dotted || tail.dotted => (own ^ above) & DOTTED == 0,
                    (own, above) => own == above,
                })
            });
            for (tail_at, tail) in self.tails.list.iter().enumerate() {
                if regions.top[tail_at] != tail_at {
                    continue;
                }
                let dot = match bits(tail) {
                    bits if head.dotted || tail.dotted => (bits & DOTTED != 0).then_some(None),
                    0 => None,
                    DOTTED => Some(Some(true)),
                    LOCAL => Some(Some(false)),
                    _ => Some(None),
                };
                let Some(dot) = dot else { continue };
                places.insert((at, tail_at), likes.len());
                likes.push(Like {
                    like: head.pattern.iter().chain(&tail.pattern).cloned().collect(),
                    dot,
                    unlike: self
                        .heads
                        .without(&heads, at, dot)
                        .chain(self.tails.without(regions, tail_at, dot))
                        .collect(),
                    but: Vec::new(),
                });
            }
        }
        let covering = |likes: &[Like], (head, tail, dot): &Free| {
            let top = heads.top[*head as usize];
            let regions = tails.get(&self.heads.list[top].group)?;
            let at = *places.get(&(top, regions.top[*tail as usize]))?;
            likes[at].dot.is_none_or(|wanted| wanted == *dot).then_some(at)
        };
        let mut is_told = vec![false; classes.len()];
        which.iter().for_each(|at| is_told[*at as usize] = true);
        for (head, tail, dot) in free() {
            let named = self.named.get(&(*head, *tail, *dot && self.tells_dots));
            for (class, at) in named
                .into_iter()
                .flatten()
                .filter(|(class, _)| !is_told[*class as usize])
            {
                let (text, place) = &classes[*class as usize].exact[*at];
                if let Some(at) = covering(&likes, place) {
                    likes[at].but.push(text.clone());
                }
            }
        }
        for like in &mut likes {
            like.but.sort();
            like.but.dedup();
        }
        let exact = which.iter().flat_map(|at| &classes[*at as usize].exact);
        let alone = exact.filter(|(_, place)| covering(&likes, place).is_none());
        let alone: Vec<Strings> = alone.map(|(text, _)| Strings::Exactly(text.clone())).collect();
        likes.into_iter().map(Strings::Like).chain(alone).collect()
    }
}

/// Of a row, the endings of which strings with a dot are told.
fn dotted(row: &Row) -> impl Iterator<Item = u32> {
    row.iter()
        .filter(|(_, bits)| **bits & DOTTED != 0)
        .map(|(tail, _)| *tail)
}

/// Strings by which of some patterns match them.
#[derive(Debug, Default)]
pub(super) struct Wildcards {
    pub(super) patterns: Vec<Vec<u8>>,
    /// The ways in which patterns match, for strings of which there are many.
    pub(super) ways: Vec<Vec<bool>>,
    /// The same for strings that are named one by one.
    pub(super) named: Vec<Vec<bool>>,
    pub(super) tells_dots: bool,
}

/// How much work it may be to say it briefly.
const MOST_WORK: usize = 4_000_000;

impl Wildcards {
    fn tell(&self, classes: &[Class], which: &[u32]) -> Vec<Strings> {
        let mut is_told = vec![false; classes.len()];
        which.iter().for_each(|at| is_told[*at as usize] = true);
        let cells = |told: bool| -> Vec<(&Vec<bool>, bool)> {
            let classes = classes
                .iter()
                .zip(&is_told)
                .filter(|(_, is_told)| **is_told == told);
            let free = classes.flat_map(|(class, _)| &class.free);
            free.map(|(way, _, dot)| (&self.ways[*way as usize], *dot))
                .collect()
        };
        let (inside, outside) = (cells(true), cells(false));
        let work = inside
            .len()
            .saturating_mul(outside.len() + 1)
            .saturating_mul(self.patterns.len() + 1);
        let mut terms: Vec<Term> = Vec::new();
        for (way, dot) in &inside {
            if terms.iter().any(|term| term.holds(way, *dot)) {
                continue;
            }
            let mut term = Term {
                wanted: way.iter().copied().map(Some).collect(),
                dot: self.tells_dots.then_some(*dot),
            };
            if work <= MOST_WORK {
                term.shorten(&outside, inside.len() > outside.len());
            }
            terms.push(term);
        }
        let pattern = |at: usize| {
            self.patterns[at]
                .strip_prefix(b"?*.")
                .map_or_else(|| self.patterns[at].clone(), |rest| [b".", rest].concat())
        };
        let mut likes: Vec<Like> = terms
            .iter()
            .map(|term| {
                let with = |wanted: bool| {
                    let places = (0..).zip(&term.wanted).filter(move |(_, w)| **w == Some(wanted));
                    places.map(|(at, _)| pattern(at)).collect()
                };
                Like {
                    like: with(true),
                    dot: term.dot,
                    unlike: with(false),
                    but: Vec::new(),
                }
            })
            .collect();
        let mut alone = Vec::new();
        for (class, is_told) in classes.iter().zip(&is_told) {
            for (text, (way, _, dot)) in &class.exact {
                let way = &self.named[*way as usize];
                let covering = (0..terms.len()).filter(|at| terms[*at].holds(way, *dot));
                let covering: Vec<usize> = covering.collect();
                if *is_told && covering.is_empty() {
                    alone.push(Strings::Exactly(text.clone()));
                } else if !is_told {
                    covering
                        .into_iter()
                        .for_each(|at| likes[at].but.push(text.clone()));
                }
            }
        }
        likes.into_iter().map(Strings::Like).chain(alone).collect()
    }
}

/// Which patterns match, do not, or may do either.
pub(super) struct Term {
    pub(super) wanted: Vec<Option<bool>>,
    dot: Option<bool>,
}

impl Term {
    /// What holds for this way alone, dots aside.
    pub(super) fn new(way: &[bool]) -> Self {
        Term {
            wanted: way.iter().copied().map(Some).collect(),
            dot: None,
        }
    }

    pub(super) fn holds(&self, way: &[bool], dot: bool) -> bool {
        self.dot.is_none_or(|wanted| wanted == dot)
            && self
                .wanted
                .iter()
                .zip(way)
                .all(|(wanted, is)| wanted.is_none_or(|wanted| wanted == *is))
    }

    /// Leaves out what is not needed to hold for nothing outside. Where most is inside, it is said by what is not.
    pub(super) fn shorten(&mut self, outside: &[(&Vec<bool>, bool)], is_most: bool) {
        let is_free = |term: &Term| !outside.iter().any(|(way, dot)| term.holds(way, *dot));
        let dot = self.dot.take();
        if !is_free(self) {
            self.dot = dot;
        }
        for first in [is_most, !is_most] {
            for at in 0..self.wanted.len() {
                if self.wanted[at] == Some(first) {
                    self.wanted[at] = None;
                    if !is_free(self) {
                        self.wanted[at] = Some(first);
                    }
                }
            }
        }
    }
}
