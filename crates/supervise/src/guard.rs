//! The guard: it answers the program's `accept` calls, one after the other, and never waits for anything but
//! the next event. What has to be waited for is done by the threads of [`lookups`](crate::lookups).
//!
//! No call is ever let through to the kernel: between a look at the program's descriptor and the call's own,
//! another thread could put another socket in its place. So connections of every family are accepted here,
//! and errors are given as the kernel would.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use system::syslog;

use crate::accept::{self, Accepted, Listener, Timer};
use crate::call::{Epoll, errno, is_readable, option, owned};
use crate::decide::{self, Answer, Rules};
use crate::lookups::{Job, Lookups};
use crate::notify::{Call, Notifications, is_gone};
use crate::task::{Task, Tasks};
use crate::wake::Wakes;

/// How many refused connections are taken out of a backlog before others get their turn.
const AT_A_TIME: usize = 64;
/// How long a program that does not want to wait is held for a lookup, which spares it a second call. It is
/// held only while no other connection of the listener is undecided.
const GRACE: Duration = Duration::from_millis(1);
/// How long it is held while no connection can be accepted, lest it asks again and again.
const HELD: Duration = Duration::from_millis(20);
/// How long a granted connection waits for the program to accept it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many listeners are remembered that nothing waits at.
const KEPT: usize = 1024;

/// Shared memory communications, which begin as TCP connections.
const AF_SMC: libc::c_int = 43;

/// What an event is about, in the upper bits of its token.
const WATCH: u64 = 1 << 62;
const WAKE: u64 = 2 << 62;
const CHILD: u64 = 3 << 62;
const KIND: u64 = 3 << 62;
const CALLS: u64 = 0;
const RESULTS: u64 = 1;

/// A call that waits for a connection.
#[derive(Debug)]
struct Waiter {
    call: Call,
    task: Rc<Task>,
    /// `accept` waits on this listener.
    blocks: bool,
    /// When the call ends without a connection, and as what error.
    until: Option<(Instant, i32)>,
    /// It only waits for a lookup that is expected to be quick.
    graced: bool,
}

/// A granted connection.
#[derive(Debug)]
struct Ready {
    connection: Accepted,
    since: Instant,
}

/// What belongs to one listening socket.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiter>,
    ready: VecDeque<Ready>,
    undecided: usize,
    /// A program has called `accept` here when there was nothing to accept: it means to wait there. One that
    /// never does so asks `poll` first, and would be stopped if it had to wait.
    is_waited_on: bool,
    /// There was no room for more undecided connections.
    full: bool,
    /// Where clients find it.
    address: Option<SocketAddr>,
    /// Tells when there is something to accept. It holds the listener but does not keep it open.
    watch: Option<Epoll>,
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.ready.is_empty() && self.undecided == 0
    }
}

/// What came of an attempt to accept.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once")]
enum Taken {
    Connection(Accepted),
    Nothing,
    /// There is no room for another undecided connection.
    Full,
    /// Many were refused: others first.
    Later,
    Failed(i32),
}

/// What came of an attempt to hand a connection over.
enum Given {
    Done,
    /// The caller is gone.
    Gone,
    /// The call fails, and the connection stays for the next one.
    Kept(i32),
    /// The call fails, and the connection is lost, as it is without a guard.
    Lost(i32),
}

/// The guard.
#[derive(Debug)]
pub(crate) struct Guard {
    notifications: Notifications,
    epoll: Epoll,
    rules: Arc<Rules>,
    lookups: Lookups,
    timer: Timer,
    tasks: Tasks,
    listeners: HashMap<u64, Queue>,
    wakes: Wakes,
    /// When waiting calls end: the time, the call, the listener.
    deadlines: BTreeSet<(Instant, u64, u64)>,
    /// Listeners to go on with.
    again: Vec<u64>,
    /// Commands that have a connection.
    children: HashMap<libc::pid_t, OwnedFd>,
    /// How many undecided and granted connections are held at most.
    room: usize,
    held: usize,
    /// There was no room for a connection of some listener.
    is_full: bool,
    complained: bool,
}

impl Guard {
    /// # Errors
    /// There is no descriptor, timer or thread to be had.
    pub(crate) fn new(notifications: OwnedFd, rules: Arc<Rules>, room: usize) -> io::Result<Self> {
        let notifications = Notifications::new(notifications);
        let epoll = Epoll::new()?;
        epoll.add(notifications.as_fd(), libc::EPOLLIN, CALLS)?;
        let lookups = Lookups::new(Arc::clone(&rules))?;
        epoll.add(lookups.bell(), libc::EPOLLIN, RESULTS)?;
        Ok(Guard {
            notifications,
            epoll,
            rules,
            lookups,
            timer: Timer::new()?,
            tasks: Tasks::default(),
            listeners: HashMap::new(),
            wakes: Wakes::default(),
            deadlines: BTreeSet::new(),
            again: Vec::new(),
            children: HashMap::new(),
            room,
            held: 0,
            is_full: false,
            complained: false,
        })
    }

    /// Answers until the last guarded process has ended.
    ///
    /// # Errors
    /// The kernel's; the program can then accept nothing any more.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        self.rules.log.flush();
        loop {
            let timeout = self.timeout();
            for event in self.epoll.wait(&mut events, timeout)? {
                let (kinds, token) = (event.events as i32, event.u64);
                match (token & KIND, token & !KIND) {
                    (0, CALLS) if kinds & libc::EPOLLIN != 0 => {
                        if let Some(call) = self.notifications.receive()? {
                            self.called(call);
                        }
                    }
                    (0, CALLS) => return Ok(()),
                    (0, RESULTS) => self.decided(),
                    (WATCH, listener) => self.go_on(listener),
                    (WAKE, listener) => self.woken(listener),
                    (CHILD, process) => self.reap(process as libc::pid_t),
                    _ => {}
                }
            }
            for listener in std::mem::take(&mut self.again) {
                self.go_on(listener);
            }
            self.expire();
            self.rules.log.flush();
        }
    }

    /// How long nothing has to be done, in milliseconds.
    fn timeout(&self) -> i32 {
        if !self.again.is_empty() {
            return 0;
        }
        let now = Instant::now();
        let patience = (self.held > self.lookups.undecided()).then_some(now + Duration::from_secs(1));
        let deadline = self.deadlines.first().map(|(time, ..)| *time);
        let retry = self.is_full.then_some(now + HELD);
        match [deadline, patience, retry].into_iter().flatten().min() {
            // Rounded up, so that the last fraction is not spent spinning.
            Some(time) => {
                i32::try_from(time.saturating_duration_since(now).as_millis() + 1).unwrap_or(i32::MAX)
            }
            None => -1,
        }
    }

    /// A call has come in.
    fn called(&mut self, call: Call) {
        let fail = |guard: &Self, errno| guard.notifications.fail(call.id, errno);
        let (task, fd) = match self.reach(&call) {
            Ok(reached) => reached,
            Err(error) => {
                match errno(&error) {
                    libc::ESRCH => {}
                    libc::EBADF => fail(self, libc::EBADF),
                    libc::EMFILE | libc::ENFILE => {
                        self.complain(&call, &error);
                        // What programs try again after.
                        fail(self, libc::ECONNABORTED);
                    }
                    errno => {
                        self.complain(&call, &error);
                        fail(self, errno);
                    }
                }
                return;
            }
        };
        if call.flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) != 0 {
            return fail(self, libc::EINVAL);
        }
        let listener = match Listener::of(fd.as_fd()) {
            Ok(listener) => listener,
            Err(error) => return fail(self, errno(&error)),
        };
        self.make_room_for_listener(listener.cookie);
        let queue = self.listeners.entry(listener.cookie).or_default();
        let mut until = None;
        // What the thread waited in before was interrupted by a signal.
        if let Some(old) = queue.waiting.iter().position(|w| w.call.thread == call.thread)
            && let Some(old) = queue.waiting.remove(old)
            && old.until.is_some()
            && listener.blocks
        {
            // Where there is a time limit, accept does not begin anew after a signal.
            return fail(self, libc::EINTR);
        }
        if listener.blocks && listener.listens {
            until = accept::receive_timeout(fd.as_fd()).map(|time| (Instant::now() + time, libc::EAGAIN));
            if !queue.is_waited_on && queue.ready.is_empty() && !is_readable(fd.as_fd()) {
                queue.is_waited_on = true;
            }
        }
        if let Some((time, _)) = until {
            self.deadlines.insert((time, call.id, listener.cookie));
        }
        queue.waiting.push_back(Waiter {
            call,
            task,
            blocks: listener.blocks,
            until,
            graced: false,
        });
        self.serve(listener.cookie, Some((&listener, fd.as_fd())));
    }

    /// The thread that called, and the socket it accepts from.
    fn reach(&mut self, call: &Call) -> io::Result<(Rc<Task>, OwnedFd)> {
        for _ in 0..2 {
            let reached = self
                .tasks
                .get(call.thread)
                .and_then(|task| Ok((Rc::clone(&task), task.descriptor(call.fd)?)));
            match reached {
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => self.tasks.forget(call.thread),
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) => self.tasks.clear(),
                Err(error) => return Err(error),
                // The number may have passed to another thread before we opened it.
                Ok(_) if !self.notifications.is_waiting(call.id) => {
                    self.tasks.forget(call.thread);
                    break;
                }
                Ok(reached) => return Ok(reached),
            }
        }
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }

    fn make_room_for_listener(&mut self, cookie: u64) {
        if self.listeners.len() >= KEPT && !self.listeners.contains_key(&cookie) {
            self.listeners.retain(|_, queue| !queue.is_idle());
        }
    }

    /// There may be something to accept for calls that wait.
    fn go_on(&mut self, cookie: u64) {
        let Some(queue) = self.listeners.get_mut(&cookie) else {
            return;
        };
        let notifications = &self.notifications;
        queue
            .waiting
            .retain(|waiter| notifications.is_waiting(waiter.call.id));
        let found = queue.waiting.iter().find_map(|waiter| {
            let fd = waiter.task.descriptor(waiter.call.fd).ok()?;
            let listener = Listener::of(fd.as_fd()).ok()?;
            (listener.cookie == cookie).then_some((listener, fd))
        });
        match found {
            Some((listener, fd)) => self.serve(cookie, Some((&listener, fd.as_fd()))),
            None => self.serve(cookie, None),
        }
    }

    /// Gives the calls that wait what there is for them.
    fn serve(&mut self, cookie: u64, socket: Option<(&Listener, BorrowedFd<'_>)>) {
        let mut passed_over = false;
        loop {
            let Some(queue) = self.listeners.get_mut(&cookie) else {
                return;
            };
            let Some(waiter) = queue.waiting.front() else {
                break;
            };
            if let Some(ready) = queue.ready.pop_front() {
                self.held -= 1;
                self.deliver(cookie, ready.connection);
                continue;
            }
            let Some((listener, fd)) = socket else {
                break;
            };
            let call = waiter.call;
            let process = waiter.task.process;
            match self.take(listener, fd, &call, process, &mut passed_over) {
                Taken::Connection(connection) => self.deliver(cookie, connection),
                Taken::Nothing => break,
                Taken::Full => {
                    self.queue(cookie).full = true;
                    self.is_full = true;
                    break;
                }
                Taken::Later => {
                    self.again.push(cookie);
                    return;
                }
                Taken::Failed(errno) => {
                    self.queue(cookie).waiting.pop_front();
                    self.notifications.fail(call.id, errno);
                }
            }
        }
        self.settle(cookie, socket.map(|(_, fd)| fd), passed_over);
        self.wake(cookie);
    }

    fn queue(&mut self, cookie: u64) -> &mut Queue {
        self.listeners.entry(cookie).or_default()
    }

    /// Accepts a connection the program may have.
    fn take(
        &mut self,
        listener: &Listener,
        fd: BorrowedFd<'_>,
        call: &Call,
        process: u32,
        passed_over: &mut bool,
    ) -> Taken {
        let nonblocking = call.flags & libc::SOCK_NONBLOCK != 0;
        for _ in 0..AT_A_TIME {
            if self.held >= self.room {
                return Taken::Full;
            }
            let connection = match accept::accept(fd, listener, nonblocking, call.address != 0, &self.timer) {
                Ok(Some(connection)) => connection,
                Ok(None) => return Taken::Nothing,
                Err(error) if matches!(errno(&error), libc::EMFILE | libc::ENFILE) => {
                    // Ours, not the program's.
                    self.tasks.clear();
                    self.complain(call, &error);
                    return Taken::Full;
                }
                Err(error) => return Taken::Failed(errno(&error)),
            };
            let Some(ends) = connection.ends else {
                if is_internet(&connection.fd) {
                    // It must not pass for a connection the rules do not know.
                    *passed_over = true;
                    continue;
                }
                return Taken::Connection(connection);
            };
            if let Some(target) = self.wakes.arrived(ends) {
                *passed_over = true;
                if let Some(ready) = self.handed_to(listener.cookie, target) {
                    return Taken::Connection(ready);
                }
                continue;
            }
            self.queue(listener.cookie).address = Some(ends.1);
            match decide::at_once(&self.rules, decide::question(&connection.fd, ends, process)) {
                Ok(Answer::Granted) => return Taken::Connection(connection),
                Ok(answer) => self.turned_away(answer),
                Err(wants) => {
                    self.queue(listener.cookie).undecided += 1;
                    self.held += 1;
                    self.lookups.add(Job {
                        listener: listener.cookie,
                        connection,
                        process,
                        wants,
                    });
                }
            }
            *passed_over = true;
        }
        Taken::Later
    }

    /// A wake-up for `target` came to a listener: what is ready there is handed out here, since the kernel
    /// gives a connection to any listener of a group that shares a port.
    fn handed_to(&mut self, cookie: u64, target: u64) -> Option<Accepted> {
        let ready = std::mem::take(&mut self.listeners.get_mut(&target)?.ready);
        let queue = self.queue(cookie);
        queue.ready.extend(ready);
        let first = queue.ready.pop_front()?;
        self.held -= 1;
        Some(first.connection)
    }

    /// What the program does not get; it is closed by whoever holds it.
    fn turned_away(&mut self, answer: Answer) {
        let Answer::Twisted(process) = answer else {
            return;
        };
        // SAFETY: takes numbers only; the descriptor is new.
        let pidfd = unsafe { owned(libc::syscall(libc::SYS_pidfd_open, process, 0)) };
        if let Ok(pidfd) = pidfd {
            let token = CHILD | process as u64;
            if self.epoll.add(pidfd.as_fd(), libc::EPOLLIN, token).is_ok() {
                self.children.insert(process, pidfd);
            }
        }
    }

    /// A command that had a connection has ended.
    fn reap(&mut self, process: libc::pid_t) {
        self.children.remove(&process);
        // SAFETY: a child of ours, whose status nobody wants.
        unsafe { libc::waitpid(process, std::ptr::null_mut(), libc::WNOHANG) };
    }

    /// Hands a connection to the first call that takes it, or keeps it.
    fn deliver(&mut self, cookie: u64, connection: Accepted) {
        while let Some(waiter) = self.queue(cookie).waiting.pop_front() {
            let id = waiter.call.id;
            match self.give(&waiter, &connection) {
                Given::Done => return,
                Given::Gone => {}
                Given::Kept(errno) => {
                    self.notifications.fail(id, errno);
                    break;
                }
                Given::Lost(errno) => return self.notifications.fail(id, errno),
            }
        }
        self.keep(cookie, connection, true);
    }

    /// Keeps a connection for the next call.
    fn keep(&mut self, cookie: u64, connection: Accepted, first: bool) {
        self.held += 1;
        let ready = Ready {
            connection,
            since: Instant::now(),
        };
        let queue = self.queue(cookie);
        if first {
            queue.ready.push_front(ready);
        } else {
            queue.ready.push_back(ready);
        }
    }

    /// Hands a connection to a call: the client's address into its memory, then the descriptor.
    fn give(&self, waiter: &Waiter, connection: &Accepted) -> Given {
        let call = &waiter.call;
        if call.address != 0 {
            let mut length = [0; 4];
            if waiter.task.read(call.length, &mut length).is_err() {
                return self.lost_or_gone(call, libc::EFAULT);
            }
            let Ok(room) = usize::try_from(i32::from_ne_bytes(length)) else {
                return self.lost_or_gone(call, libc::EINVAL);
            };
            let address = connection.peer.bytes();
            let length = (address.len() as i32).to_ne_bytes();
            let part = &address[..address.len().min(room)];
            // As late as can be: a signal may have ended the call, and the memory may be put to other use.
            if !self.notifications.is_waiting(call.id) {
                return Given::Gone;
            }
            if waiter
                .task
                .write([(call.address, part), (call.length, &length)])
                .is_err()
            {
                return self.lost_or_gone(call, libc::EFAULT);
            }
        }
        let nonblocking = call.flags & libc::SOCK_NONBLOCK != 0;
        if connection.nonblocking != nonblocking {
            accept::set_nonblocking(connection.fd.as_fd(), nonblocking);
        }
        let close_on_exec = call.flags & libc::SOCK_CLOEXEC != 0;
        match self
            .notifications
            .hand_over(call.id, connection.fd.as_fd(), close_on_exec)
        {
            Ok(()) => Given::Done,
            Err(error) if is_gone(&error) => Given::Gone,
            Err(error) => Given::Kept(errno(&error)),
        }
    }

    fn lost_or_gone(&self, call: &Call, errno: i32) -> Given {
        if self.notifications.is_waiting(call.id) {
            Given::Lost(errno)
        } else {
            Given::Gone
        }
    }

    /// Ends the calls that got no connection, or lets them wait.
    fn settle(&mut self, cookie: u64, socket: Option<BorrowedFd<'_>>, passed_over: bool) {
        let Some(queue) = self.listeners.get_mut(&cookie) else {
            return;
        };
        let now = Instant::now();
        let (full, undecided) = (queue.full, queue.undecided);
        let mut must_watch = false;
        for mut waiter in std::mem::take(&mut queue.waiting) {
            let call = waiter.call;
            let stays = waiter.blocks && (queue.is_waited_on || !passed_over);
            if waiter.graced {
                queue.waiting.push_back(waiter);
                continue;
            }
            if waiter.until.is_none_or(|(time, _)| time > now) && waiter.task.has_no_descriptor_left() {
                self.notifications.fail(call.id, libc::EMFILE);
                continue;
            }
            if stays {
                must_watch |= !full;
                queue.waiting.push_back(waiter);
                continue;
            }
            // POSIX has this error for a connection that went away between poll and accept.
            let errno = if waiter.blocks {
                libc::ECONNABORTED
            } else {
                libc::EAGAIN
            };
            let held = match (full, passed_over && undecided == 1) {
                (true, _) => HELD,
                (false, true) => GRACE,
                (false, false) => {
                    self.notifications.fail(call.id, errno);
                    continue;
                }
            };
            waiter.graced = true;
            waiter.until = Some((now + held, errno));
            self.deadlines.insert((now + held, call.id, cookie));
            queue.waiting.push_back(waiter);
        }
        if must_watch
            && let Some(fd) = socket
            && let Err(error) = watch(&self.epoll, queue, fd, cookie)
        {
            // Nothing would tell us of a connection: the calls cannot wait.
            for waiter in queue.waiting.drain(..) {
                self.notifications.fail(waiter.call.id, errno(&error));
            }
        }
    }

    /// Lookups have ended.
    fn decided(&mut self) {
        let mut changed = BTreeSet::new();
        for (job, answer) in self.lookups.finished() {
            self.held -= 1;
            self.queue(job.listener).undecided -= 1;
            changed.insert(job.listener);
            match answer {
                Answer::Granted => self.keep(job.listener, job.connection, false),
                answer => self.turned_away(answer),
            }
        }
        for cookie in changed {
            self.serve(cookie, None);
            let queue = self.queue(cookie);
            if queue.undecided == 0 {
                // Nothing more to be quick about.
                for waiter in extract(&mut queue.waiting, |waiter| waiter.graced) {
                    let errno = waiter.until.map_or(libc::EAGAIN, |(_, errno)| errno);
                    self.notifications.fail(waiter.call.id, errno);
                }
            }
        }
    }

    /// There may be room again for listeners that had none.
    fn unblock(&mut self) {
        if !self.is_full || self.held >= self.room {
            return;
        }
        self.is_full = false;
        let full: Vec<u64> = self
            .listeners
            .iter()
            .filter_map(|(cookie, queue)| queue.full.then_some(*cookie))
            .collect();
        for cookie in full {
            let queue = self.queue(cookie);
            queue.full = false;
            if queue.waiting.is_empty() {
                // Who heard that there is nothing must hear that there is something, even where an earlier
                // message is still in the backlog.
                if !self.wakes.are_enough(cookie) {
                    self.connect(cookie, None);
                }
            } else {
                self.go_on(cookie);
            }
        }
    }

    /// Lets the program know of connections that are ready while it does not wait in `accept`.
    fn wake(&mut self, cookie: u64) {
        let Some(queue) = self.listeners.get(&cookie) else {
            return;
        };
        if queue.waiting.is_empty()
            && !self.wakes.is_under_way(cookie)
            && let Some(ready) = queue.ready.front()
            && let Ok(beside) = ready.connection.fd.try_clone()
        {
            self.connect(cookie, Some(beside));
        }
    }

    /// Makes a connection to the listener.
    fn connect(&mut self, cookie: u64, beside: Option<OwnedFd>) {
        let Some(address) = self.listeners.get(&cookie).and_then(|queue| queue.address) else {
            return;
        };
        let beside = beside.as_ref().map_or(self.notifications.as_fd(), OwnedFd::as_fd);
        let sent = self.wakes.send(cookie, address, beside).and_then(|socket| {
            let events = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLONESHOT;
            self.epoll.add(socket.as_fd(), events, WAKE | cookie)
        });
        if let Err(error) = sent {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                return self.nobody_listens(cookie);
            }
            let reason = hosts_access::decide::reason(&error);
            let line = format!("warning: cannot connect to {address} to wake the program: {reason}");
            self.rules.log.line(syslog::ERR, line.as_bytes());
        }
    }

    /// Something became of our own connection to a listener before it was accepted.
    fn woken(&mut self, cookie: u64) {
        if self.wakes.failed(cookie) {
            self.nobody_listens(cookie);
        } else {
            // Another program accepted it.
            self.wake(cookie);
        }
    }

    /// The listener is closed, and with it goes what waited to be accepted.
    fn nobody_listens(&mut self, cookie: u64) {
        let gone = std::mem::take(&mut self.queue(cookie).ready);
        self.held -= gone.len();
    }

    /// Ends calls whose time is over, and connections that nobody came for.
    fn expire(&mut self) {
        let now = Instant::now();
        while let Some(&(time, id, cookie)) = self.deadlines.first() {
            if time > now {
                break;
            }
            self.deadlines.pop_first();
            let Some(queue) = self.listeners.get_mut(&cookie) else {
                continue;
            };
            for waiter in extract(&mut queue.waiting, |waiter| waiter.call.id == id) {
                match waiter.until {
                    Some((until, errno)) if until <= now => self.notifications.fail(id, errno),
                    _ => queue.waiting.push_back(waiter),
                }
            }
        }
        if self.held > self.lookups.undecided() {
            let mut expired = 0;
            for queue in self.listeners.values_mut() {
                let before = queue.ready.len();
                queue
                    .ready
                    .retain(|ready| now.duration_since(ready.since) < PATIENCE);
                expired += before - queue.ready.len();
            }
            self.held -= expired;
        }
        self.unblock();
    }

    /// Says once that the guard cannot do its work.
    fn complain(&mut self, call: &Call, error: &io::Error) {
        if self.complained {
            return;
        }
        self.complained = true;
        let reason = hosts_access::decide::reason(error);
        let hint = match error.raw_os_error() {
            Some(libc::EPERM) => " (may this user trace it? see tcpwrap-run(1))",
            _ => "",
        };
        let line = format!("error: cannot accept for process {}: {reason}{hint}", call.thread);
        self.rules.log.line(syslog::ERR, line.as_bytes());
    }
}

/// Has the guard told when there is something to accept.
///
/// The socket is watched by an epoll instance of its own. That needs no descriptor of ours to stay open,
/// which would keep the port in use after the program has closed it.
fn watch(epoll: &Epoll, queue: &mut Queue, fd: BorrowedFd<'_>, cookie: u64) -> io::Result<()> {
    let once = libc::EPOLLIN | libc::EPOLLONESHOT;
    if let Some(watch) = &queue.watch {
        return epoll.change(watch.as_fd(), once, WATCH | cookie);
    }
    let watch = Epoll::new()?;
    watch.add(fd, libc::EPOLLIN, 0)?;
    epoll.add(watch.as_fd(), once, WATCH | cookie)?;
    queue.watch = Some(watch);
    Ok(())
}

/// Takes those out that fulfil the condition.
fn extract(waiting: &mut VecDeque<Waiter>, condition: impl Fn(&Waiter) -> bool) -> VecDeque<Waiter> {
    let (out, rest) = std::mem::take(waiting).into_iter().partition(condition);
    *waiting = rest;
    out
}

/// Is it a socket of a family whose connections go over the internet?
fn is_internet(fd: &OwnedFd) -> bool {
    let domain = option::<libc::c_int>(fd.as_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN);
    matches!(domain, Ok(libc::AF_INET | libc::AF_INET6 | AF_SMC) | Err(_))
}
