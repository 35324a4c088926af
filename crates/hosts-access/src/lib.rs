//! The `hosts.allow`/`hosts.deny` language and the decision it describes.
//!
//! This crate implements hosts_access(5) and hosts_options(5): reading the two tables, matching a
//! request against their rules and running the options of the rule that decides. It opens the rule
//! files and the files they name; everything else it needs from the machine (names, users, and the
//! carrying out of effects) it asks for. It holds no `unsafe`, no sockets, no
//! processes and no DNS, and works on bytes, never assuming UTF-8.
//!
//! A process that decides once uses [`Tables`]; one that stays uses [`policy::Policy`]. Either begins an
//! [`Evaluation`], which is stepped: it says what it [`Need`]s or wants done and is told. Where waiting is no
//! matter, a [`Host`] answers all of it.
//!
//! What studies tables instead of deciding by them stands in crate `analysis`. It reads lines with
//! [`source`] and [`syntax`], asks what a pattern or an option is of [`Network`], [`string_matches`],
//! [`files`] and [`options`], follows a decision with a [`Trace`], and decides by texts that are in no file with
//! [`policy::Compiled::of_texts`].

#![forbid(unsafe_code)]

pub mod address;
mod brace;
pub mod decide;
pub mod decision;
pub mod diagnostic;
pub mod dry;
pub mod effect;
pub mod expand;
pub mod fact;
pub mod files;
pub mod host;
mod index;
mod matching;
pub mod meaning;
pub mod options;
pub mod policy;
mod read;
mod record;
pub mod request;
mod room;
mod sieve;
mod skip;
pub mod source;
pub mod syntax;
mod text;
mod trace;
mod work;

pub use decide::{ALLOW_TABLE, DENY_TABLE, Evaluation, Step, Tables};
pub use decision::{Decision, LogLine, Reason, Severity, TableKind, Then, Verdict};
pub use diagnostic::{Diagnostic, Kind, Place};
pub use effect::{Effect, Outcome};
pub use fact::{Cause, Fact, Found, Known};
pub use host::Host;
pub use index::disk as index_file;
pub use matching::{MAX_FILE_DEPTH, Match, Network, string_matches};
pub use policy::Policy;
pub use record::{LookUpTimes, Record};
pub use request::{Need, PARANOID, Pending, Request, Side, UNKNOWN};
pub use text::strerror;
pub use trace::{NoTrace, Trace};
