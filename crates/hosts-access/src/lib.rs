//! The `hosts.allow`/`hosts.deny` language and the decision it describes.
//!
//! This crate implements hosts_access(5) and hosts_options(5): reading the two tables, matching a
//! request against their rules and running the options of the rule that decides. It opens the rule
//! files and the files they name; everything else it needs from the machine (names, users, and the
//! carrying out of effects) it asks for through [`Host`]. It holds no `unsafe`, no sockets, no
//! processes and no DNS, and works on bytes, never assuming UTF-8.

#![forbid(unsafe_code)]

pub mod decision;
pub mod diagnostic;
pub mod effect;
pub mod request;

pub use decision::{Decision, Verdict};
pub use diagnostic::{Diagnostic, Kind, Place};
pub use effect::{Effect, Outcome};
pub use request::{Host, Request, Side};
