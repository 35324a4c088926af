//! Which rules of a large table could decide a request, found without reading the others.
//!
//! An index only chooses candidates, in the order of the table; the evaluator that scans tables then
//! judges each of them, so there is no second meaning of a pattern to keep in step. A candidate too
//! many costs time, never the verdict, which lets every key be a hash. What makes the choice exact is
//! that a rule left out could neither match nor start a lookup.

mod builder;
mod candidates;
pub mod disk;
mod keys;
mod lists;
mod long;
mod postings;
mod table;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use long::LongRule;
pub(crate) use table::{Candidate, TableIndex};
pub(crate) use tokens::{TokenCandidates, TokenIndex};
