//! The classic programs: tcpd itself, tcpdmatch, tcpdchk, try-from and safe_finger.
//!
//! Each program in `bin/` is a call of one `main` here. They ask the engine and this host, and say what
//! they found; only tcpd carries out options. Flags and output are those the programs have had
//! since the nineties, except that warnings reach the terminal and count in the exit status.

#![forbid(unsafe_code)]

mod arguments;
mod configuration;
mod dry_run;
mod hosts;
pub mod report;
pub mod safe_finger;
pub mod tcpd;
pub mod tcpdchk;
pub mod tcpdmatch;
pub mod try_from;
