//! What the guard does with a program may take for ever. To hand a connection over, a page of the program's memory may have
//! to come from a file system that the program itself serves, of which nothing gets a thread out; and the caller must be
//! given a processor. To take a socket from it, a process that executes a program must be through with that, and it closes
//! files of such a file system meanwhile.
//!
//! So whoever runs the guard lays it down before such an errand, and takes it up again after. Where that takes long, the
//! [`Watchdog`](crate::stuck::Watchdog)'s thread takes it up instead, and goes on; the other one, should it come back, says
//! what came of its errand, and is done.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::accept;
use crate::bell::Bell;
use crate::confine::confine;
use crate::guard::Guard;
use crate::machine::Waiter;
use crate::memory::Memory;
use crate::notify::{Call, Notifications};
use crate::queue::{Caller, Granted};
use crate::stuck::Watchdog;
use crate::task::Task;

/// What the guard is laid down for.
#[derive(Debug)]
pub(crate) enum Errand {
    Take(Take),
    Open(Open),
    HandOver(HandOver),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The socket, and its number.
    Taken(Take, io::Result<(OwnedFd, u64)>),
    Opened(Open, io::Result<(Memory, Option<[u8; 4]>)>),
    Handed(Handed),
}

impl Errand {
    /// The process that may keep it.
    pub(crate) fn process(&self) -> u32 {
        match self {
            Errand::Take(take) => take.task.process,
            Errand::Open(open) => open.task.process,
            Errand::HandOver(handover) => handover.waiter.caller.task.process,
        }
    }

    fn run(self, notifications: &Notifications, watchdog: &Watchdog) -> Outcome {
        match self {
            Errand::Take(take) => {
                let taken = take.task.socket(take.fd);
                Outcome::Taken(take, taken)
            }
            Errand::Open(open) => {
                let memory = open.run();
                Outcome::Opened(open, memory)
            }
            Errand::HandOver(handover) => Outcome::Handed(handover.run(notifications, watchdog)),
        }
    }
}

impl Outcome {
    pub(crate) fn process(&self) -> u32 {
        match self {
            Outcome::Taken(take, _) => take.task.process,
            Outcome::Opened(open, _) => open.task.process,
            Outcome::Handed(handed) => handed.process,
        }
    }
}

/// A socket that is to be taken from a thread.
#[derive(Debug)]
pub(crate) struct Take {
    pub task: Arc<Task>,
    pub fd: i32,
    pub purpose: Purpose,
}

/// What a socket is taken for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// A call that has come in, whose thread may have to be opened anew.
    Call { call: Call, again: bool },
    /// The calls that wait at this listener; the nth of them is asked for it.
    Waiting { listener: u64, nth: usize, news: News },
    /// This listener, as the last call there finds it.
    Last { listener: u64, wanted: Wanted },
}

/// What is to be told of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) enum News {
    /// There may be something to accept; there certainly is.
    Readable(bool),
    /// There is room for it.
    Room,
}

/// What is to be done with a listener that nobody may wait at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// Have those look again who poll it, or connect to it where that cannot be done.
    Nudge { or_connect: bool },
    /// See whether it is there, where a wake-up was refused.
    Presence,
}

/// Memory that is to be opened for a call that waits, so that this takes no time when a client has come.
#[derive(Debug)]
pub(crate) struct Open {
    pub listener: u64,
    pub id: u64,
    pub task: Arc<Task>,
    /// Where the call says how much room it has for the client's address.
    pub length: u64,
    pub share: Arc<()>,
}

impl Open {
    /// The memory, and how much room there is, as it seems: whether it is the caller's is seen when that is used.
    fn run(&self) -> io::Result<(Memory, Option<[u8; 4]>)> {
        let memory = Memory::open(&self.task)?;
        let given = memory.read(self.length).ok();
        Ok((memory, given))
    }
}

/// A connection on its way to a call.
#[derive(Debug)]
pub(crate) struct HandOver {
    /// The listener.
    pub listener: u64,
    /// The call.
    pub waiter: Box<Waiter<Caller>>,
    pub granted: Granted,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Handed {
    pub listener: u64,
    pub id: u64,
    pub process: u32,
    /// The guard has its connection still where that failed.
    pub result: Result<(), (Problem, Granted)>,
}

/// Why a connection was not handed over.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The client's address could not be written.
    Told(io::Error),
    /// The call could not be ended.
    Handed(io::Error),
}

impl HandOver {
    fn run(self, notifications: &Notifications, watchdog: &Watchdog) -> Handed {
        // Closed when the caller has been let go.
        let mut opened = None;
        let handed = self.hand(notifications, &mut opened);
        Handed {
            listener: self.listener,
            id: self.waiter.id,
            process: self.waiter.caller.task.process,
            result: match handed {
                // At once: as long as it is open, the program's own `close` does not end the connection.
                Ok(()) => {
                    self.granted.connection.part_from(watchdog);
                    Ok(())
                }
                Err(problem) => Err((problem, self.granted)),
            },
        }
    }

    /// The client's address into the caller's memory, if it wants that, then the descriptor into its table.
    fn hand(&self, notifications: &Notifications, opened: &mut Option<Memory>) -> Result<(), Problem> {
        let (call, connection) = (&self.waiter.caller.call, &self.granted.connection);
        if call.address != 0 {
            self.tell_address(notifications, opened).map_err(Problem::Told)?;
        }
        let nonblocking = call.flags & libc::SOCK_NONBLOCK != 0;
        if connection.nonblocking != nonblocking {
            accept::set_nonblocking(connection.fd.as_fd(), nonblocking);
        }
        let close_on_exec = call.flags & libc::SOCK_CLOEXEC != 0;
        notifications
            .hand_over(call.id, connection.fd.as_fd(), close_on_exec)
            .map_err(Problem::Handed)
    }

    /// Writes the client's address, as far as there is room for it, and its length into the caller's memory.
    fn tell_address(&self, notifications: &Notifications, opened: &mut Option<Memory>) -> io::Result<()> {
        let (caller, address) = (&self.waiter.caller, self.granted.connection.peer.bytes());
        let call = &caller.call;
        let (memory, given) = match &caller.opened {
            Some(ahead) => (&ahead.memory, ahead.given),
            None => (&*opened.insert(Memory::open(&caller.task)?), None),
        };
        // Each of these may wait for memory that the program gives out late, and its call be interrupted meanwhile: what
        // was the call's place on the stack is another function's then.
        let still_waits = || match notifications.is_waiting(call.id) {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        };
        let given = match given {
            Some(given) => given,
            None => memory.read(call.length)?,
        };
        let room = usize::try_from(i32::from_ne_bytes(given))
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        still_waits()?;
        memory.write(call.address, &address[..address.len().min(room)])?;
        still_waits()?;
        memory.replace(call.length, &given, &(address.len() as i32).to_ne_bytes())
    }
}

/// What is done when the guard ends; the answer is the status of its process.
pub(crate) type Finish = Box<dyn FnOnce(Box<Guard>, io::Result<()>) -> i32 + Send>;

/// Where the guard is laid down.
pub(crate) struct Relay {
    laid: Mutex<Option<Box<Guard>>>,
    finish: Mutex<Option<Finish>>,
    /// Errands of those who were relieved meanwhile, and what came of them.
    late: Sender<Outcome>,
    bell: Bell,
    /// How many threads have been relieved and have not come back.
    out: AtomicUsize,
}

/// How many may be. Beyond that the guard waits with the program: each is one of another process, that has a file system
/// of its own to serve it memory.
const MOST: usize = 64;

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}

impl Relay {
    /// Rings the bell for each errand it sends.
    pub(crate) fn new(late: Sender<Outcome>, bell: Bell) -> Self {
        Relay {
            laid: Mutex::new(None),
            finish: Mutex::new(None),
            late,
            bell,
            out: AtomicUsize::new(0),
        }
    }

    pub(crate) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    fn laid(&self) -> MutexGuard<'_, Option<Box<Guard>>> {
        self.laid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on in the place of a thread that is long on its errand. False where that has come back meanwhile.
    pub(crate) fn relieve(self: &Arc<Self>) -> bool {
        if self.out.load(SeqCst) >= MOST {
            return false;
        }
        let Some(mut guard) = self.laid().take() else {
            return false;
        };
        self.out.fetch_add(1, SeqCst);
        // A panic here must not leave a process that does nothing.
        let life = AssertUnwindSafe(|| {
            guard.relieved();
            lead(self, guard);
        });
        if catch_unwind(life).is_err() {
            // SAFETY: ends the process at once; its watcher says so.
            unsafe { libc::_exit(1) };
        }
        true
    }
}

/// Runs the guard on this thread until the program has ended, and the process with it.
pub(crate) fn run(guard: Box<Guard>, finish: Finish) -> ! {
    let relay = guard.relay();
    *relay.finish.lock().unwrap_or_else(PoisonError::into_inner) = Some(finish);
    guard.confined(confine());
    lead(&relay, guard);
    // Relieved: the process goes on without this thread, its first one.
    loop {
        std::thread::park();
    }
}

/// Runs the guard until another thread does.
fn lead(relay: &Arc<Relay>, mut guard: Box<Guard>) {
    let notifications = guard.notifications();
    let watchdog = guard.watchdog();
    loop {
        if let Some(errand) = guard.errand() {
            *relay.laid() = Some(guard);
            let outcome = watchdog.on_errand(|| errand.run(&notifications, &watchdog));
            let Some(back) = relay.laid().take() else {
                relay.out.fetch_sub(1, SeqCst);
                // Nobody hears of it when the guard has ended.
                let _ = relay.late.send(outcome);
                relay.bell.ring();
                return;
            };
            guard = back;
            guard.back(outcome);
            continue;
        }
        let end = match guard.turn() {
            Ok(true) => continue,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        let finish = relay.finish.lock().unwrap_or_else(PoisonError::into_inner).take();
        let status = finish.map_or(1, |finish| finish(guard, end));
        // SAFETY: ends the process at once; what it had to say has been said.
        unsafe { libc::_exit(status) };
    }
}
