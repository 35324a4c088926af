//! What makes the answer come true on this machine, or that nothing does.

use analysis::check::daemons_called;
use obey::{Answer, Machine, known};
use serde::Serialize;

/// Whether a daemon asks the tables.
#[derive(Debug, Clone, Serialize)]
pub struct Enforced {
    /// `yes`, `no` or `perhaps`.
    pub is: &'static str,
    /// By what, or why not.
    pub by: String,
}

impl Enforced {
    /// What asks under this name.
    pub fn of(machine: &Machine, daemon: &[u8]) -> Self {
        // Names that sshd itself asks about when it forwards.
        let asked = match daemon {
            [b's', b's', b'h', b'd', b'f', b'w', b'd', b'-', ..] => &b"sshd"[..],
            _ => daemon,
        };
        let answer = machine.daemon(asked);
        let is = match &answer {
            Answer::Obeyed(by) => {
                return Enforced {
                    is: "yes",
                    by: by.text(),
                };
            }
            Answer::Perhaps(..) => "perhaps",
            _ => "no",
        };
        let mut by = answer.problem(daemon).unwrap_or_default();
        if let Some(meant) = meant(machine, daemon, &answer) {
            by.push_str(&format!("; what is here is called `{meant}`"));
        }
        Enforced { is, by }
    }
}

/// The name that was meant, where nothing goes by this one.
fn meant(machine: &Machine, daemon: &[u8], answer: &Answer) -> Option<&'static str> {
    // A client program may go by a name that rules are not about.
    if !matches!(answer, Answer::Unknown | Answer::Unguarded(_)) {
        return None;
    }
    let candidates = daemons_called(daemon).iter().chain(known::also_called(daemon));
    candidates
        .copied()
        .find(|name| machine.daemon(name.as_bytes()) != Answer::Unknown)
}
