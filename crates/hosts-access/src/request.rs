//! Who asks, and what the engine asks of the machine.
//!
//! Everything about a request that costs something to find out is supplied lazily by a [`Host`],
//! at most once, in the order in which the language needs it (hosts_access(5), ACCESS CONTROL RULES).

use crate::diagnostic::{Diagnostic, Place};
use crate::effect::{Effect, Outcome};

/// The string an unknown name, address or user is.
pub const UNKNOWN: &[u8] = b"unknown";
/// The string the name of a client is when its name and address disagree.
pub const PARANOID: &[u8] = b"paranoid";

/// One end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The remote end.
    Client,
    /// This host's end.
    Server,
}

/// What the engine asks of the machine it runs on. Each lookup is asked for at most once a request.
///
/// `at` names the rule being read, for log lines of the lookup's own.
pub trait Host {
    /// The numeric address of one end, or [`UNKNOWN`].
    fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8>;

    /// The verified name of one end, [`UNKNOWN`] or [`PARANOID`]. `address` is that end's address.
    fn name(&mut self, side: Side, address: &[u8], at: Option<&Place>) -> Vec<u8>;

    /// The port of one end, if known.
    fn port(&mut self, side: Side) -> Option<u16>;

    /// The user at the client's end (RFC 1413), or [`UNKNOWN`].
    fn user(&mut self, at: Option<&Place>) -> Vec<u8>;

    /// Is `host` a member of the netgroup?
    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool;

    /// The banner file `directory/daemon`, or nothing where there is none to send. Problems other
    /// than a missing file are the host's to log. In a dry run: nothing.
    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>>;

    /// Carry out one effect.
    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome;

    /// Write one line to the log.
    fn log(&mut self, diagnostic: &Diagnostic);
}

/// Placeholder for the request; the engine's author is writing it.
pub struct Request;
