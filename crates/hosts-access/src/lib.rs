//! The `hosts.allow`/`hosts.deny` language and the decision it describes.
//!
//! This crate implements hosts_access(5) and hosts_options(5): reading the two tables, matching a
//! request against their rules and running the options of the rule that decides. It opens the rule
//! files and the files they name; everything else it needs from the machine (names, users, and the
//! carrying out of effects) it asks for. It holds no `unsafe`, no sockets, no
//! processes and no DNS, and works on bytes, never assuming UTF-8.
//!
//! A process that decides once uses [`Tables`]; one that stays uses [`policy::Policy`]. Either begins an
//! [`Evaluation`], which is stepped: it says what it [`Need`]s or wants done and is told. It waits for nothing, so
//! threads, event loops and async tasks drive it alike. Where waiting is no matter, a [`Host`] answers all of it.
//!
//! A server that asks its rules before it serves a client:
//!
//! ```
//! use hosts_access::{Cause, Need, Outcome, Policy, Request, Side, Step, Tables, Then, UNKNOWN};
//! use std::net::{TcpListener, TcpStream};
//!
//! fn may_be_served(client: &TcpStream, policy: &Policy) -> std::io::Result<bool> {
//!     let (peer, own) = (client.peer_addr()?, client.local_addr()?);
//!     let mut request = Request::new("exampled")
//!         .known_address(Side::Client, peer.ip().to_canonical().to_string())
//!         .known_address(Side::Server, own.ip().to_canonical().to_string())
//!         .known_port(Side::Client, Some(peer.port()))
//!         .known_port(Side::Server, Some(own.port()))
//!         .resident(true);
//!     let mut evaluation = policy.evaluate();
//!     loop {
//!         match evaluation.step(&mut request) {
//!             Step::Log(line) => eprintln!("{line}"),
//!             Step::Need(need) => match need {
//!                 // This server asks no name service: to its rules, nobody has a name. Its manual must say so,
//!                 // since a rule that denies a name then denies nobody.
//!                 Need::Name(side) => request.set_name(side, UNKNOWN),
//!                 Need::Netgroup { group, host } => request.set_netgroup(&group, &host, false),
//!                 Need::User => request.set_user(UNKNOWN),
//!                 Need::Address(side) => request.set_address(side, UNKNOWN),
//!                 Need::Port(side) => request.set_port(side, None),
//!                 Need::Banner { .. } => request.set_banner(None),
//!                 // What is not known never opens a door.
//!                 Need::Fact(fact) => request.set_fact(fact, Err(Cause::new("not asked here"))),
//!                 Need::Pause(time) => std::thread::sleep(time),
//!             },
//!             // It runs nothing for its rules: whoever comes to such a rule is refused.
//!             Step::Do(effect) => {
//!                 let option = effect.option().as_str();
//!                 evaluation.done(Outcome::Refused(format!("{option} is not done here").into()));
//!             }
//!             Step::Done(decision) => return Ok(decision.then() == Then::Serve),
//!         }
//!     }
//! }
//!
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("hosts.deny"), "exampled: ALL EXCEPT 127.0.0.1\n")?;
//! # let tables = Tables::in_directory(dir.path());
//! let policy = Policy::new(tables); // or Tables::default(), for /etc/hosts.allow and /etc/hosts.deny
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let client = TcpStream::connect(listener.local_addr()?)?;
//! let (accepted, _) = listener.accept()?;
//! assert!(may_be_served(&accepted, &policy)?);
//! # drop(client);
//! # std::fs::write(dir.path().join("hosts.deny"), "exampled: 127.\n")?;
//! # assert!(!may_be_served(&accepted, &policy)?);
//! # Ok::<(), std::io::Error>(())
//! ```
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
mod option_error;
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

pub use decide::{ALLOW_TABLE, Ask, DENY_TABLE, Evaluation, Step, Tables};
pub use decision::{Decision, LogLine, Note, Reason, Severity, TableKind, Then, Verdict};
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
