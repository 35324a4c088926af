//! Which requests get another verdict, or have other things run, under other tables.
//!
//! Computed, not sampled: exact over all addresses of both families, and over the classes of daemons,
//! names and users that the two policies can tell apart. What cannot be known from the tables, the
//! status of `aclexec` commands and who is in a netgroup, is told as an unknown and never guessed. Each
//! difference holds a request for which it shows, and has been confirmed by deciding that request.
//!
//! Claims are about requests as they come in real life: addresses are written as the C library writes
//! them or are `unknown`, names of hosts are no addresses. Log lines, and what is looked up on the way,
//! are no part of what is compared; values of options are compared as written, before % expansion.

mod bans;
mod comparison;
mod confirm;
mod daemons;
mod facts;
mod family;
mod hosts;
mod idle;
mod outcome;
mod places;
pub mod ranges;
mod rules;
mod spelling;
mod strings;
mod sweep;
mod telling;
#[cfg(test)]
mod tests;
pub mod text;
mod words;

use std::fmt;

pub use self::bans::{Banning, LetIn, banning};
pub use self::comparison::{
    AddressPart, Addresses, Block, Clients, Comparison, Difference, LeftOut, Ports, Service, Unknown,
};
pub use self::confirm::{Decided, Witness};
pub use self::facts::Answers;
pub(crate) use self::hosts::FileTexts;
pub(crate) use self::idle::idle;
pub use self::outcome::{Outcome, Run, Step};
pub use self::places::Places;
pub(crate) use self::spelling::Ways;
pub use self::words::{Like, Strings};

use self::confirm::Confirming;
use self::daemons::{Asked, MOST_GROUPS, MOST_WAYS};
use self::outcome::Outcomes;
use self::rules::{Lists, OneSide, Rule, lines};
use self::sweep::{Swept, sweep};
use self::telling::Telling;
use crate::document::Documents;

/// Why two policies cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incomparable {
    /// Patterns with wildcards combine in too many ways.
    TooManyWildcards,
    /// So many netgroups matter to a request that their members cannot be told apart.
    TooManyNetgroups(usize),
    /// Daemons, ports and server endpoints combine in too many ways.
    TooManyDaemons,
    /// Patterns on the text of addresses combine in too many ways.
    TooManySpellings,
    /// What rules ask besides (patterns in braces) is answered in too many ways.
    TooManyAnswers,
    /// A pattern names something whose reading may never end.
    Endless(Vec<u8>, &'static str),
    /// Deciding the request did not show the difference: the comparison is wrong, and so not given.
    Unconfirmed(String),
}

impl fmt::Display for Incomparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Incomparable::TooManyNetgroups(count) => {
                return write!(f, "{count} netgroups matter at once, and no more than {MOST_GROUPS} can be told apart");
            }
            Incomparable::TooManyWildcards => "the patterns with * and ? combine in too many ways to tell apart",
            Incomparable::TooManyDaemons => {
                "daemons, ports and server endpoints combine in too many ways to tell apart"
            }
            Incomparable::TooManySpellings => {
                return write!(
                    f,
                    "the patterns on the text of addresses combine in more than the {MOST_WAYS} ways that can be \
                     told apart"
                );
            }
            Incomparable::TooManyAnswers => "the patterns in braces combine in too many ways to tell apart",
            Incomparable::Endless(path, what) => {
                let path = path.escape_ascii();
                return write!(
                    f,
                    "{path}, which a pattern names, is {what}: put a regular file in its place"
                );
            }
            Incomparable::Unconfirmed(what) => {
                return write!(
                    f,
                    "a difference was computed that deciding does not confirm, which is a bug: {what}"
                );
            }
        })
    }
}

impl std::error::Error for Incomparable {}

/// Compares what two pairs of tables mean. A table that is absent is an empty one. Files that patterns
/// name are read.
///
/// # Errors
/// Where daemons combine in more ways than can be followed, or, which would be a bug, a difference is not
/// confirmed by deciding a request. Services for whose clients there are too many ways are left out alone.
///
/// ```
/// use analysis::compare::compare;
/// use analysis::document::{Document, Documents};
/// let old = Document::new("hosts.deny", &b"ALL: 192.0.2.0/255.255.255.0\n"[..]);
/// let new = Document::new("hosts.deny", &b"ALL: 192.0.2.0/255.255.255.128\n"[..]);
/// let found = compare(
///     Documents { allow: None, deny: Some(&old) },
///     Documents { allow: None, deny: Some(&new) },
/// )?;
/// let [difference] = &found.differences[..] else { panic!() };
/// let block = difference.clients.addresses.parts[0].blocks[0];
/// assert_eq!(block.to_string(), "192.0.2.128/25");
/// # Ok::<(), analysis::compare::Incomparable>(())
/// ```
pub fn compare(old: Documents<'_>, new: Documents<'_>) -> Result<Comparison, Incomparable> {
    compare_in(old, new, &Places::default())
}

/// The same where it is given which addresses are where.
///
/// # Errors
/// The same.
pub fn compare_in(
    old: Documents<'_>,
    new: Documents<'_>,
    places: &Places,
) -> Result<Comparison, Incomparable> {
    let confirming = Some(Confirming::new([old, new]));
    compare_by(old, new, None, places, confirming, &mut Ways::new())
}

/// The same of the tables alone: what the files hold that patterns name is not known, and nothing is confirmed by
/// deciding a request. `kept` saves work where tables much alike are compared again and again.
pub(crate) fn compare_alone(
    old: Documents<'_>,
    new: Documents<'_>,
    kept: &mut Ways,
) -> Result<Comparison, Incomparable> {
    let places = Places::default();
    compare_by(old, new, Some(FileTexts::new()), &places, None, kept)
}

fn compare_by(
    old: Documents<'_>,
    new: Documents<'_>,
    files: Option<FileTexts>,
    places: &Places,
    confirming: Option<Confirming<'_>>,
    kept: &mut Ways,
) -> Result<Comparison, Incomparable> {
    let lines = [lines(old), lines(new)];
    let mut outcomes = Outcomes::default();
    let mut lists = Lists::new(places);
    let sides = [
        lists.read(&lines[0], &mut outcomes),
        lists.read(&lines[1], &mut outcomes),
    ];
    let none = Comparison {
        differences: Vec::new(),
        unknowns: Vec::new(),
        left_out: Vec::new(),
    };
    if sides[0].rules == sides[1].rules && sides[0].is_broken == sides[1].is_broken {
        return Ok(none);
    }
    let files = match files {
        Some(files) => files,
        None => lists.files()?,
    };
    let (axes, asked) = daemons::asked(&lists, &files)?;
    let mut telling = Telling::new(&axes, &asked, places, confirming);
    for (number, asked) in asked.iter().enumerate() {
        match swept(&lists, &files, &sides, asked, &mut outcomes, kept) {
            Ok(Some(swept)) => telling.add(number, &swept, &outcomes)?,
            Ok(None) => {}
            Err(problem) => telling.leave_out(number, problem),
        }
    }
    Ok(telling.finish())
}

/// The clients for whom requests that are asked in this way end differently.
fn swept<'t>(
    lists: &Lists<'t>,
    files: &'t FileTexts,
    sides: &[OneSide; 2],
    asked: &Asked,
    outcomes: &mut Outcomes,
    kept: &mut Ways,
) -> Result<Option<Swept<'t>>, Incomparable> {
    let [old, new] = [0, 1].map(|side: usize| of_service(lists, &sides[side].rules, asked));
    let is_broken = [sides[0].is_broken, sides[1].is_broken];
    sweep(lists, files, [&old, &new], is_broken, outcomes, kept)
}

/// The rules for who asks in this way, the daemon lists being all alike.
fn of_service(lists: &Lists<'_>, rules: &[Rule], asked: &Asked) -> Vec<Rule> {
    let mut holds = vec![false; lists.daemons.len()];
    asked.lists.iter().for_each(|list| holds[*list as usize] = true);
    let rules = rules.iter().filter(|rule| holds[rule.daemons as usize]);
    rules.map(|rule| Rule { daemons: 0, ..*rule }).collect()
}
