//! What a classic libwrap makes of the additions to the language (hosts_access(5), ADDITIONS): looked for where the files
//! are read by others, too.

use super::code::{Code, Level, allow, codes};
use super::policy::{RuleVerdict, outcome};
use super::{Context, Options, quoted};
use crate::document::Rule;
use hosts_access::files;
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::pattern::HostPattern;

codes! {
    pub(super) ADDITION = "W606" "addition" Warning {
        meaning: "TCP Wrappers 7.6 does not know this. A pattern in braces is the name of a host there that nobody has: \
            it never matches, which is closed in a rule that lets in, open in a rule that refuses, and the reverse behind \
            `EXCEPT`. An option that it does not know denies everyone the rule matches, in both tables. Looked for with \
            `--portable` alone.",
        remedy: "Keep it to hosts that have this project.",
        bad: allow("sshd: {country=DE}\n"),
        good: allow("sshd: 10.\n"),
    }
}

/// Tells of every addition in a rule.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>, options: &Options) {
    let verdict = outcome(cx.table, rule);
    for (at, part) in rule.clients.parts.iter().enumerate() {
        for token in part {
            let is_addition = match token.pattern.host {
                HostPattern::Brace(_) => true,
                HostPattern::File(path) => has_braces(path, options, &mut Vec::new()),
                HostPattern::Netgroup(_)
                | HostPattern::Known
                | HostPattern::Local
                | HostPattern::Net { .. }
                | HostPattern::Text { .. } => false,
            };
            if is_addition {
                let shown = quoted(token.text);
                let what = match token.pattern.host {
                    HostPattern::File(_) => format!("patterns in braces in {shown} match"),
                    HostPattern::Netgroup(_)
                    | HostPattern::Known
                    | HostPattern::Local
                    | HostPattern::Net { .. }
                    | HostPattern::Text { .. }
                    | HostPattern::Brace(_) => format!("{shown} matches"),
                };
                let message = format!("a classic libwrap: {what} nobody, so {}", nobody(verdict, at));
                cx.report(&ADDITION, &token.span, message).help(ADDITION.remedy);
            }
        }
    }
    let additions = rule
        .options
        .iter()
        .filter_map(|option| Some((option, option.keyword?)));
    for (option, keyword) in additions.filter(|(_, keyword)| keyword.is_addition()) {
        let message = format!(
            "a classic libwrap: it has no option `{}`, and denies everyone the rule matches",
            keyword.as_str()
        );
        cx.report(&ADDITION, &option.span, message).help(ADDITION.remedy);
    }
}

/// What it means that a pattern matches nobody, behind so many `EXCEPT`s.
fn nobody(verdict: RuleVerdict, excepts: usize) -> &'static str {
    match (verdict, excepts % 2) {
        (RuleVerdict::Grants { .. }, 0) => "the rule lets nobody in by it: closed",
        (RuleVerdict::Grants { .. }, _) => {
            "the rule excepts nobody by it, and lets in whom it should not: open"
        }
        (RuleVerdict::Denies, 0) => "the rule refuses nobody by it: open",
        (RuleVerdict::Denies, _) => "the rule excepts nobody by it, and refuses whom it should not: closed",
        (RuleVerdict::Depends, 0) => "the command does not run for them",
        (RuleVerdict::Depends, _) => "the command runs for them, too",
        (RuleVerdict::Nothing, _) => "it is not as on trial here",
    }
}

/// Stands a pattern in braces in the file, or in one it names?
fn has_braces(path: &[u8], options: &Options, seen: &mut Vec<Vec<u8>>) -> bool {
    let Some(text) = options
        .files
        .get(path)
        .filter(|_| !seen.iter().any(|s| s == path))
    else {
        return false;
    };
    seen.push(path.to_vec());
    files::words(text).any(|(_, word)| match word.first() {
        Some(b'{') => Brace::parse(word).is_some(),
        Some(b'/') => has_braces(word, options, seen),
        _ => false,
    })
}
