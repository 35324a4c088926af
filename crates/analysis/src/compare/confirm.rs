//! Deciding a request under both policies, to see that a computed difference is one.

use std::path::Path;
use std::sync::Arc;

use super::Incomparable;
use super::outcome::{Outcome, Step};
use crate::document::Documents;
use crate::document::{Content, content};
use hosts_access::decision::{Decision, TableKind, Verdict};
use hosts_access::dry::DryHost;
use hosts_access::policy::Compiled;
use hosts_access::request::Request;
use hosts_access::syntax::option::Keyword;

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

fn decide(compiled: &Compiled, witness: &Witness, commands: Option<bool>) -> Decision {
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
        computed: [&Outcome; 2],
    ) -> Result<Witness, Incomparable> {
        let ready = self
            .ready
            .get_or_insert_with(|| self.sides.map(Documents::compiled));
        for (side, outcome) in ready.iter().zip(computed) {
            for commands in [None, Some(true), Some(false)] {
                let decision = decide(side, &witness, commands);
                if !agrees(&decision, outcome, commands) {
                    let what =
                        format!("{witness:?}: computed {outcome:?}, decided {decision:?} ({commands:?})");
                    return Err(Incomparable::Unconfirmed(what));
                }
                if commands.is_none() {
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

/// Is the decision the computed one, where commands are not run, all succeed, or all fail?
fn agrees(decision: &Decision, outcome: &Outcome, commands: Option<bool>) -> bool {
    let step = match commands {
        Some(false) => outcome.steps.last(),
        _ => outcome.steps.first(),
    };
    let Some(step) = step else { return false };
    let is_open = commands.is_none() && step.runs.iter().any(|run| run.keyword == Keyword::Aclexec);
    let verdict = if is_open { Verdict::Delegated } else { step.verdict };
    let decided = match &decision.rule {
        None => Step::plain(decision.verdict),
        Some(rule) => {
            let line = [rule.text(), b"\n"].concat();
            match content(&line) {
                Content::Rule(of_line) => Step::of(&of_line, rule.table),
                _ => return false,
            }
        }
    };
    decision.verdict == verdict && decided == *step
}
