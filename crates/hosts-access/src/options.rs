//! Running the options of a rule that matched (hosts_options(5)).
//!
//! They run left to right, each handed to the host before the next is looked at, since a command or a
//! change of user may fail and what already ran stays run.

use crate::decision::{Reason, Severity, Verdict};
use crate::diagnostic::Kind;
use crate::effect::{Effect, Outcome};
use crate::expand::expand;
use crate::request::Request;
use crate::syntax::option::{self as syntax, Keyword, Takes, keyword_and_value, option_fields};
use crate::text::trim;

/// How a rule's options ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum End {
    /// All ran, and the table gives the verdict.
    Through,
    /// An option gave the verdict.
    Verdict(Verdict, Reason),
    /// An `aclexec` command failed: the rule counts as one that did not match.
    CommandFailed,
}

/// What running options leaves behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// The effects, in order.
    pub effects: Vec<Effect>,
    /// The severity set, if one was.
    pub severity: Option<Severity>,
}

/// Runs the options of a rule: `options` is the text after its second colon.
///
/// Errors are logged, and deny.
pub fn run(options: &[u8], request: &mut Request<'_>, ran: &mut Ran) -> End {
    let mut failed = false;
    let mut fields = option_fields(options);
    while let Some(field) = fields.next() {
        if fields.ended_by_colon() && fields.is_at_end() {
            request.log(Kind::Warning, "rule ends in \":\"");
        }
        let step = check(&field, fields.is_at_end())
            .and_then(|(keyword, value)| apply(keyword, value, &field, request, ran));
        match step {
            Ok(Step::Next) => {}
            Ok(Step::CommandFailed) => failed = true,
            // A command that failed takes the right to grant from the rest of its rule.
            Ok(Step::Verdict(verdict)) if failed && verdict.is_granted() => return End::CommandFailed,
            Ok(Step::Verdict(verdict)) => return End::Verdict(verdict, Reason::Rule),
            Err(message) => {
                request.log(Kind::Error, message);
                return End::Verdict(Verdict::Denied, Reason::OptionError);
            }
        }
    }
    if failed { End::CommandFailed } else { End::Through }
}

enum Step {
    Next,
    CommandFailed,
    Verdict(Verdict),
}

/// An error message that quotes what was written.
fn quoting(before: &str, text: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), b"\"", text, b"\"", after.as_bytes()].concat()
}

/// Looks at one field: the keyword known, the value there or not as it must be, the place right.
/// The error is the text of its message.
pub fn check(field: &[u8], is_last: bool) -> Result<(Keyword, Option<&[u8]>), Vec<u8>> {
    let (word, value) = keyword_and_value(field);
    if word.is_empty() {
        return Err(b"missing option name".to_vec());
    }
    let keyword = Keyword::parse(word).ok_or_else(|| quoting("bad option name: ", word, ""))?;
    match (keyword.takes(), value) {
        (Takes::Value, None) => return Err(quoting("option ", word, " requires value")),
        (Takes::Nothing, Some(_)) => return Err(quoting("option ", word, " requires no value")),
        _ => {}
    }
    if keyword.must_be_last() && !is_last {
        return Err(quoting("option ", word, " must be at end"));
    }
    Ok((keyword, value))
}

/// The effect of an option that has a value of its own to read, or the text of its error message.
/// Nothing for options that are no plain effects.
pub fn effect(keyword: Keyword, value: Option<&[u8]>) -> Result<Option<Effect>, Vec<u8>> {
    let text = value.unwrap_or_default();
    let bad = |what: &str| quoting(&format!("bad {what}: "), text, "");
    Ok(Some(match keyword {
        Keyword::Keepalive => Effect::Keepalive,
        Keyword::Linger => Effect::Linger(syntax::linger(text).ok_or_else(|| bad("linger value"))?),
        Keyword::Nice => Effect::Nice(syntax::nice(value).ok_or_else(|| bad("nice value"))?),
        Keyword::Umask => Effect::Umask(syntax::umask(text).ok_or_else(|| bad("umask value"))?),
        Keyword::Rfc931 => match value {
            Some(text) => Effect::IdentTimeout(syntax::timeout(text).ok_or_else(|| bad("rfc931 timeout"))?),
            None => return Ok(None),
        },
        Keyword::Setenv => {
            let (name, value) = syntax::variable(text);
            Effect::Setenv {
                name: name.to_vec(),
                value: value.to_vec(),
            }
        }
        Keyword::User => {
            let (user, group) = syntax::user_and_group(text);
            Effect::User {
                user: user.to_vec(),
                group: group.map(<[u8]>::to_vec),
            }
        }
        Keyword::Group => Effect::Group(text.to_vec()),
        Keyword::Spawn => Effect::Spawn(text.to_vec()),
        Keyword::Aclexec => Effect::Aclexec(text.to_vec()),
        Keyword::Twist => Effect::Twist(text.to_vec()),
        Keyword::Severity => {
            return match syntax::severity(text) {
                Ok(_) => Ok(None),
                Err(word) => Err(quoting("bad syslog facility or severity: ", word, "")),
            };
        }
        Keyword::Allow | Keyword::Deny | Keyword::Banners => return Ok(None),
    }))
}

fn apply(
    keyword: Keyword,
    value: Option<&[u8]>,
    field: &[u8],
    request: &mut Request<'_>,
    ran: &mut Ran,
) -> Result<Step, Vec<u8>> {
    let expanded = value
        .filter(|_| keyword.is_expanded())
        .map(|text| expand(text, request));
    let value = expanded.as_deref().map(trim).or(value);
    if request.verbosity() >= 1 {
        let word = keyword_and_value(field).0;
        request.log(
            Kind::Debug,
            [b"option:   ", word, b" ", value.unwrap_or_default()].concat(),
        );
    }
    let effect = match (keyword, effect(keyword, value)?) {
        (Keyword::Allow, _) => return Ok(Step::Verdict(Verdict::Granted)),
        (Keyword::Deny, _) => return Ok(Step::Verdict(Verdict::Denied)),
        (Keyword::Severity, _) => {
            ran.severity = syntax::severity(value.unwrap_or_default()).ok();
            return Ok(Step::Next);
        }
        (Keyword::Twist, _) if request.is_resident() => {
            return Err(b"twist option in resident process".to_vec());
        }
        (Keyword::Banners, _) => {
            let directory = value.unwrap_or_default();
            request.banner(directory).map(|file| Effect::Banner {
                directory: directory.to_vec(),
                text: banner(&file, request),
            })
        }
        (_, effect) => effect,
    };
    let mut step = Step::Next;
    if let Some(effect) = effect {
        let outcome = request.perform(&effect);
        ran.effects.push(effect);
        match outcome {
            Outcome::Done if keyword == Keyword::Twist => step = Step::Verdict(Verdict::Delegated),
            Outcome::Done => {}
            Outcome::Failed => step = Step::CommandFailed,
            Outcome::Delegated => step = Step::Verdict(Verdict::Delegated),
            Outcome::Refused(message) => return Err(message),
        }
    }
    if keyword == Keyword::Rfc931 {
        request.user();
    }
    Ok(step)
}

/// A banner file made ready to send: each line % expanded, LF made CR LF, leading NUL bytes unchanged.
fn banner(file: &[u8], request: &mut Request<'_>) -> Vec<u8> {
    let text = file.iter().position(|b| *b != 0).unwrap_or(file.len());
    let (nuls, text) = file.split_at(text);
    let mut out = nuls.to_vec();
    for line in text.split_inclusive(|b| *b == b'\n') {
        match line.split_last() {
            Some((b'\n', head)) => {
                out.extend_from_slice(&expand(head, request));
                out.extend_from_slice(b"\r\n");
            }
            _ => out.extend_from_slice(&expand(line, request)),
        }
    }
    out
}
