//! What patterns in braces ask of a client, and the answers that they tell apart (hosts_access(5), ADDITIONS).
//!
//! A question has every answer that the engine can be given, that there is none among them. Patterns on the same question
//! are held against the same answer, so that nobody is in two countries and no day is Monday and Tuesday; nothing is
//! supposed of how answers to different questions go together.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use super::Incomparable;
use super::words::Term;
use hosts_access::syntax::brace::{Brace, code, list_code, system};
use hosts_access::syntax::time::{Moment, Times, times};
use hosts_access::{Cause, Fact, Found, Known, Match};

/// Something that is asked of a client, and is not in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks<'t> {
    /// Does this pattern match?
    Brace(Brace<'t>),
    /// Does a pattern match in this file, of which it is not known what it holds?
    File(&'t [u8]),
}

/// Answers to one question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Answers {
    /// Which patterns ask it.
    pub asks: Vec<Vec<u8>>,
    /// Patterns, and whether they match: all of one of these lists. Where a list is empty, any answer will do.
    pub any_of: Vec<Vec<(Vec<u8>, bool)>>,
    /// It has no answer.
    pub unknown: bool,
}

/// So many ways are there at most in which all questions are answered.
const MOST_WAYS: usize = 1 << 12;
/// So many answers to one question are told apart, of so many that are looked at, each held against so many patterns in all.
const MOST_ANSWERS: usize = 1 << 10;
const MOST_LOOKED_AT: usize = 1 << 14;
const MOST_HELD: usize = 1 << 22;
/// So much work may it be to say them briefly.
const MOST_WORK: usize = 1 << 24;

/// A client that is at an address of a name, or is not.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A question with its answers.
#[derive(Debug)]
pub(super) struct Question {
    /// Nothing where a file is asked.
    fact: Option<Fact>,
    /// The numbers of what asks it.
    atoms: Vec<u32>,
    words: Vec<Word>,
    answers: Vec<Answer>,
    pub(super) classes: Vec<Class>,
}

#[derive(Debug)]
struct Answer {
    known: Known,
    /// Which of the words it is; none where there is no answer.
    words: Vec<bool>,
}

/// Answers that nothing tells apart which asks.
#[derive(Debug)]
pub(super) struct Class {
    answers: Vec<usize>,
    /// What comes of it, for each that asks.
    holds: Vec<Match>,
}

/// The least that a pattern can say: one value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    open: Vec<u8>,
    value: Vec<u8>,
    close: Vec<u8>,
}

impl Word {
    fn new(open: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Word {
            open: open.into(),
            value: value.into(),
            close: b"}".to_vec(),
        }
    }

    /// A pattern that matches where one of the words does, which are alike but for their values.
    fn text(words: &[&Word]) -> Vec<u8> {
        let Some(first) = words.first() else {
            return Vec::new();
        };
        let values: Vec<&[u8]> = words.iter().map(|word| &word.value[..]).collect();
        [&first.open[..], &values.join(&b'|'), &first.close].concat()
    }

    fn is_like(&self, other: &Word) -> bool {
        !self.value.is_empty() && (&self.open, &self.close) == (&other.open, &other.close)
    }
}

/// All questions of a comparison.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) questions: Vec<Question>,
    count: usize,
    /// What is wrong, and so never known.
    wrong: Vec<u32>,
    /// What is not asked of who has no address.
    about_address: Vec<u32>,
}

/// The patterns that one question is asked by, with their numbers.
type Asking<'t> = Vec<(u32, Asks<'t>)>;

impl Facts {
    /// The questions behind what is asked.
    ///
    /// # Errors
    /// There are too many answers to tell apart.
    pub(super) fn new(asked: &[Asks<'_>]) -> Result<Self, Incomparable> {
        let mut facts = Facts {
            count: asked.len(),
            ..Facts::default()
        };
        let mut by_question: Vec<(Option<Fact>, Asking<'_>)> = Vec::new();
        for (number, asks) in (0..).zip(asked) {
            let fact = match asks {
                Asks::File(_) => None,
                Asks::Brace(brace) => match brace.fact() {
                    Ok(fact) => {
                        if brace.is_about_address() {
                            facts.about_address.push(number);
                        }
                        Some(fact)
                    }
                    Err(_) => {
                        facts.wrong.push(number);
                        continue;
                    }
                },
            };
            match by_question
                .iter_mut()
                .find(|(known, _)| fact.is_some() && *known == fact)
            {
                Some((_, asking)) => asking.push((number, *asks)),
                None => by_question.push((fact, vec![(number, *asks)])),
            }
        }
        let mut ways = 1usize;
        for (fact, asking) in by_question {
            let question = Question::new(fact, &asking)?;
            ways = ways.saturating_mul(question.classes.len());
            facts.questions.push(question);
        }
        if ways > MOST_WAYS {
            return Err(Incomparable::TooManyAnswers);
        }
        Ok(facts)
    }

    /// Every way in which the questions are answered, by the numbers of classes.
    pub(super) fn ways(&self) -> Vec<Vec<u32>> {
        let mut ways = vec![Vec::new()];
        for question in &self.questions {
            let with = |way: &Vec<u32>| {
                let way = way.clone();
                let classes = 0..question.classes.len() as u32;
                classes
                    .map(move |class| [&way[..], &[class]].concat())
                    .collect::<Vec<_>>()
            };
            ways = ways.iter().flat_map(with).collect();
        }
        ways
    }

    /// What comes of each that asks, in one of the ways, for a client with an address and for one without.
    pub(super) fn holds(&self, way: &[u32]) -> [Vec<Match>; 2] {
        let mut with = vec![Match::No; self.count];
        self.wrong
            .iter()
            .for_each(|at| with[*at as usize] = Match::Unknown);
        for (question, class) in self.questions.iter().zip(way) {
            let holds = &question.classes[*class as usize].holds;
            for (at, holds) in question.atoms.iter().zip(holds) {
                with[*at as usize] = *holds;
            }
        }
        let mut without = with.clone();
        self.about_address
            .iter()
            .for_each(|at| without[*at as usize] = Match::No);
        [with, without]
    }

    /// Is this the one of the ways that are all alike for who has no address?
    pub(super) fn is_first(&self, way: &[u32]) -> bool {
        let mut pairs = self.questions.iter().zip(way);
        pairs.all(|(question, class)| *class == 0 || !question.is_about_address())
    }

    /// All ways that are alike for who has no address, by their first.
    pub(super) fn without_address(&self, way: &[u32]) -> Vec<Vec<u32>> {
        let pairs = self.questions.iter().zip(way);
        let classes = pairs.map(|(question, class)| match question.is_about_address() {
            true => (0..question.classes.len() as u32).collect(),
            false => vec![*class],
        });
        classes.collect()
    }

    /// Is anything asked about an address?
    pub(super) fn are_about_address(&self) -> bool {
        self.questions.iter().any(Question::is_about_address)
    }

    /// Which question asks for bans, if one does.
    pub(super) fn bans(&self) -> Option<usize> {
        self.questions
            .iter()
            .position(|question| question.fact == Some(Fact::Banned))
    }
}

impl Question {
    fn new(fact: Option<Fact>, asking: &Asking<'_>) -> Result<Self, Incomparable> {
        let (words, known) = match &fact {
            None => (words_of_file(asking), vec![Ok(Found::Yes), Ok(Found::No)]),
            Some(fact) => answers(fact, asking)?,
        };
        let holds = |asks: &Asks<'_>, known: &Known| match (asks, known) {
            (Asks::File(_), Ok(found)) => found.yes_or_no(),
            (Asks::Brace(brace), Ok(found)) => brace.holds(found, Some(CLIENT)),
            (_, Err(_)) => None,
        };
        let is_best_effort = |asks: &Asks<'_>| matches!(asks, Asks::Brace(brace) if brace.is_best_effort());
        // Where nothing tells it from a no, it is none of its own.
        let is_told = !asking.iter().all(|(_, asks)| is_best_effort(asks));
        let none = is_told.then(|| Err(Cause::new("it is supposed not to be known")));
        let mut question = Question {
            fact,
            atoms: asking.iter().map(|(number, _)| *number).collect(),
            words: Vec::new(),
            answers: Vec::new(),
            classes: Vec::new(),
        };
        let mut seen = BTreeSet::new();
        let mut numbers: HashMap<Vec<Match>, usize> = HashMap::new();
        for known in known.into_iter().chain(none) {
            let said: Vec<bool> = match &known {
                Err(_) => Vec::new(),
                Ok(found) if question.fact.is_none() => vec![*found == Found::Yes],
                Ok(found) => words
                    .iter()
                    .map(|word| {
                        let text = Word::text(&[word]);
                        let brace = Brace::parse(&text);
                        brace.and_then(|brace| brace.holds(found, Some(CLIENT))) == Some(true)
                    })
                    .collect(),
            };
            if !seen.insert((known.is_err(), said.clone())) {
                continue;
            }
            let of_each = asking.iter().map(|(_, asks)| match holds(asks, &known) {
                Some(holds) => holds.into(),
                None if is_best_effort(asks) => Match::No,
                None => Match::Unknown,
            });
            let of_each: Vec<Match> = of_each.collect();
            let class = *numbers.entry(of_each).or_insert_with_key(|holds| {
                question.classes.push(Class {
                    answers: Vec::new(),
                    holds: holds.clone(),
                });
                question.classes.len() - 1
            });
            question.classes[class].answers.push(question.answers.len());
            question.answers.push(Answer { known, words: said });
            if question.answers.len() > MOST_ANSWERS {
                return Err(Incomparable::TooManyAnswers);
            }
        }
        question.words = words;
        Ok(question)
    }

    fn is_about_address(&self) -> bool {
        !matches!(self.fact, None | Some(Fact::Time(_)))
    }

    /// The answers of some classes; nothing where these are all classes.
    pub(super) fn told(&self, classes: &[u32]) -> Option<Answers> {
        (classes.len() < self.classes.len()).then(|| {
            let answers = classes.iter().map(|class| &self.classes[*class as usize].answers);
            self.tell(&answers.flatten().copied().collect::<Vec<_>>())
        })
    }

    /// An answer of this class, as it is given to the engine about the client at this address; and in words.
    pub(super) fn given(&self, class: u32, client: Option<IpAddr>) -> Option<(Fact, Known, Answers)> {
        let at = *self.classes[class as usize].answers.first()?;
        let known = match &self.answers[at].known {
            Ok(Found::Addresses(addresses)) if !addresses.is_empty() => {
                Ok(Found::Addresses(client.into_iter().collect()))
            }
            known => known.clone(),
        };
        Some((self.fact.clone()?, known, self.tell(&[at])))
    }

    /// The class in which a question with two answers is answered so.
    pub(super) fn class_of(&self, found: &Found) -> Option<u32> {
        let is_it = |class: &Class| {
            let mut answers = class.answers.iter();
            answers.any(|at| self.answers[*at].known.as_ref() == Ok(found))
        };
        let at = self.classes.iter().position(is_it)?;
        u32::try_from(at).ok()
    }

    /// The class that these are what comes of, for each that asks anything.
    #[cfg(test)]
    pub(super) fn class_with(&self, holds: &[Match]) -> u32 {
        let wanted: Vec<Match> = self.atoms.iter().map(|at| holds[*at as usize]).collect();
        let at = self.classes.iter().position(|class| class.holds == wanted);
        at.unwrap_or_else(|| panic!("{wanted:?} is in no class of {self:?}")) as u32
    }

    fn tell(&self, these: &[usize]) -> Answers {
        let all: Vec<&Word> = self.words.iter().collect();
        let (inside, outside): (Vec<usize>, Vec<usize>) = (0..self.answers.len())
            .filter(|at| self.answers[*at].known.is_ok())
            .partition(|at| these.contains(at));
        let ways = |which: &[usize]| -> Vec<(&Vec<bool>, bool)> {
            which.iter().map(|at| (&self.answers[*at].words, false)).collect()
        };
        let outside = ways(&outside);
        let work = inside.len() * (outside.len() + 1) * (self.words.len() + 1);
        let mut terms: Vec<Term> = Vec::new();
        for (way, dot) in ways(&inside) {
            if !terms.iter().any(|term| term.holds(way, dot)) {
                let mut term = Term::new(way);
                if work <= MOST_WORK {
                    term.shorten(&outside, inside.len() > outside.len());
                }
                terms.push(term);
            }
        }
        // Of terms that are one word each, those that differ in its value are one pattern.
        let mut any_of: Vec<Vec<(Vec<u8>, bool)>> = Vec::new();
        let mut alone: Vec<&Word> = Vec::new();
        for term in &terms {
            let of = |holds: bool| -> Vec<&Word> {
                let pairs = term.wanted.iter().zip(&self.words);
                pairs
                    .filter(|(wanted, _)| **wanted == Some(holds))
                    .map(|(_, word)| word)
                    .collect()
            };
            match (&of(true)[..], &of(false)[..]) {
                ([one], []) => alone.push(one),
                (these, those) => {
                    let these = these.iter().map(|word| (Word::text(&[word]), true));
                    let those = gathered(those).into_iter().map(|text| (text, false));
                    any_of.push(these.chain(those).collect());
                }
            }
        }
        let alone = gathered(&alone).into_iter().map(|text| vec![(text, true)]);
        Answers {
            asks: gathered(&all),
            any_of: alone.chain(any_of).collect(),
            unknown: these.iter().any(|at| self.answers[*at].known.is_err()),
        }
    }
}

/// The fewest patterns that match where one of the words does.
fn gathered(words: &[&Word]) -> Vec<Vec<u8>> {
    let mut groups: Vec<Vec<&Word>> = Vec::new();
    for word in words {
        match groups.iter_mut().find(|group| group[0].is_like(word)) {
            Some(group) => group.push(word),
            None => groups.push(vec![word]),
        }
    }
    groups.iter().map(|group| Word::text(group)).collect()
}

fn words_of_file(asking: &Asking<'_>) -> Vec<Word> {
    let path = asking.iter().find_map(|(_, asks)| match asks {
        Asks::File(path) => Some(path.to_vec()),
        Asks::Brace(_) => None,
    });
    vec![Word {
        open: path.unwrap_or_default(),
        value: Vec::new(),
        close: Vec::new(),
    }]
}

/// The words in which answers to a question are told, and every answer that these tell apart but that there is none.
fn answers(fact: &Fact, asking: &Asking<'_>) -> Result<(Vec<Word>, Vec<Known>), Incomparable> {
    let braces: Vec<Brace<'_>> = asking
        .iter()
        .filter_map(|(_, asks)| match asks {
            Asks::Brace(brace) => Some(*brace),
            Asks::File(_) => None,
        })
        .collect();
    let (words, found) = match fact {
        Fact::Location => {
            let (mut countries, mut continents) = (BTreeSet::new(), BTreeSet::new());
            for brace in &braces {
                if let Brace::Country(values) = brace {
                    countries.extend(values.iter().filter_map(code));
                }
                if let Brace::Continent(values) = brace {
                    continents.extend(values.iter().filter_map(code));
                }
            }
            let of_countries = countries.iter().map(|code| Word::new("{country=", *code));
            let of_continents = continents.iter().map(|code| Word::new("{continent=", *code));
            let or_none = |codes: &BTreeSet<[u8; 2]>| -> Vec<Option<[u8; 2]>> {
                codes.iter().copied().map(Some).chain([None]).collect()
            };
            let mut found = Vec::new();
            for country in or_none(&countries) {
                for continent in or_none(&continents) {
                    found.push(Found::Location { country, continent });
                }
            }
            (of_countries.chain(of_continents).collect(), found)
        }
        Fact::System => {
            let mut numbers = BTreeSet::new();
            for brace in &braces {
                if let Brace::System(values) = brace {
                    numbers.extend(values.iter().filter_map(system));
                }
            }
            let words = numbers
                .iter()
                .map(|number| Word::new("{asn=", number.to_string()));
            let found = numbers.iter().copied().map(Some).chain([None]);
            (words.collect(), found.map(Found::System).collect())
        }
        Fact::Addresses(name) => (
            vec![Word::new([b"{dns=", &name[..]].concat(), "")],
            vec![Found::Addresses(vec![CLIENT]), Found::Addresses(Vec::new())],
        ),
        Fact::Listed(zone) => listed(zone, &braces),
        Fact::Nearness => {
            let near = |same_host, same_net| Found::Nearness { same_host, same_net };
            (
                vec![Word::new("{samehost", ""), Word::new("{samenet", "")],
                // Whoever is this host is in one of its networks.
                vec![near(true, true), near(false, true), near(false, false)],
            )
        }
        Fact::Time(_) => {
            let (words, moments) = moments(&braces);
            (words, moments.into_iter().map(Found::Time).collect())
        }
        Fact::Banned => (vec![Word::new("{banned", "")], vec![Found::Yes, Found::No]),
        // Their answers are part of what becomes of a request.
        Fact::Rate { .. } | Fact::Connections(_) => (Vec::new(), Vec::new()),
    };
    let held = found.len().saturating_mul(words.len() + asking.len());
    if found.len() > MOST_LOOKED_AT || held > MOST_HELD {
        return Err(Incomparable::TooManyAnswers);
    }
    Ok((words, found.into_iter().map(Ok).collect()))
}

/// A list says several things at once: every set of what patterns name, as far as they tell them apart.
fn listed(zone: &[u8], braces: &[Brace<'_>]) -> (Vec<Word>, Vec<Found>) {
    let mut codes: BTreeSet<Ipv4Addr> = BTreeSet::new();
    let mut has_any = false;
    for brace in braces {
        if let Brace::Listed { codes: named, .. } = brace {
            has_any |= named.iter().next().is_none();
            codes.extend(named.iter().filter_map(list_code));
        }
    }
    let open = [b"{rbl=", zone].concat();
    let any = has_any.then(|| Word::new(&open[..], ""));
    let words = codes
        .iter()
        .map(|code| Word::new([&open[..], b"|"].concat(), code.to_string()));
    // One that nobody names.
    let other = (2..)
        .map(|last| Ipv4Addr::new(127, 77, 0, last))
        .find(|code| !codes.contains(code));
    let all: Vec<Ipv4Addr> = codes.iter().copied().chain(other.filter(|_| has_any)).collect();
    let mut said: Vec<Vec<Ipv4Addr>> = vec![Vec::new()];
    for code in all {
        let with = |codes: &Vec<Ipv4Addr>| [&codes[..], &[code]].concat();
        let more: Vec<_> = said.iter().map(with).collect();
        said.extend(more);
        if said.len() > MOST_LOOKED_AT {
            break;
        }
    }
    // Those of which something is said come first.
    said.rotate_left(1);
    (
        any.into_iter().chain(words).collect(),
        said.into_iter().map(Found::Listed).collect(),
    )
}

/// A Monday.
const MONDAY: i64 = 20_458;

/// Moments, one at least for each way in which the patterns hold together: the hours change at the patterns' own, and a
/// week of each stretch between dates has every day.
fn moments(braces: &[Brace<'_>]) -> (Vec<Word>, Vec<Moment>) {
    let mut words: Vec<Word> = Vec::new();
    let (mut days, mut minutes) = (BTreeSet::new(), BTreeSet::from([0]));
    for brace in braces {
        let Brace::Time(value) = *brace else { continue };
        let Ok(times) = times(value) else { continue };
        let mut close = b"}".to_vec();
        let mut rest = value;
        if let Some(zone) = times.zone {
            close = [b"/", zone, b"}"].concat();
            rest = &value[..value.len() - zone.len() - 1];
        }
        for value in rest.split(|b| *b == b'|') {
            let word = Word {
                open: b"{time=".to_vec(),
                value: value.to_vec(),
                close: close.clone(),
            };
            if !words.contains(&word) {
                words.push(word);
            }
        }
        turns(&times, &mut days, &mut minutes);
    }
    let edges: Vec<i64> = days.into_iter().collect();
    let weeks: Vec<(i64, i64)> = match (edges.first(), edges.last()) {
        (Some(first), Some(last)) => {
            let between = edges.windows(2).map(|pair| (pair[0], pair[1].min(pair[0] + 7)));
            between.chain([(*last, last + 7), (first - 7, *first)]).collect()
        }
        _ => vec![(MONDAY, MONDAY + 7)],
    };
    let days = weeks.into_iter().flat_map(|(from, to)| from..to);
    let moments = days.flat_map(|day| minutes.iter().map(move |minute| Moment { day, minute: *minute }));
    // One more than are looked at is too many.
    (words, moments.take(MOST_LOOKED_AT + 1).collect())
}

/// Where it may come to be another answer.
fn turns(times: &Times<'_>, days: &mut BTreeSet<i64>, minutes: &mut BTreeSet<u16>) {
    let (of_days, of_minutes) = times.edges();
    // Hours over midnight belong to the day before.
    days.extend(of_days.iter().flat_map(|day| [*day, day + 1]));
    minutes.extend(of_minutes.into_iter().filter(|minute| *minute < 24 * 60));
}
