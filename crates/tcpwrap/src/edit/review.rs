//! What is to be said about edited tables before they are put in place.

use std::fmt::Write as _;

use analysis::check::{Finding, Level};
use analysis::compare::compare;
use annotate_snippets::Renderer;
use hosts_access::{TableKind, Tables, Verdict};

use super::{Args, Edited};
use crate::check::input::{self, Policy};
use crate::check::{findings, render};
use crate::output::{BAD, DIM, GOOD, NOTE, busy, escape};
use crate::session::{self, Session};
use crate::{test, text_diff};

/// What was found.
pub struct Review {
    /// All of it, to be shown.
    pub text: String,
    /// There is nothing against putting the tables in place.
    pub is_sound: bool,
}

/// Looks at the copies beside what is in place now.
pub fn of(args: &Args, old: &Tables, new: &Tables, edited: &[Edited]) -> Result<Review, String> {
    let _busy = busy("looking at what changes");
    let mut review = Review {
        text: String::new(),
        is_sound: true,
    };
    for table in edited {
        let diff = text_diff::shown(&table.path, &table.original.text, &table.text()?);
        review.text.push_str(&beginning(&diff));
    }
    review.text.push('\n');
    let before = input::both(old, false)?;
    let mut after = input::both(new, false)?;
    // The copies are shown under the names they will have.
    for (document, table) in [
        (&mut after.allow, TableKind::Allow),
        (&mut after.deny, TableKind::Deny),
    ] {
        if let Some(document) = document {
            document.path = old.path(table).clone();
        }
    }
    review.check(&before, &after)?;
    review.meaning(&before, &after);
    review.tests(old, new);
    review.session(args, old, new);
    Ok(review)
}

/// As much of the changed lines as anybody reads; what they mean is told below them.
fn beginning(diff: &str) -> String {
    const MOST_LINES: usize = 200;
    let count = diff.lines().count();
    if count <= MOST_LINES {
        return diff.to_owned();
    }
    let lines: String = diff.split_inclusive('\n').take(MOST_LINES).collect();
    format!("{lines}... and {} more lines\n", count - MOST_LINES)
}

impl Review {
    /// What the lints say, as far as they did not say it before.
    fn check(&mut self, old: &Policy, new: &Policy) -> Result<(), String> {
        let before = findings(old);
        let mut found = findings(new);
        let all = found.len();
        let mut known: Vec<_> = before.iter().map(key).collect();
        found.retain(|finding| match known.iter().position(|k| *k == key(finding)) {
            Some(at) => {
                known.swap_remove(at);
                false
            }
            None => true,
        });
        let mut text = Vec::new();
        render::write(&mut text, new, &found, &Renderer::styled()).map_err(|error| error.to_string())?;
        self.text.push_str(&String::from_utf8_lossy(&text));
        if all > found.len() {
            let _ = writeln!(
                self.text,
                "{DIM}{} more findings of tcpwrap check were there before{DIM:#}",
                all - found.len()
            );
        }
        self.is_sound &= found.iter().all(|f| f.level < Level::Error);
        Ok(())
    }

    /// Which requests end differently.
    fn meaning(&mut self, old: &Policy, new: &Policy) {
        match compare(old.tables(), new.tables()) {
            Ok(found) => self.text.push_str(&crate::diff::text::render(&found)),
            Err(problem) => {
                let _ = writeln!(self.text, "{NOTE}what changes cannot be told:{NOTE:#} {problem}");
            }
        }
    }

    /// Which of the policy tests beside the tables would fail.
    fn tests(&mut self, old: &Tables, new: &Tables) {
        let outcomes = match test::beside(old.path(TableKind::Allow), new) {
            Ok(outcomes) => outcomes,
            Err(problem) => {
                let problem = escape(problem.as_bytes());
                let _ = writeln!(self.text, "{BAD}the policy tests cannot be run:{BAD:#} {problem}");
                self.is_sound = false;
                return;
            }
        };
        let mut failed = 0;
        for outcome in outcomes.iter().filter(|outcome| !outcome.failures.is_empty()) {
            failed += 1;
            let line = format!(
                "{} (line {}): {}",
                outcome.request,
                outcome.line,
                outcome.failures.join("; ")
            );
            let _ = writeln!(self.text, "{BAD}test fails:{BAD:#} {}", escape(line.as_bytes()));
        }
        if !outcomes.is_empty() {
            let passed = outcomes.len() - failed;
            let _ = writeln!(self.text, "policy tests: {passed} passed, {failed} failed");
        }
        self.is_sound &= failed == 0;
    }

    /// Whether who edits would still be let in.
    fn session(&mut self, args: &Args, old: &Tables, new: &Tables) {
        let session = match args.client {
            Some(client) => Some(Session { client, server: None }),
            None => session::present(),
        };
        let Some(session) = session else { return };
        let daemon = &args.daemon;
        let client = session.client;
        let before = session::decide(&session, daemon, old).verdict;
        let after = session::decide(&session, daemon, new);
        match after.verdict {
            Verdict::Granted => {
                let _ = writeln!(
                    self.text,
                    "{GOOD}you{GOOD:#}, at {client}, would be let in by {daemon}"
                );
            }
            Verdict::Delegated => {
                let _ = writeln!(
                    self.text,
                    "{NOTE}you{NOTE:#}, at {client}: a command would decide whether {daemon} lets you in"
                );
            }
            Verdict::Denied => {
                let by = after.rule.map_or_else(String::new, |rule| {
                    let table = match rule.table {
                        TableKind::Allow => "hosts.allow",
                        TableKind::Deny => "hosts.deny",
                    };
                    format!(" (line {} of {table})", rule.place.line)
                });
                let already = if before == Verdict::Denied {
                    ", as you are now"
                } else {
                    ""
                };
                let _ = writeln!(
                    self.text,
                    "{BAD}you, at {client}, would be refused by {daemon}{already}{by}{BAD:#}: this session goes \
                     on, but you may not get in again"
                );
                self.is_sound = false;
            }
        }
    }
}

/// What makes two findings the same, wherever the line has moved.
fn key(finding: &Finding) -> (&'static str, TableKind, String) {
    (finding.code.id, finding.table, finding.message.clone())
}
