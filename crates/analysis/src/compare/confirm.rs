//! Deciding a request under both policies, to see that a computed difference is one.

use std::path::Path;
use std::sync::Arc;

use super::Incomparable;
use super::facts::Answers;
use super::outcome::{Outcome, Run, Step};
use crate::document::Documents;
use crate::document::{Content, content};
use hosts_access::decision::{Decision, Reason, TableKind, Verdict};
use hosts_access::dry::DryHost;
use hosts_access::policy::Compiled;
use hosts_access::request::Request;
use hosts_access::syntax::fields;
use hosts_access::syntax::option::{Keyword, Limit, Max, Source};
use hosts_access::{Effect, Fact, Found, Known};

/// A request that ends differently under the two policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The daemon's name.
    pub daemon: Vec<u8>,
    /// The server's port, where it matters.
    pub port: Option<u16>,
    /// The server's address, or `unknown`.
    pub server_address: Vec<u8>,
    /// Its name, or `unknown`.
    pub server_name: Vec<u8>,
    /// The netgroups the server is in.
    pub server_groups: Vec<Vec<u8>>,
    /// The client's address, or `unknown`.
    pub address: Vec<u8>,
    /// Its name, `unknown` or `paranoid`.
    pub name: Vec<u8>,
    /// The user at its end, or `unknown`.
    pub user: Vec<u8>,
    /// The netgroups the client is in.
    pub groups: Vec<Vec<u8>>,
    /// What else is known of it, as far as it matters.
    pub answers: Vec<Answers>,
    /// What decided it, under the old policy and the new; commands that would decide are not run.
    pub decided: Vec<Decided>,
}

/// What decided a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The table and the rule's last line, where a rule did.
    pub rule: Option<(TableKind, Arc<Path>, u32)>,
    /// The rule's text.
    pub text: Vec<u8>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Both policies, ready to decide.
pub(super) struct Confirming<'t> {
    sides: [Documents<'t>; 2],
    ready: Option<[Compiled; 2]>,
}

/// What is asked besides, and answered, under one of the policies.
pub(super) type Told = Vec<(Fact, Known)>;

/// How all that is not known comes out: whether `aclexec` commands succeed, if they are run, and whether the client is
/// within all bounds, if that can be told.
type Supposed = (Option<bool>, Option<bool>);

fn decide(compiled: &Compiled, witness: &Witness, told: &Told, (commands, within): Supposed) -> Decision {
    let mut host = DryHost::new(&witness.address[..])
        .named(&witness.name[..])
        .with_user(&witness.user[..])
        .with_server(
            &witness.server_address[..],
            &witness.server_name[..],
            witness.port,
        );
    for group in &witness.groups {
        host = host.in_netgroup(&group[..], &witness.name[..]);
    }
    for group in &witness.server_groups {
        host = host.in_netgroup(&group[..], &witness.server_name[..]);
    }
    // A time for all zones would stand for the one that is asked.
    let (zoneless, other): (Vec<_>, Vec<_>) = told
        .iter()
        .cloned()
        .partition(|(fact, _)| *fact == Fact::Time(None));
    for (fact, known) in other.into_iter().chain(zoneless) {
        host = host.told(fact, known);
    }
    if let Some(within) = within {
        // One stands for all others.
        let rule = Vec::new();
        let per = Source::default();
        let limit = Limit {
            count: 1,
            seconds: 1,
            burst: 1,
            per,
        };
        let max = Max { count: 1, per: None };
        host = host
            .told(Fact::Rate { rule, limit }, Ok(Found::from(within)))
            .told(Fact::Connections(max), Ok(Found::from(within)));
    }
    if let Some(succeed) = commands {
        host = host.commands_succeed(succeed);
    }
    compiled.decide(&mut Request::new(&witness.daemon), &mut host)
}

impl<'t> Confirming<'t> {
    pub(super) fn new(sides: [Documents<'t>; 2]) -> Self {
        Confirming { sides, ready: None }
    }

    /// Decides the request under both policies and holds what comes out against what was computed.
    ///
    /// # Errors
    /// Where the two are not the same.
    pub(super) fn confirm(
        &mut self,
        mut witness: Witness,
        told: &[Told; 2],
        computed: [&Outcome; 2],
    ) -> Result<Witness, Incomparable> {
        let ready = self
            .ready
            .get_or_insert_with(|| self.sides.map(Documents::compiled));
        for ((side, told), outcome) in ready.iter().zip(told).zip(computed) {
            let is_bounded = outcome.steps.iter().any(|step| !step.bounds.is_empty());
            let within = if is_bounded {
                &[Some(true), Some(false), None][..]
            } else {
                &[None]
            };
            for supposed in within
                .iter()
                .flat_map(|within| COMMANDS.map(|commands| (commands, *within)))
            {
                let decision = decide(side, &witness, told, supposed);
                if !agrees(&decision, outcome, supposed) {
                    let what = format!(
                        "{witness:?} {told:?}: computed {outcome:?}, decided {decision:?} ({supposed:?})"
                    );
                    return Err(Incomparable::Unconfirmed(what));
                }
                if supposed == (None, within[0]) {
                    witness.decided.push(Decided {
                        rule: decision
                            .rule
                            .as_ref()
                            .map(|rule| (rule.table, Arc::clone(&rule.place.file), rule.place.line)),
                        text: decision.rule.map_or_else(Vec::new, |rule| rule.text().to_vec()),
                        verdict: decision.verdict,
                    });
                }
            }
        }
        Ok(witness)
    }
}

/// Commands are not run, all succeed, or all fail.
const COMMANDS: [Option<bool>; 3] = [None, Some(true), Some(false)];

/// Is the decision the computed one?
fn agrees(decision: &Decision, outcome: &Outcome, (commands, within): Supposed) -> bool {
    let mut computed = None;
    for step in &outcome.steps {
        if !step.bounds.is_empty() && within != Some(true) {
            let denied = match within {
                Some(_) => Step::denied(step.beyond.clone()),
                None => Step::plain(Verdict::Denied),
            };
            computed = Some((Verdict::Denied, denied));
            break;
        }
        let fails = step.may_fail && commands == Some(false);
        if !step.is_asked_only && !fails {
            let is_open = commands.is_none() && step.runs.iter().any(|run| run.keyword == Keyword::Aclexec);
            let verdict = if is_open { Verdict::Delegated } else { step.verdict };
            computed = Some((verdict, step.clone()));
            break;
        }
    }
    let decided = decided_step(decision).map(|step| (decision.verdict, step));
    decided.is_some() && computed == decided
}

/// What the rule that decided does.
pub(super) fn decided_step(decision: &Decision) -> Option<Step> {
    match (&decision.reason, &decision.rule) {
        (Reason::NotKnown, _) | (_, None) => Some(Step::plain(decision.verdict)),
        (Reason::OverLimit | Reason::TooMany, Some(_)) => {
            let bans = decision.effects.iter().filter_map(|effect| match effect {
                Effect::Ban(seconds) => Some(Run::ban(*seconds)),
                Effect::Spawn(_)
                | Effect::Aclexec(_)
                | Effect::Twist(_)
                | Effect::Banner { .. }
                | Effect::Keepalive
                | Effect::Linger(_)
                | Effect::Nice(_)
                | Effect::Umask(_)
                | Effect::Setenv { .. }
                | Effect::User { .. }
                | Effect::Group(_)
                | Effect::IdentTimeout(_) => None,
            });
            Some(Step::denied(bans.collect()))
        }
        (_, Some(rule)) => {
            let line = [rule.text(), b"\n"].concat();
            let Content::Rule(of_line) = content(&line) else {
                return None;
            };
            let options = fields(&line).and_then(|fields| fields.options);
            Step::of(&of_line, options, rule.table)
        }
    }
}
