//! Many questions to the name service, a few at a time and for a bounded time: for tools that look at whole tables.
//!
//! A name server that is silent holds up whoever asks it for seconds, and a table may name hosts by the thousand. So
//! questions are asked in threads, and once nothing has been answered for a while, or all of it has taken too long, no more
//! are. Whoever asks is told which questions that concerns.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::netdb::NoAnswer;

/// So many questions are asked at a time.
const AT_ONCE: usize = 16;

/// How long to wait.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// While nothing is answered at all.
    silent: Duration,
    /// Altogether.
    whole: Duration,
}

const PATIENCE: Patience = Patience {
    silent: Duration::from_secs(10),
    whole: Duration::from_secs(60),
};

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<A> {
    /// It was answered.
    Given(A),
    /// It was asked, and not answered.
    Silence,
    /// It was not asked any more.
    NotAsked,
}

/// Questions, each asked once however often it comes, and the answers there are.
pub struct Lookups<Q, A> {
    shared: Arc<Shared<Q, A>>,
    patience: Patience,
}

struct Shared<Q, A> {
    ask: fn(&Q) -> Result<A, NoAnswer>,
    state: Mutex<State<Q, A>>,
    /// There is something to ask, or nothing ever again.
    asked: Condvar,
    /// A question has been asked.
    answered: Condvar,
}

struct State<Q, A> {
    waiting: VecDeque<Q>,
    /// The questions under way and those that are done with.
    answers: HashMap<Q, Option<Answer<A>>>,
    threads: usize,
    /// How many were answered.
    given: usize,
    /// How long somebody has waited since one was, and altogether.
    silent: Duration,
    whole: Duration,
    is_over: bool,
}

impl<Q, A> Shared<Q, A> {
    fn state(&self) -> MutexGuard<'_, State<Q, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q: Hash + Eq + Clone, A> Shared<Q, A> {
    /// Asks until there is nothing left to ask, and will not be.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(question) = state.waiting.pop_front() {
                drop(state);
                state = self.ask(question);
            } else if state.is_over {
                return;
            } else {
                state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn ask(&self, question: Q) -> MutexGuard<'_, State<Q, A>> {
        let answer = (self.ask)(&question).map_or(Answer::Silence, Answer::Given);
        let mut state = self.state();
        state.given += usize::from(matches!(answer, Answer::Given(_)));
        state.answers.insert(question, Some(answer));
        self.answered.notify_all();
        state
    }
}

impl<Q, A> Lookups<Q, A>
where
    Q: Hash + Eq + Clone + Send + 'static,
    A: Clone + Send + 'static,
{
    /// `ask` asks one question, for as long as that takes.
    pub fn new(ask: fn(&Q) -> Result<A, NoAnswer>) -> Self {
        Lookups::with_patience(ask, PATIENCE)
    }

    fn with_patience(ask: fn(&Q) -> Result<A, NoAnswer>, patience: Patience) -> Self {
        Lookups {
            shared: Arc::new(Shared {
                ask,
                state: Mutex::new(State {
                    waiting: VecDeque::new(),
                    answers: HashMap::new(),
                    threads: 0,
                    given: 0,
                    silent: Duration::ZERO,
                    whole: Duration::ZERO,
                    is_over: false,
                }),
                asked: Condvar::new(),
                answered: Condvar::new(),
            }),
            patience,
        }
    }

    /// Has a question asked. Does not wait.
    pub fn ask(&self, question: &Q) {
        let mut state = self.shared.state();
        if state.answers.contains_key(question) {
            return;
        }
        let over = state.is_over.then_some(Answer::NotAsked);
        state.answers.insert(question.clone(), over);
        if state.is_over {
            return;
        }
        state.waiting.push_back(question.clone());
        if state.threads < AT_ONCE {
            let shared = Arc::clone(&self.shared);
            // With fewer threads it takes longer; with none, whoever wants the answer asks.
            let started = thread::Builder::new().spawn(move || shared.work());
            state.threads += usize::from(started.is_ok());
        }
        self.shared.asked.notify_one();
    }

    /// What became of a question, once that is known.
    pub fn answer(&self, question: &Q) -> Answer<A> {
        self.ask(question);
        let mut state = self.shared.state();
        loop {
            if let Some(Some(answer)) = state.answers.get(question) {
                return answer.clone();
            }
            let left = (self.patience.silent.saturating_sub(state.silent))
                .min(self.patience.whole.saturating_sub(state.whole));
            if left.is_zero() {
                self.stop(&mut state);
                continue;
            }
            if state.threads == 0
                && let Some(next) = state.waiting.pop_front()
            {
                drop(state);
                state = self.shared.ask(next);
                continue;
            }
            let (given, start) = (state.given, Instant::now());
            let waited = self.shared.answered.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            let time = start.elapsed();
            state.whole += time;
            state.silent = if state.given == given {
                state.silent + time
            } else {
                Duration::ZERO
            };
        }
    }

    /// How many questions were not asked any more.
    pub fn not_asked(&self) -> usize {
        let state = self.shared.state();
        let answers = state.answers.values();
        answers.filter(|a| matches!(a, Some(Answer::NotAsked))).count()
    }

    /// Asks nothing more, and waits for nothing.
    fn stop(&self, state: &mut State<Q, A>) {
        state.is_over = true;
        for question in std::mem::take(&mut state.waiting) {
            state.answers.insert(question, Some(Answer::NotAsked));
        }
        for answer in state.answers.values_mut() {
            answer.get_or_insert(Answer::Silence);
        }
        self.shared.asked.notify_all();
    }
}

impl<Q, A> Drop for Lookups<Q, A> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_over = true;
        state.waiting.clear();
        self.shared.asked.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_is_asked_once_and_few_at_a_time() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let lookups = Lookups::new(|n: &u32| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            NOW.fetch_sub(1, Ordering::SeqCst);
            if n.is_multiple_of(3) {
                Err(NoAnswer)
            } else {
                Ok(n * 2)
            }
        });
        for n in (0..1000).chain(0..1000) {
            lookups.ask(&n);
        }
        for n in (0..1000).rev() {
            let expected = if n % 3 == 0 {
                Answer::Silence
            } else {
                Answer::Given(n * 2)
            };
            assert_eq!(lookups.answer(&n), expected);
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1000);
        assert!(MOST.load(Ordering::SeqCst) <= AT_ONCE);
    }

    /// They wait for each other: one at a time would wait for ever.
    #[test]
    fn as_many_as_may_are_asked_at_a_time() {
        static THERE: std::sync::Barrier = std::sync::Barrier::new(AT_ONCE);
        let lookups = Lookups::new(|_: &usize| {
            THERE.wait();
            Ok(())
        });
        for n in 0..AT_ONCE {
            lookups.ask(&n);
        }
        assert_eq!(lookups.answer(&0), Answer::Given(()));
    }

    #[test]
    fn silence_is_not_waited_for_again_and_again() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let patience = Patience {
            silent: Duration::from_millis(100),
            whole: Duration::MAX,
        };
        let lookups = Lookups::<u32, u32>::with_patience(
            |n| {
                ASKED.fetch_add(1, Ordering::SeqCst);
                if *n == 0 {
                    return Ok(7);
                }
                loop {
                    thread::park();
                }
            },
            patience,
        );
        // Time runs while somebody waits for an answer, and threads begin when they are given a processor.
        lookups.ask(&0);
        while lookups.shared.state().given == 0 {
            thread::yield_now();
        }
        assert_eq!(lookups.answer(&0), Answer::Given(7));
        for n in 1..=1000 {
            lookups.ask(&n);
        }
        while ASKED.load(Ordering::SeqCst) < 1 + AT_ONCE {
            thread::yield_now();
        }
        assert_eq!(lookups.answer(&1), Answer::Silence);
        // Those that were asked before are answered still.
        assert_eq!(lookups.answer(&0), Answer::Given(7));
        assert_eq!(lookups.answer(&1000), Answer::NotAsked);
        assert_eq!(lookups.answer(&1001), Answer::NotAsked);
        assert_eq!(lookups.not_asked(), 1001 - AT_ONCE);
        assert_eq!(ASKED.load(Ordering::SeqCst), 1 + AT_ONCE);
    }

    /// Refusals that come at once are no answers, nor do they keep anybody waiting for ever.
    #[test]
    fn all_of_it_takes_no_longer_than_it_may() {
        let patience = Patience {
            silent: Duration::MAX,
            whole: Duration::from_millis(100),
        };
        let lookups = Lookups::<u32, ()>::with_patience(
            |_| {
                thread::sleep(Duration::from_millis(5));
                Ok(())
            },
            patience,
        );
        for n in 0..100_000 {
            lookups.ask(&n);
        }
        assert_eq!(lookups.answer(&99_999), Answer::NotAsked);
    }
}
