//! What becomes of a request: the verdict and what is run, in a form in which two outcomes are the same
//! exactly where their rules ask for the same things (hosts_options(5)).
//!
//! Values are compared as they are written, before % expansion.

use std::collections::HashMap;

use crate::document::{OptionField, Rule};
use hosts_access::decision::{Severity, TableKind, Verdict};
use hosts_access::effect::Effect;
use hosts_access::options::{self, Doubt};
use hosts_access::syntax::option::{self as syntax, Keyword, Limit, Max, Order, Source};

/// An option that does something, with its value in one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Run {
    /// The option.
    pub keyword: Keyword,
    /// Its value, not % expanded; empty where there is none.
    pub value: Vec<u8>,
}

/// What one rule does with a request that it matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// `limit` and `max`, in order: beyond one of them, the request is denied.
    pub bounds: Vec<Run>,
    /// What is run beyond them, and nothing else.
    pub beyond: Vec<Run>,
    /// What is run, in order.
    pub runs: Vec<Run>,
    /// The log level it sets.
    pub severity: Option<Severity>,
    /// The verdict, once the rule's `aclexec` commands have succeeded if it has any.
    pub verdict: Verdict,
    /// Where an `aclexec` command fails, the next step counts instead.
    pub may_fail: bool,
    /// It is not known whether the rule matches: only its bounds are asked, and within them the next step counts.
    pub is_asked_only: bool,
}

/// What becomes of a request. Every step but the last [may fail](Step::may_fail) or is [asked
/// only](Step::is_asked_only), and the next one tells what happens then. Whether a command fails, and whether
/// somebody is within bounds, is never guessed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// The steps; one at least.
    pub steps: Vec<Step>,
}

impl Step {
    /// A verdict, and nothing else.
    pub(super) fn plain(verdict: Verdict) -> Self {
        Step {
            bounds: Vec::new(),
            beyond: Vec::new(),
            runs: Vec::new(),
            severity: None,
            verdict,
            may_fail: false,
            is_asked_only: false,
        }
    }

    /// What a rule of this table does. Nothing where it is on trial, and so decides nothing.
    pub(super) fn of(rule: &Rule<'_>, options: Option<&[u8]>, table: TableKind) -> Option<Self> {
        let mut step = Step::plain(table.verdict());
        let mut has_command = false;
        // An explicit verdict that does not grant stands whether or not a command failed.
        let mut stands = false;
        let mut ban = None;
        let mut is_mistaken = false;
        let bounds_deny = options.and_then(|text| options::verdict(text, table)) == Some(Verdict::Denied);
        for option in &rule.options {
            let is_bound = |keyword: Keyword| keyword.order() == Order::Bound;
            let keyword = match (option.keyword, &option.problem) {
                (Some(keyword), None) if !(is_bound(keyword) && bounds_deny) => keyword,
                _ => {
                    (step.verdict, stands, is_mistaken) = (Verdict::Denied, true, true);
                    break;
                }
            };
            match keyword {
                Keyword::Allow => step.verdict = Verdict::Granted,
                Keyword::Deny => (step.verdict, stands) = (Verdict::Denied, true),
                Keyword::Severity => {
                    step.severity = option.value().and_then(|value| syntax::severity(value).ok());
                }
                // It is one of the rule's conditions.
                Keyword::If => {}
                Keyword::Trial => return None,
                Keyword::Limit | Keyword::Max => step.bounds.push(Run::of(keyword, option)),
                Keyword::Ban => {
                    ban = option.value().and_then(syntax::duration);
                    if step.beyond.is_empty() {
                        step.beyond.extend(ban.map(Run::ban));
                    }
                }
                Keyword::Spawn
                | Keyword::Aclexec
                | Keyword::Twist
                | Keyword::Banners
                | Keyword::Keepalive
                | Keyword::Linger
                | Keyword::Rfc931
                | Keyword::Nice
                | Keyword::Umask
                | Keyword::Setenv
                | Keyword::User
                | Keyword::Group => {
                    step.runs.push(Run::of(keyword, option));
                    has_command |= keyword == Keyword::Aclexec;
                    if keyword == Keyword::Twist {
                        (step.verdict, stands) = (Verdict::Delegated, true);
                    }
                }
            }
        }
        if let Some(seconds) = ban.filter(|_| step.verdict == Verdict::Denied && !is_mistaken) {
            step.runs.push(Run::ban(seconds));
        }
        if step.bounds.is_empty() {
            step.beyond.clear();
        }
        // Where it is all the same, they are none.
        if step.verdict == Verdict::Denied && step.runs == step.beyond && step.severity.is_none() {
            step.bounds.clear();
            step.beyond.clear();
        }
        step.may_fail = has_command && !stands;
        Some(step)
    }

    /// What becomes of a request of which it is not known whether the rule matches: of a rule that does this, in this
    /// table. Nothing where it is passed over.
    pub(super) fn in_doubt(&self, options: Option<&[u8]>, table: TableKind) -> Option<Self> {
        match options::doubt(options, table) {
            Doubt::Passes => None,
            Doubt::Denies => Some(Step::plain(Verdict::Denied)),
            Doubt::Asks => Some(Step {
                bounds: self.bounds.clone(),
                is_asked_only: true,
                ..Step::plain(Verdict::Denied)
            }),
        }
    }

    /// What becomes of who is beyond a bound, with that run.
    pub(super) fn denied(runs: Vec<Run>) -> Self {
        Step {
            runs,
            ..Step::plain(Verdict::Denied)
        }
    }

    /// Does another step count in some cases?
    pub(super) fn goes_on(&self) -> bool {
        self.may_fail || self.is_asked_only
    }
}

impl Run {
    /// Puts the client on the ban list.
    pub(super) fn ban(seconds: u64) -> Self {
        Run {
            keyword: Keyword::Ban,
            value: lasting(seconds),
        }
    }

    fn of(keyword: Keyword, option: &OptionField<'_>) -> Self {
        let value = option.value();
        let value = match (keyword, options::effect(keyword, value)) {
            (Keyword::Limit, _) => value.and_then(syntax::limit).map(limit_text).unwrap_or_default(),
            (Keyword::Max, _) => value.and_then(syntax::max).map(max_text).unwrap_or_default(),
            (_, Ok(Some(Effect::Linger(n) | Effect::IdentTimeout(n)))) => n.to_string().into_bytes(),
            (_, Ok(Some(Effect::Nice(n)))) => n.to_string().into_bytes(),
            (_, Ok(Some(Effect::Umask(mask)))) => format!("{mask:03o}").into_bytes(),
            (_, Ok(Some(Effect::Setenv { name, value }))) => [&name[..], b" ", &value].concat(),
            _ => value.unwrap_or_default().to_vec(),
        };
        Run { keyword, value }
    }
}

/// A limit in its shortest spelling.
fn limit_text(limit: Limit) -> Vec<u8> {
    const UNITS: [(&str, u64); 4] = [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];
    let unit = UNITS
        .iter()
        .find(|(_, seconds)| limit.seconds.is_multiple_of(*seconds));
    let period = match unit.map(|(unit, seconds)| (unit, limit.seconds / seconds)) {
        Some((unit, 1)) => (*unit).to_owned(),
        Some((unit, many)) => format!("{many}{unit}s"),
        None => String::new(),
    };
    let mut text = format!("{}/{period}", limit.count);
    if limit.burst != limit.count {
        text.push_str(&format!(" burst {}", limit.burst));
    }
    text.push_str(&per_text(limit.per));
    text.into_bytes()
}

fn max_text(max: Max) -> Vec<u8> {
    let per = max.per.map_or(" total".to_owned(), per_text);
    format!("{}{per}", max.count).into_bytes()
}

fn per_text(per: Source) -> String {
    let usual = Source::default();
    match (per == usual, per.v6 == usual.v6) {
        (true, _) => String::new(),
        (false, true) => format!(" per /{}", per.v4),
        (false, false) => format!(" per /{} /{}", per.v4, per.v6),
    }
}

/// A duration in its shortest spelling.
fn lasting(seconds: u64) -> Vec<u8> {
    let mut text = String::new();
    let mut rest = seconds;
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    text.into_bytes()
}

impl Outcome {
    /// The verdict, where so many commands that come first fail and some bounds are exceeded.
    fn verdict(&self, failing: usize, is_beyond: impl Fn(&Run) -> bool) -> Verdict {
        let mut failing = failing;
        for step in &self.steps {
            if step.bounds.iter().any(&is_beyond) {
                return Verdict::Denied;
            }
            match step {
                step if step.is_asked_only => {}
                step if step.may_fail && failing > 0 => failing -= 1,
                step => return step.verdict,
            }
        }
        Verdict::Denied
    }

    /// May this let in a request that the other does not, whatever commands say and whatever bounds are exceeded?
    pub(crate) fn may_let_in_more_than(&self, other: &Outcome) -> bool {
        const MOST: usize = 10;
        let rank = |verdict: Verdict| match verdict {
            Verdict::Denied => 0,
            Verdict::Delegated => 1,
            Verdict::Granted => 2,
        };
        let steps = self.steps.iter().chain(&other.steps);
        let mut bounds: Vec<&Run> = steps.flat_map(|step| &step.bounds).collect();
        bounds.sort_by(|a, b| (a.keyword as u8, &a.value).cmp(&(b.keyword as u8, &b.value)));
        bounds.dedup();
        if bounds.len() > MOST {
            return true;
        }
        (0..1usize << bounds.len()).any(|exceeded| {
            let is_beyond = |bound: &Run| {
                let at = bounds.iter().position(|one| *one == bound);
                at.is_some_and(|at| exceeded >> at & 1 == 1)
            };
            (0..self.steps.len().max(other.steps.len())).any(|failing| {
                rank(self.verdict(failing, is_beyond)) > rank(other.verdict(failing, is_beyond))
            })
        })
    }

    /// Is this so of the verdict in which it ends, whatever commands say and whatever bounds are exceeded?
    pub(crate) fn is_always(&self, how: impl Fn(Verdict) -> bool) -> bool {
        !self.may_end(|verdict| !how(verdict))
    }

    /// May it end in a verdict of which this is so?
    pub fn may_end(&self, how: impl Fn(Verdict) -> bool) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| how(step.verdict) || !step.bounds.is_empty() && how(Verdict::Denied))
    }
}

/// Outcomes by number, each once.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    steps: Vec<Step>,
    step_numbers: HashMap<Step, u32>,
    chains: Vec<Vec<u32>>,
    chain_numbers: HashMap<Vec<u32>, u32>,
    /// Steps that do the same are told apart.
    are_apart: bool,
}

impl Outcomes {
    /// The number of a step.
    pub(super) fn step(&mut self, step: Step) -> u32 {
        let next = self.steps.len() as u32;
        *self.step_numbers.entry(step).or_insert_with_key(|step| {
            self.steps.push(step.clone());
            next
        })
    }

    /// The same step once more, under a number of its own.
    pub(super) fn own(&mut self, step: u32) -> u32 {
        self.are_apart = true;
        self.steps.push(self.steps[step as usize].clone());
        self.steps.len() as u32 - 1
    }

    /// The same of a step that is known elsewhere.
    pub(super) fn own_of(&mut self, other: &Outcomes, step: u32) -> u32 {
        self.are_apart = true;
        self.steps.push(other.steps[step as usize].clone());
        self.steps.len() as u32 - 1
    }

    /// The first step of an outcome that may let in, where there is one.
    pub(super) fn granting(&self, outcome: u32) -> Option<u32> {
        let mut steps = self.chains[outcome as usize].iter().copied();
        steps.find(|step| self.steps[*step as usize].verdict != Verdict::Denied)
    }

    /// The steps of an outcome.
    pub(super) fn steps_of(&self, outcome: u32) -> &[u32] {
        &self.chains[outcome as usize]
    }

    /// May one of this step's commands fail?
    pub(super) fn may_fail(&self, step: u32) -> bool {
        self.steps[step as usize].may_fail
    }

    /// Does another step count in some cases?
    pub(super) fn goes_on(&self, step: u32) -> bool {
        self.steps[step as usize].goes_on()
    }

    /// The number of the outcome that is this step and, should it fail, that outcome.
    pub(super) fn chain(&mut self, step: u32, otherwise: Option<u32>) -> u32 {
        if let Some(otherwise) = otherwise
            && let [last] = self.chains[otherwise as usize][..]
            && self.steps[step as usize].is_asked_only
            && self.steps[last as usize] == Step::plain(Verdict::Denied)
            && !self.are_apart
        {
            // Denied one way or the other.
            return otherwise;
        }
        let mut chain = vec![step];
        if let Some(otherwise) = otherwise {
            chain.extend_from_slice(&self.chains[otherwise as usize]);
        }
        let next = self.chains.len() as u32;
        *self.chain_numbers.entry(chain).or_insert_with_key(|chain| {
            self.chains.push(chain.clone());
            next
        })
    }

    /// The number of the outcome that is this verdict and nothing else.
    pub(super) fn plain(&mut self, verdict: Verdict) -> u32 {
        let step = self.step(Step::plain(verdict));
        self.chain(step, None)
    }

    /// The outcome with this number.
    pub(super) fn get(&self, number: u32) -> Outcome {
        let steps = self.chains[number as usize].iter();
        Outcome {
            steps: steps.map(|step| self.steps[*step as usize].clone()).collect(),
        }
    }
}
