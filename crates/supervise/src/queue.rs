//! What the guard knows of a listening socket beside what its [`Machine`] does.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use crate::accept::Accepted;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::network::Network;
use crate::notify::Call;
use crate::room::Permit;
use crate::task::Task;
use crate::timers::Timers;

/// Who calls.
#[derive(Debug)]
pub(crate) struct Caller {
    pub call: Call,
    pub task: Arc<Task>,
    /// Its memory, where that was opened while it waited.
    pub opened: Option<Opened>,
    /// It was seen while it waited whether its process has a descriptor left.
    pub is_seen: bool,
}

/// Memory that is open, and its share of how much may be.
#[derive(Debug)]
pub(crate) struct Opened {
    pub memory: Memory,
    /// How much room there is for the client's address, as that stands there.
    pub given: Option<[u8; 4]>,
    pub _share: Arc<()>,
}

/// A granted connection, which has a place in the guard's room while no call has it.
#[derive(Debug)]
pub(crate) struct Granted {
    pub connection: Box<Accepted>,
    pub permit: Option<Box<Permit>>,
}

/// One listening socket.
#[derive(Debug)]
pub(crate) struct Queue {
    pub machine: Machine<Caller, Granted>,
    /// It is known to listen; a few families accept without.
    pub listens: bool,
    /// Who called last, and the descriptor, by which the guard finds the socket when no call waits.
    pub last: Option<(Weak<Task>, i32)>,
    /// The same, kept while there is no room: then it will be needed.
    pub kept: Option<Arc<Task>>,
    /// Where clients find it, while some are undecided or ready.
    pub place: Option<(SocketAddr, Network)>,
    /// Its port is shared with other listeners.
    pub is_shared: bool,
    /// The port of ours that has reached it before, or 0.
    pub reached_from: u16,
    /// The log has been told that it cannot be woken.
    pub is_unreachable: bool,
    /// The guard is told when there is something new to accept.
    pub is_watched: bool,
}

impl Queue {
    pub(crate) fn new(number: u64, timers: Timers) -> Self {
        Queue {
            machine: Machine::new(number, timers),
            listens: false,
            last: None,
            kept: None,
            place: None,
            is_shared: false,
            reached_from: 0,
            is_unreachable: false,
            is_watched: false,
        }
    }
}
