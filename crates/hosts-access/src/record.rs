//! What is kept of a decision: for the log, and for whoever asks later.
//!
//! One type for every door. Whoever drives a decision knows the time, the process and how long look-ups took; the
//! rest is the decision's own and the request's.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::decision::{Decision, LogLine};
use crate::request::{Request, Side};

/// A decision, and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was made.
    pub time: SystemTime,
    /// What the rules call the service.
    pub daemon: Vec<u8>,
    /// The process that asked.
    pub process: u32,
    /// The user it decided as.
    pub uid: u32,
    /// The client's end, where it has an address.
    pub client: Option<SocketAddr>,
    /// This host's end.
    pub server: Option<SocketAddr>,
    /// The client's name, if it was looked up.
    pub name: Option<Vec<u8>>,
    /// The user at the client's end, if that was looked up.
    pub user: Option<Vec<u8>>,
    /// Verdict and reason, table, line and text of the rule, what was done, which rules on trial matched, and what was
    /// not known.
    pub decision: Decision,
    /// What was logged of it.
    pub line: LogLine,
    /// How long was spent finding out who the client is.
    pub look_ups: LookUpTimes,
}

/// How long look-ups took, where there were any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookUpTimes {
    /// Of the client's name.
    pub name: Option<Duration>,
    /// Of the user at its end.
    pub user: Option<Duration>,
}

impl Record {
    /// The record of a decision about `request`, made now by the process and user of these numbers.
    pub fn new(decision: Decision, line: LogLine, request: &Request, (process, uid): (u32, u32)) -> Self {
        Record {
            time: SystemTime::now(),
            daemon: request.daemon().to_vec(),
            process,
            uid,
            client: None,
            server: None,
            name: request.looked_up_name(Side::Client).map(<[u8]>::to_vec),
            user: request.looked_up_user().map(<[u8]>::to_vec),
            decision,
            line,
            look_ups: LookUpTimes::default(),
        }
    }
}
