//! The compatibility suite: the same tables and requests for Debian's libwrap and for the engine.
//!
//! Each side tells what it did as a list of lines (lookups, log lines, effects, the verdict, what
//! expansions give), and the lists must be equal. `tests/` holds the cases.

#![forbid(unsafe_code)]

pub mod alike;
pub mod case;
pub mod cc;
pub mod engine;
pub mod generate;
pub mod reference;

pub use case::Case;
