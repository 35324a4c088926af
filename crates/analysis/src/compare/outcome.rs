//! What becomes of a request: the verdict and what is run, in a form in which two outcomes are the same
//! exactly where their rules ask for the same things (hosts_options(5)).
//!
//! Values are compared as they are written, before % expansion.

use std::collections::HashMap;

use crate::document::{OptionField, Rule};
use hosts_access::decision::{Severity, TableKind, Verdict};
use hosts_access::effect::Effect;
use hosts_access::options;
use hosts_access::syntax::option::{self as syntax, Keyword};

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
    /// What is run, in order.
    pub runs: Vec<Run>,
    /// The log level it sets.
    pub severity: Option<Severity>,
    /// The verdict, once the rule's `aclexec` commands have succeeded if it has any.
    pub verdict: Verdict,
    /// Where an `aclexec` command fails, the next step counts instead.
    pub may_fail: bool,
}

/// What becomes of a request. Every step but the last [may fail](Step::may_fail), and the next one tells
/// what happens then. Whether a command fails is never guessed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// The steps; one at least.
    pub steps: Vec<Step>,
}

impl Step {
    /// A verdict, and nothing else.
    pub(super) fn plain(verdict: Verdict) -> Self {
        Step {
            runs: Vec::new(),
            severity: None,
            verdict,
            may_fail: false,
        }
    }

    /// What a rule of this table does.
    pub(super) fn of(rule: &Rule<'_>, table: TableKind) -> Self {
        let mut step = Step::plain(match table {
            TableKind::Allow => Verdict::Granted,
            TableKind::Deny => Verdict::Denied,
        });
        let mut has_command = false;
        // An explicit verdict that does not grant stands whether or not a command failed.
        let mut stands = false;
        for option in &rule.options {
            let keyword = match (option.keyword, &option.problem) {
                (Some(keyword), None) => keyword,
                _ => {
                    (step.verdict, stands) = (Verdict::Denied, true);
                    break;
                }
            };
            match keyword {
                Keyword::Allow => step.verdict = Verdict::Granted,
                Keyword::Deny => (step.verdict, stands) = (Verdict::Denied, true),
                Keyword::Severity => {
                    step.severity = option.value().and_then(|value| syntax::severity(value).ok());
                }
                _ => {
                    step.runs.push(Run::of(keyword, option));
                    has_command |= keyword == Keyword::Aclexec;
                    if keyword == Keyword::Twist {
                        (step.verdict, stands) = (Verdict::Delegated, true);
                    }
                }
            }
        }
        step.may_fail = has_command && !stands;
        step
    }
}

impl Run {
    fn of(keyword: Keyword, option: &OptionField<'_>) -> Self {
        let value = option.value();
        let value = match options::effect(keyword, value) {
            Ok(Some(Effect::Linger(n) | Effect::IdentTimeout(n))) => n.to_string().into_bytes(),
            Ok(Some(Effect::Nice(n))) => n.to_string().into_bytes(),
            Ok(Some(Effect::Umask(mask))) => format!("{mask:03o}").into_bytes(),
            Ok(Some(Effect::Setenv { name, value })) => [&name[..], b" ", &value].concat(),
            _ => value.unwrap_or_default().to_vec(),
        };
        Run { keyword, value }
    }
}

/// Outcomes by number, each once.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    steps: Vec<Step>,
    step_numbers: HashMap<Step, u32>,
    chains: Vec<Vec<u32>>,
    chain_numbers: HashMap<Vec<u32>, u32>,
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
        self.steps.push(self.steps[step as usize].clone());
        self.steps.len() as u32 - 1
    }

    /// The steps of an outcome.
    pub(super) fn steps_of(&self, outcome: u32) -> &[u32] {
        &self.chains[outcome as usize]
    }

    /// May one of this step's commands fail?
    pub(super) fn may_fail(&self, step: u32) -> bool {
        self.steps[step as usize].may_fail
    }

    /// The number of the outcome that is this step and, should it fail, that outcome.
    pub(super) fn chain(&mut self, step: u32, otherwise: Option<u32>) -> u32 {
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
