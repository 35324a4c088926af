//! Decisions that have to wait for somebody: names, users, commands. A bounded number of threads wait, a
//! bounded number of connections wait for a thread, and for the name of one address only one thread waits.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::accept::Accepted;
use crate::call::owned;
use crate::decide::{self, Answer, Rules, Wants};

/// How many threads wait for lookups and commands.
pub(crate) const THREADS: usize = 32;
/// A connection that is not decided yet.
#[derive(Debug)]
pub(crate) struct Job {
    /// The listener it came from.
    pub listener: u64,
    pub connection: Accepted,
    /// The process that accepted it.
    pub process: u32,
    pub wants: Wants,
}

impl Job {
    fn address(&self) -> Option<IpAddr> {
        self.connection.ends.map(|(client, _)| client.ip())
    }

    /// The address, where its name is what the connection waits for.
    fn name_of(&self) -> Option<IpAddr> {
        self.address().filter(|_| self.wants == Wants::Name)
    }
}

/// The threads, and what waits for them.
#[derive(Debug)]
pub(crate) struct Lookups {
    rules: Arc<Rules>,
    waiting: VecDeque<Job>,
    running: usize,
    threads: usize,
    /// Addresses whose name a thread is after.
    asked: HashSet<IpAddr>,
    jobs: Sender<Job>,
    source: Arc<Mutex<Receiver<Job>>>,
    results: Receiver<(Job, Answer)>,
    done: Sender<(Job, Answer)>,
    /// Readable while there are results.
    bell: Arc<File>,
}

impl Lookups {
    /// # Errors
    /// There is no descriptor or thread to be had.
    pub(crate) fn new(rules: Arc<Rules>) -> io::Result<Self> {
        let (jobs, source) = channel();
        let (done, results) = channel();
        let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
        // SAFETY: takes numbers only; the descriptor is new.
        let bell = unsafe { owned(libc::eventfd(0, flags).into()) }?;
        let mut lookups = Lookups {
            rules,
            waiting: VecDeque::new(),
            running: 0,
            threads: 0,
            asked: HashSet::new(),
            jobs,
            source: Arc::new(Mutex::new(source)),
            results,
            done,
            bell: Arc::new(File::from(bell)),
        };
        lookups.add_thread()?;
        Ok(lookups)
    }

    /// Readable when [`Lookups::finished`] has something.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
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
            let free = |job: &Job| job.name_of().is_none_or(|address| !self.asked.contains(&address));
            let Some(job) = self
                .waiting
                .iter()
                .position(free)
                .and_then(|n| self.waiting.remove(n))
            else {
                return;
            };
            if self.running == self.threads && self.add_thread().is_err() && self.threads == 0 {
                self.waiting.push_front(job);
                return;
            }
            self.asked.extend(job.name_of());
            self.running += 1;
            // A receiver lives as long as this does.
            let _ = self.jobs.send(job);
        }
    }

    fn add_thread(&mut self) -> io::Result<()> {
        let (rules, source) = (Arc::clone(&self.rules), Arc::clone(&self.source));
        let (done, bell) = (self.done.clone(), Arc::clone(&self.bell));
        let work = move || {
            loop {
                let job = source.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(job) = job else {
                    return;
                };
                let answer =
                    catch_unwind(AssertUnwindSafe(|| answer(&rules, &job))).unwrap_or(Answer::Refused);
                if done.send((job, answer)).is_err() {
                    return;
                }
                let _ = (&*bell).write(&1u64.to_ne_bytes());
            }
        };
        std::thread::Builder::new()
            .name("lookup".into())
            .stack_size(512 << 10)
            .spawn(work)?;
        self.threads += 1;
        Ok(())
    }

    /// Connections that have been decided meanwhile.
    pub(crate) fn finished(&mut self) -> Vec<(Job, Answer)> {
        let _ = (&*self.bell).read(&mut [0; 8]);
        let mut finished = Vec::new();
        while let Ok((job, answer)) = self.results.try_recv() {
            self.running -= 1;
            let address = job.name_of();
            finished.push((job, answer));
            if let Some(address) = address {
                self.asked.remove(&address);
                self.decide_waiting(address, &mut finished);
            }
        }
        self.start();
        finished
    }

    /// Decides about others from an address whose name is known now.
    fn decide_waiting(&mut self, address: IpAddr, finished: &mut Vec<(Job, Answer)>) {
        for mut job in std::mem::take(&mut self.waiting) {
            if job.name_of() == Some(address)
                && let Some(ends) = job.connection.ends
            {
                let question = decide::question(&job.connection.fd, ends, job.process);
                match decide::at_once(&self.rules, question) {
                    Ok(answer) => {
                        finished.push((job, answer));
                        continue;
                    }
                    Err(wants) => job.wants = wants,
                }
            }
            self.waiting.push_back(job);
        }
    }
}

fn answer(rules: &Rules, job: &Job) -> Answer {
    match job.connection.ends {
        Some(ends) => decide::with_lookups(rules, decide::question(&job.connection.fd, ends, job.process)),
        None => Answer::Refused,
    }
}
