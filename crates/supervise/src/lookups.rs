//! Decisions that have to wait for somebody: names, users, commands. A bounded number of threads wait, a
//! bounded number of connections wait for a thread, and for the name of one address only one thread waits.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::accept::Accepted;
use crate::bell::Bell;
use crate::decide::{Answer, Question, Rules, Undecided, Wants};
use crate::pool::Pool;
use crate::room::{Permit, masked};

/// How many threads wait for lookups and commands.
pub(crate) const THREADS: usize = 32;
/// How many of them wait for one client, and for one network: the others are for others.
const OF_CLIENT: usize = THREADS / 4;
const OF_NETWORK: usize = THREADS / 2;

/// A connection that is not decided yet.
#[derive(Debug)]
pub(crate) struct Job {
    /// The listener it came from.
    pub listener: u64,
    pub connection: Box<Accepted>,
    pub permit: Box<Permit>,
    /// The process that accepted it.
    pub process: u32,
    pub wants: Wants,
    /// The decision, until it is made.
    pub undecided: Option<Box<Undecided>>,
}

impl Job {
    /// The client's.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.connection.client.map(|client| client.ip())
    }

    /// What is asked, and what is known of it already.
    fn question(&mut self) -> Option<(Question<'_>, Box<Undecided>)> {
        let question = Question {
            connection: &self.connection,
            client: self.connection.client?,
            process: self.process,
        };
        Some((question, self.undecided.take()?))
    }

    /// Whom a thread waits for, and how many at most may wait for the same.
    fn holders(&self) -> impl Iterator<Item = ((bool, IpAddr), usize)> + use<> {
        let holders = |ip| {
            [
                ((true, masked(ip, 32, 64)), OF_CLIENT),
                ((false, masked(ip, 24, 48)), OF_NETWORK),
            ]
        };
        self.address().map(holders).into_iter().flatten()
    }

    /// What it waits for that others wait for too, so that one thread finds it out for all.
    fn shares(&self) -> Option<Shared> {
        match self.wants {
            Wants::Rules => Some(Shared::Rules),
            Wants::Name => self.address().map(Shared::Name),
            Wants::More => None,
        }
    }
}

/// What several connections may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shared {
    Rules,
    Name(IpAddr),
}

/// The threads, and what waits for them.
#[derive(Debug)]
pub(crate) struct Lookups {
    rules: Arc<Rules>,
    waiting: VecDeque<Job>,
    running: usize,
    pool: Pool,
    /// What threads are after.
    asked: HashSet<Shared>,
    /// How many threads wait for each client, and each network.
    busy: HashMap<(bool, IpAddr), usize>,
    results: Receiver<(Job, Answer)>,
    done: Sender<(Job, Answer)>,
    bell: Bell,
}

impl Lookups {
    /// # Errors
    /// There is no descriptor or thread to be had.
    pub(crate) fn new(rules: Arc<Rules>, bell: Bell) -> io::Result<Self> {
        let (done, results) = channel();
        Ok(Lookups {
            rules,
            waiting: VecDeque::new(),
            running: 0,
            pool: Pool::new("lookup", 512 << 10, THREADS)?,
            asked: HashSet::new(),
            busy: HashMap::new(),
            results,
            done,
            bell,
        })
    }

    /// How many connections are undecided.
    pub(crate) fn undecided(&self) -> usize {
        self.waiting.len() + self.running
    }

    /// Takes on a connection.
    pub(crate) fn add(&mut self, job: Job) {
        self.waiting.push_back(job);
        self.start();
    }

    /// Gives threads work, as far as there are threads.
    fn start(&mut self) {
        while self.running < THREADS {
            let has_share = |(holder, most)| self.busy.get(&holder).is_none_or(|busy| *busy < most);
            let free = |job: &Job| {
                job.shares().is_none_or(|shared| !self.asked.contains(&shared))
                    && job.holders().all(has_share)
            };
            let Some(job) = self
                .waiting
                .iter()
                .position(free)
                .and_then(|n| self.waiting.remove(n))
            else {
                return;
            };
            self.asked.extend(job.shares());
            for (holder, _) in job.holders() {
                *self.busy.entry(holder).or_default() += 1;
            }
            self.running += 1;
            let (rules, done, bell) = (Arc::clone(&self.rules), self.done.clone(), self.bell.clone());
            self.pool.add(move || {
                let mut job = job;
                let answer =
                    catch_unwind(AssertUnwindSafe(|| answer(&rules, &mut job))).unwrap_or(Answer::Refused);
                // Nobody hears of it when the guard ends.
                let _ = done.send((job, answer));
                bell.ring();
            });
        }
    }

    /// Connections that have been decided meanwhile.
    pub(crate) fn finished(&mut self) -> Vec<(Job, Answer)> {
        let mut finished = Vec::new();
        while let Ok((job, answer)) = self.results.try_recv() {
            self.running -= 1;
            for (holder, _) in job.holders() {
                if let Some(busy) = self.busy.get_mut(&holder) {
                    *busy -= 1;
                    if *busy == 0 {
                        self.busy.remove(&holder);
                    }
                }
            }
            let shared = job.shares();
            finished.push((job, answer));
            if let Some(shared) = shared {
                self.asked.remove(&shared);
                self.decide_waiting(shared, &mut finished);
            }
        }
        self.start();
        finished
    }

    /// Decides about others that wait for what is known now.
    fn decide_waiting(&mut self, shared: Shared, finished: &mut Vec<(Job, Answer)>) {
        for mut job in std::mem::take(&mut self.waiting) {
            if job.shares() == Some(shared)
                && let Some((question, undecided)) = job.question()
            {
                match undecided.retry(&self.rules, question) {
                    Ok(answer) => {
                        finished.push((job, answer));
                        continue;
                    }
                    Err(undecided) => {
                        job.wants = undecided.wants;
                        job.undecided = Some(undecided);
                    }
                }
            }
            self.waiting.push_back(job);
        }
    }
}

fn answer(rules: &Rules, job: &mut Job) -> Answer {
    match job.question() {
        Some((question, undecided)) => undecided.finish(rules, question),
        None => Answer::Refused,
    }
}
