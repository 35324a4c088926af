//! What obeys hosts.allow and hosts.deny on this machine, and how that is known.
//!
//! A rule protects a service only where something asks the tables before the service is given: the program
//! itself, through libwrap; a super server, or tcpd behind it; the guard of `tcpwrap run`. This crate finds out
//! which, from evidence and not from names:
//!
//! - [`elf`] reads what a program needs and calls, and [`linkage`] follows it through other libraries, with the
//!   search rules of ld.so(8), to the libwrap that it would get;
//! - [`known`] is the table of programs that ask under a name of their own, or only when their configuration
//!   says so;
//! - [`process`] and [`socket`] read `/proc`: who listens, what it has really loaded, which unit it belongs to;
//! - [`Machine`] puts these together, for a daemon's name in a rule or for a listening socket.
//!
//! Nothing is started, traced or changed. What this user may not see is said, never guessed. It is no part of what
//! runs when a connection comes: only tools use it.

#![forbid(unsafe_code)]

pub mod cache;
pub mod elf;
pub mod known;

pub mod linkage;
pub mod listener;
pub mod machine;
pub mod process;
pub mod run;
pub mod socket;
pub mod words;

pub use listener::{Library, Listener, Listeners, Obeys, is_elsewhere, listeners};
pub use machine::{Answer, By, Machine};
