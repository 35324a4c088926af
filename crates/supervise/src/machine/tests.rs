//! The machine under a kernel, a program and clients that are made up: races that were found once, one by one, and
//! schedules at random.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;
use crate::room::{Permit, Room};

/// What the rules come to say of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Granted,
    Refused,
    LateGranted,
    LateRefused,
}

use Answer::{Granted, LateGranted, LateRefused, Refused};

/// What lies in a backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Client(u64, Answer),
    WakeUp,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Client(u64),
    Error(i32),
    /// A signal ended it.
    Interrupted,
}

type Connection = (u64, Option<Box<Permit>>);

/// One listener and all around it. What happens in between is chosen by `chance`, where there is one.
struct World {
    machine: Machine<(), Connection>,
    timers: Timers,
    room: Room,
    now: Instant,
    backlog: VecDeque<Head>,
    /// Lookups under way.
    late: Vec<(u64, Answer, Box<Permit>)>,
    /// Wake-ups that have not arrived anywhere.
    wakes: usize,
    blocks: bool,
    timeout: Option<Duration>,
    /// Threads that wait in a call.
    calls: BTreeMap<u64, u64>,
    ends: BTreeMap<u64, End>,
    later: bool,
    last: u64,
    chance: Option<fastrand::Rng>,
    parted: bool,
    /// Something has come to the backlog, or the program was told to look, since its last call. One that hears of edges waits
    /// for that where its last call came to nothing.
    is_told: bool,
    has_nothing: bool,
}

impl World {
    fn new(blocks: bool) -> Self {
        let timers = Timers::default();
        World {
            machine: Machine::new(1, timers.clone()),
            timers,
            room: Room::new(8),
            now: Instant::now(),
            backlog: VecDeque::new(),
            late: Vec::new(),
            wakes: 0,
            blocks,
            timeout: None,
            calls: BTreeMap::new(),
            ends: BTreeMap::new(),
            later: false,
            last: 0,
            chance: None,
            parted: false,
            is_told: false,
            has_nothing: false,
        }
    }

    /// Does the unusual happen this time?
    fn unusual(&mut self, one_in: u32) -> bool {
        self.chance
            .as_mut()
            .is_some_and(|chance| chance.u32(..one_in) == 0)
    }

    fn client(&mut self, answer: Answer) -> u64 {
        self.last += 1;
        self.backlog.push_back(Head::Client(self.last, answer));
        self.is_told = true;
        self.last
    }

    fn drive(&mut self, event: Event<(), Connection>) {
        self.parted = false;
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for action in self.machine.on(event, self.wakes, self.now) {
                let outcome = self.perform(action);
                assert!(outcome.is_none() || next.is_none(), "one thing at a time");
                next = outcome.or(next);
            }
        }
        // Whatever happens, nobody waits for what is there.
        assert!(self.machine.ready.is_empty() || self.machine.waiting.is_empty());
        assert!(self.machine.new_calls().next().is_none() || self.later);
        // Nor does the program wait to be told of it, unless it cannot be told.
        let is_deaf = self.has_nothing && !self.is_told && self.calls.is_empty();
        assert!(!is_deaf || !self.machine.is_unheard() || self.machine.astray >= ASTRAY);
        let timed: BTreeSet<u64> = self
            .machine
            .waiting()
            .filter(|w| w.end().is_some())
            .map(|w| w.id)
            .collect();
        let set = self.timers.due(self.now + Duration::from_secs(1 << 20));
        assert_eq!(
            timed,
            set.iter().map(|(id, _)| *id).collect(),
            "a time for each call that has one"
        );
    }

    fn perform(&mut self, action: Action<(), Connection>) -> Option<Event<(), Connection>> {
        match action {
            Action::Accept => {
                assert!(!self.parted);
                Some(Event::Found(self.accept()))
            }
            Action::Deliver(waiter, connection) => {
                let given = self.give(waiter.id, connection);
                Some(Event::Delivered(waiter.id, given))
            }
            Action::Look => Some(Event::Seen(Facts {
                blocks: self.blocks,
                timeout: self.timeout,
                exhausted: Vec::new(),
                is_held: self
                    .machine
                    .held_calls()
                    .any(|waiter| self.calls.contains_key(&waiter.id)),
            })),
            Action::Watch => None,
            Action::Later => {
                self.later = true;
                None
            }
            Action::Part => {
                self.parted = true;
                None
            }
            Action::Fail(id, errno) => {
                self.end(id, End::Error(errno));
                None
            }
            Action::Wake => {
                self.wakes += 1;
                self.backlog.push_back(Head::WakeUp);
                self.is_told = true;
                None
            }
            Action::Nudge => {
                self.is_told |= !self.backlog.is_empty();
                None
            }
            Action::GiveUp => None,
        }
    }

    fn accept(&mut self) -> Found<Connection> {
        if !self.room.is_open_to(1) {
            return if self.backlog.is_empty() {
                Found::Nothing
            } else {
                Found::Full
            };
        }
        match self.backlog.pop_front() {
            None => Found::Nothing,
            Some(Head::WakeUp) => {
                self.wakes -= 1;
                Found::WakeUp
            }
            Some(Head::Client(client, Granted)) => {
                let permit = self.machine.drains().then(|| self.room.take(1, None));
                Found::Granted((client, permit))
            }
            Some(Head::Client(_, Refused)) => Found::Refused,
            Some(Head::Client(client, answer)) => {
                let permit = self.room.take(1, None);
                self.late.push((client, answer, permit));
                Found::Undecided
            }
        }
    }

    fn give(&mut self, id: u64, (client, permit): Connection) -> Given<Connection> {
        let keep = |world: &World| (client, permit.or_else(|| Some(world.room.take(1, None))));
        if self.unusual(8) {
            self.interrupt(id);
        }
        if !self.calls.contains_key(&id) {
            return Given::Gone(keep(self));
        }
        if self.unusual(8) {
            return Given::Kept(keep(self), libc::EMFILE);
        }
        self.end(id, End::Client(client));
        Given::Done
    }

    /// Ends a call, which must happen once; one that was interrupted does not hear of it.
    fn end(&mut self, id: u64, end: End) {
        match self.calls.remove(&id) {
            Some(_) => {
                self.has_nothing = end == End::Error(libc::EAGAIN);
                assert_eq!(self.ends.insert(id, end), None);
            }
            None => assert_eq!(self.ends.get(&id), Some(&End::Interrupted), "{end:?}"),
        }
    }

    fn interrupt(&mut self, id: u64) {
        if self.calls.remove(&id).is_some() {
            self.has_nothing = false;
            self.ends.insert(id, End::Interrupted);
        }
    }

    /// A call by a thread; what it has come to, if it has ended.
    fn call(&mut self, thread: u64) -> (u64, Option<End>) {
        self.last += 1;
        let id = self.last;
        self.calls.insert(id, thread);
        self.is_told = false;
        let thread = thread as u32;
        self.drive(Event::Called {
            id,
            thread,
            caller: (),
        });
        (id, self.ends.get(&id).copied())
    }

    /// A lookup has ended.
    fn decide(&mut self, at: usize) {
        let (client, answer, permit) = self.late.remove(at);
        let granted = (answer == LateGranted).then_some((client, Some(permit)));
        self.drive(Event::Decided(1, granted.into_iter().collect()));
        self.make_room();
    }

    /// As the guard does when a place has become free.
    fn make_room(&mut self) {
        if self.machine.is_full() && self.room.is_open_to(1) {
            let calls = self.calls.clone();
            self.machine
                .forget(|waiter| !calls.contains_key(&waiter.id), self.now);
            let source = self.machine.waiting().next().is_some();
            self.drive(Event::Room { source });
        }
    }

    fn readable(&mut self) {
        if self
            .machine
            .waiting()
            .any(|waiter| self.calls.contains_key(&waiter.id))
        {
            self.later = false;
            self.drive(Event::Readable { source: true });
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for (id, _) in self.timers.due(self.now) {
            self.drive(Event::Due(id));
        }
    }
}

/// A program that never had to wait asks `poll`, so its call ends when the client is refused.
#[test]
fn a_poll_loop_whose_client_is_refused() {
    let mut world = World::new(true);
    world.client(Refused);
    assert_eq!(world.call(1).1, Some(End::Error(libc::ECONNABORTED)));
}

/// One that has found nothing before means to wait, and hears of no client that is refused.
#[test]
fn a_program_that_waits_hears_of_no_refused_client() {
    let mut world = World::new(true);
    let (id, end) = world.call(1);
    assert_eq!(end, None);
    world.client(Refused);
    world.readable();
    assert_eq!(world.ends.get(&id), None);
    let client = world.client(Granted);
    world.readable();
    assert_eq!(world.ends[&id], End::Client(client));
}

/// Two calls at once are those of a program that waits.
#[test]
fn a_second_call_shows_that_the_first_one_waits() {
    let mut world = World::new(true);
    world.client(LateRefused);
    let (first, end) = world.call(1);
    assert_eq!(end, None);
    let (second, end) = world.call(2);
    assert_eq!(end, None);
    world.decide(0);
    assert_eq!((world.ends.get(&first), world.ends.get(&second)), (None, None));
}

/// A signal ends a call that is held, and the call begins anew: that is no second one.
#[test]
fn a_call_that_begins_anew_is_no_second_one() {
    let mut world = World::new(true);
    world.client(LateRefused);
    let (first, _) = world.call(1);
    world.interrupt(first);
    let (again, end) = world.call(1);
    assert_eq!(end, None);
    world.decide(0);
    assert_eq!(world.ends[&again], End::Error(libc::ECONNABORTED));
}

/// Calls of a program of either kind are held for half a minute in all, signals or not.
#[test]
fn patience_ends_once() {
    let mut world = World::new(true);
    world.client(LateGranted);
    let mut id = world.call(1).0;
    for _ in 0..29 {
        world.pass(Duration::from_secs(1));
        world.interrupt(id);
        id = world.call(1).0;
    }
    assert_eq!(world.ends.get(&id), None);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.ends[&id], End::Error(libc::ECONNABORTED));
    world.client(LateGranted);
    assert_eq!(world.call(1).1, Some(End::Error(libc::ECONNABORTED)));
}

/// The listener's receive timeout is how long a call waits, and what is kept for it goes with it.
#[test]
fn a_receive_timeout() {
    let mut world = World::new(true);
    world.timeout = Some(Duration::from_secs(3600));
    let (id, end) = world.call(1);
    assert_eq!(end, None);
    let client = world.client(Granted);
    world.readable();
    assert_eq!(world.ends[&id], End::Client(client));
    assert_eq!(world.timers.next(), None);
    let (id, _) = world.call(1);
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.ends[&id], End::Error(libc::EAGAIN));
}

/// A client whose name came late is announced, and the announcement goes with it.
#[test]
fn a_wake_up_goes_with_the_last_client_it_spoke_of() {
    let mut world = World::new(false);
    let clients = [world.client(LateGranted), world.client(LateGranted)];
    assert_eq!(world.call(1).1, Some(End::Error(libc::EAGAIN)));
    world.decide(0);
    world.decide(0);
    assert_eq!(world.backlog, [Head::WakeUp], "one for both");
    for client in clients {
        assert_eq!(world.call(1).1, Some(End::Client(client)));
    }
    assert_eq!((world.backlog.len(), world.wakes), (0, 0));
    assert_eq!(world.room.held(), 0);
}

/// Behind the announcement lies a client that is granted at once: it is kept for the next call.
#[test]
fn a_client_that_is_found_with_the_wake_up() {
    let mut world = World::new(false);
    let late = world.client(LateGranted);
    let (id, _) = world.call(1);
    world.pass(GRACE);
    assert_eq!(world.ends[&id], End::Error(libc::EAGAIN));
    let next = world.client(Granted);
    world.decide(0);
    assert_eq!(world.call(1).1, Some(End::Client(late)));
    assert_eq!(world.call(1).1, Some(End::Client(next)));
    assert_eq!(world.call(1).1, Some(End::Error(libc::EAGAIN)));
}

/// The program has heard of a wake-up that lies in the backlog still, behind clients that there was no room for, when others
/// are ready.
#[test]
fn a_wake_up_that_was_heard_of_and_is_not_found() {
    let mut world = World::new(false);
    let clients: Vec<u64> = (0..8).map(|_| world.client(LateGranted)).collect();
    let (id, _) = world.call(1);
    world.pass(HELD);
    assert_eq!(world.ends[&id], End::Error(libc::EAGAIN), "there is no room");
    world.decide(0);
    assert_eq!(world.backlog.back(), Some(&Head::WakeUp));
    assert_eq!(world.call(1).1, Some(End::Client(clients[0])));
    world.make_room();
    let (id, _) = world.call(1);
    world.pass(HELD);
    assert_eq!(world.ends[&id], End::Error(libc::EAGAIN), "there is none again");
    assert_eq!((world.backlog.len(), world.is_told), (2, false));
    world.decide(0);
    assert!(world.is_told);
    assert_eq!(world.call(1).1, Some(End::Client(clients[1])));
}

/// A wake-up that went to another listener of the port is made again, but not for ever: the listener may be closed.
#[test]
fn wake_ups_that_go_astray() {
    let mut world = World::new(false);
    world.client(LateGranted);
    let _ = world.call(1);
    world.pass(GRACE);
    world.decide(0);
    let mut made = 0;
    for _ in 0..2 * ASTRAY {
        if world.backlog.pop_front().is_some() {
            world.wakes -= 1;
            made += 1;
            world.drive(Event::Astray);
        }
    }
    assert_eq!(made, ASTRAY);
    world.drive(Event::Tick);
    assert_eq!(world.backlog, [Head::WakeUp], "again after a while");
    world.now += KEPT;
    world.drive(Event::Tick);
    assert_eq!(world.room.held(), 0, "nobody came for it");
}

/// A packet filter rejects the wake-up: the client waits for the next call.
#[test]
fn a_wake_up_that_is_rejected() {
    let mut world = World::new(false);
    let client = world.client(LateGranted);
    let _ = world.call(1);
    world.pass(GRACE);
    world.decide(0);
    (world.backlog, world.wakes) = (VecDeque::new(), 0);
    world.drive(Event::Unreachable);
    assert!(world.backlog.is_empty());
    assert_eq!(world.call(1).1, Some(End::Client(client)));
}

/// The program has no descriptor left: it hears so, is woken again, and gets the client later.
#[test]
fn a_client_that_could_not_be_handed_over() {
    let mut world = World::new(false);
    let connection = (7, Some(world.room.take(1, None)));
    world.machine.waiting.push_back(Box::new(Waiter {
        id: 9,
        thread: 1,
        caller: (),
        state: State::New,
        limit: None,
        timer: None,
        was_held: false,
    }));
    world.calls.insert(9, 1);
    let _ = world.machine.next(world.now);
    world.drive(Event::Delivered(9, Given::Kept(connection, libc::EMFILE)));
    assert_eq!(world.ends[&9], End::Error(libc::EMFILE));
    assert_eq!(world.backlog, [Head::WakeUp]);
    assert_eq!(world.call(1).1, Some(End::Client(7)));
}

/// A call does not wait in a process that has no descriptor left; one that has ended, or waits for a lookup, is not
/// concerned.
#[test]
fn a_call_that_waits_without_a_descriptor_left() {
    let mut world = World::new(true);
    let (id, end) = world.call(1);
    assert_eq!(end, None);
    let (other, _) = world.call(2);
    world.drive(Event::Exhausted(id));
    assert_eq!(world.ends[&id], End::Error(libc::EMFILE));
    world.drive(Event::Exhausted(id));
    let client = world.client(Granted);
    world.readable();
    assert_eq!(world.ends[&other], End::Client(client));
    let mut world = World::new(true);
    world.client(LateGranted);
    let (held, _) = world.call(1);
    world.drive(Event::Exhausted(held));
    assert_eq!(world.ends.get(&held), None);
}

/// Others have their turn after so many refused clients, and the call goes on after them.
#[test]
fn many_refused_clients_at_once() {
    let mut world = World::new(true);
    let (id, _) = world.call(1);
    for _ in 0..=AT_A_TIME {
        world.client(Refused);
    }
    let client = world.client(Granted);
    world.readable();
    assert!(world.later && !world.ends.contains_key(&id));
    world.readable();
    assert_eq!(world.ends[&id], End::Client(client));
}

/// The socket is another one's by the time the guard goes on: the call ends.
#[test]
fn a_listener_that_is_gone_when_others_had_their_turn() {
    let mut world = World::new(true);
    for _ in 0..AT_A_TIME {
        world.client(Refused);
    }
    let (id, end) = world.call(1);
    assert!(world.later && end.is_none());
    world.later = false;
    world.drive(Event::Readable { source: false });
    assert_eq!(world.ends[&id], End::Error(libc::EBADF));
}

/// Any schedule: no granted client is lost or handed over twice, no refused one is handed over, each call ends once,
/// and all room is returned.
#[test]
fn schedules_at_random() {
    for seed in 0..3000 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut world = World::new(chance.bool());
        world.timeout = (chance.u8(..4) == 0).then_some(Duration::from_secs(5));
        world.chance = Some(chance.fork());
        let mut clients = BTreeMap::new();
        for _ in 0..chance.usize(10..120) {
            match chance.u8(..9) {
                0 | 1 => {
                    let answer = [Granted, Refused, LateGranted, LateRefused][chance.usize(..4)];
                    clients.insert(world.client(answer), answer);
                    if chance.bool() {
                        world.readable();
                    }
                }
                2 | 3 => {
                    let thread = chance.u64(1..5);
                    if !world.calls.values().any(|busy| *busy == thread) {
                        let _ = world.call(thread);
                    }
                }
                4 if !world.late.is_empty() => {
                    let at = chance.usize(..world.late.len());
                    world.decide(at);
                }
                5 => {
                    let ids: Vec<u64> = world.calls.keys().copied().collect();
                    if let Some(id) = chance.choice(ids) {
                        world.interrupt(id);
                    }
                }
                6 => world.pass(Duration::from_millis(chance.u64(1..3000))),
                8 => {
                    let ids: Vec<u64> = world.machine.blocked().map(|(id, _)| id).collect();
                    if let Some(id) = chance.choice(ids) {
                        world.drive(Event::Exhausted(id));
                    }
                }
                7 => match world.backlog.iter().position(|head| *head == Head::WakeUp) {
                    // To another listener of the port, or into nothing.
                    Some(at) => {
                        world.backlog.remove(at);
                        world.wakes -= 1;
                        world.drive(if chance.bool() {
                            Event::Astray
                        } else {
                            Event::Unreachable
                        });
                    }
                    None => world.readable(),
                },
                _ => {}
            }
        }
        // All lookups end, and the program calls as long as it has reason to: it is told of each client.
        world.chance = None;
        while !world.late.is_empty() {
            world.decide(0);
        }
        let ids: Vec<u64> = world.calls.keys().copied().collect();
        for id in ids {
            world.interrupt(id);
        }
        world.drive(Event::Tick);
        let mut calls = 0;
        while !world.backlog.is_empty() || !world.late.is_empty() {
            let (id, end) = world.call(99);
            while !world.late.is_empty() {
                world.decide(0);
            }
            if end.is_none() {
                world.readable();
                world.interrupt(id);
                world.drive(Event::Tick);
            }
            calls += 1;
            assert!(
                calls < 1000,
                "seed {seed}: it is told of nothing, again and again"
            );
        }
        let mut served: Vec<u64> = world
            .ends
            .values()
            .filter_map(|end| match end {
                End::Client(client) => Some(*client),
                _ => None,
            })
            .collect();
        served.sort_unstable();
        let granted: Vec<u64> = clients
            .iter()
            .filter(|(_, answer)| matches!(answer, Granted | LateGranted))
            .map(|(client, _)| *client)
            .collect();
        assert_eq!(served, granted, "seed {seed}");
        assert_eq!(world.room.held(), 0, "seed {seed}");
    }
}
