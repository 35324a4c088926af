//! Running the options of a rule that matched (hosts_options(5)).
//!
//! They run left to right, one at a time: each is looked at and carried out before the next is, since a command
//! or a change of user may fail and what already ran stays run.

use crate::decision::{Reason, Severity, Verdict};
use crate::diagnostic::Kind;
use crate::effect::{Effect, Outcome};
use crate::expand::{Banner, Expansion};
use crate::request::{Pending, Request};
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

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Carry this out, and tell [`Options::done`] what became of it.
    Do(Effect),
    /// Nothing: this is how the options ended.
    End(End),
}

/// A rule's options, run step by step.
#[derive(Debug)]
pub struct Options {
    text: Vec<u8>,
    /// How much of the text has been read.
    at: usize,
    state: State,
    /// An `aclexec` command failed.
    failed: bool,
    /// What they leave behind.
    pub ran: Ran,
}

/// What is under way.
#[derive(Debug)]
enum State {
    /// The next option is to be looked at.
    Look,
    /// Its value is being expanded.
    Expand(Begun, Expansion),
    /// Its banner is wanted.
    Banner {
        directory: Vec<u8>,
    },
    /// Its banner is being expanded.
    ExpandBanner {
        directory: Vec<u8>,
        banner: Banner,
    },
    /// The effect is being carried out.
    Effect(Effect),
    /// That is what became of it.
    Done(Effect, Outcome),
    /// The user is to be looked up.
    User,
    Ended(End),
}

/// An option that may stand where it does.
#[derive(Debug)]
struct Begun {
    keyword: Keyword,
    /// The keyword as it is written.
    word: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Options {
    /// The options of a rule: `text` is what stands after its second colon.
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        Options {
            text: text.into(),
            at: 0,
            state: State::Look,
            failed: false,
            ran: Ran::default(),
        }
    }

    /// Goes on to the next effect, or the end. Errors are logged, and deny.
    ///
    /// # Errors
    /// Something must be known first.
    pub fn step(&mut self, request: &mut Request) -> Result<Next, Pending> {
        loop {
            let state = std::mem::replace(&mut self.state, State::Look);
            self.state = match state {
                State::Look => self.look(request),
                State::Expand(mut begun, mut expansion) => {
                    let text = begun.value.as_deref().unwrap_or_default();
                    if let Err(pending) = expansion.go_on(text, request) {
                        self.state = State::Expand(begun, expansion);
                        return Err(pending);
                    }
                    begun.value = Some(trim(&expansion.into_text()).to_vec());
                    self.start(begun, request)
                }
                State::Banner { directory } => match request.take_banner(&directory) {
                    Ok(Some(file)) => State::ExpandBanner {
                        directory,
                        banner: Banner::new(file),
                    },
                    Ok(None) => State::Look,
                    Err(pending) => {
                        self.state = State::Banner { directory };
                        return Err(pending);
                    }
                },
                State::ExpandBanner {
                    directory,
                    mut banner,
                } => match banner.go_on(request) {
                    Ok(()) => State::Effect(Effect::Banner {
                        directory,
                        text: banner.into_text(),
                    }),
                    Err(pending) => {
                        self.state = State::ExpandBanner { directory, banner };
                        return Err(pending);
                    }
                },
                State::Effect(effect) => {
                    self.state = State::Effect(effect.clone());
                    return Ok(Next::Do(effect));
                }
                State::Done(effect, outcome) => self.take_in(effect, outcome, request),
                State::User => match request.user() {
                    Ok(_) => State::Look,
                    Err(pending) => {
                        self.state = State::User;
                        return Err(pending);
                    }
                },
                State::Ended(end) => {
                    self.state = State::Ended(end);
                    return Ok(Next::End(end));
                }
            };
        }
    }

    /// Tells what became of the effect that the last step asked for.
    pub fn done(&mut self, outcome: Outcome) {
        self.state = match std::mem::replace(&mut self.state, State::Look) {
            State::Effect(effect) => State::Done(effect, outcome),
            other => other,
        };
    }

    /// Looks at the next option.
    fn look(&mut self, request: &mut Request) -> State {
        let rest = &self.text[self.at..];
        let mut fields = option_fields(rest);
        let Some(field) = fields.next() else {
            return State::Ended(if self.failed {
                End::CommandFailed
            } else {
                End::Through
            });
        };
        if fields.ended_by_colon() && fields.is_at_end() {
            request.log(Kind::Warning, "rule ends in \":\"");
        }
        self.at += fields.position_in(rest);
        match check(&field, fields.is_at_end()) {
            Ok((keyword, value)) => {
                let begun = Begun {
                    keyword,
                    word: keyword_and_value(&field).0.to_vec(),
                    value: value.map(<[u8]>::to_vec),
                };
                match keyword.is_expanded() && begun.value.is_some() {
                    true => State::Expand(begun, Expansion::default()),
                    false => self.start(begun, request),
                }
            }
            Err(message) => wrong(message, request),
        }
    }

    /// Begins an option whose value is there.
    fn start(&mut self, begun: Begun, request: &mut Request) -> State {
        let Begun { keyword, word, value } = begun;
        if request.verbosity() >= 1 {
            let value = value.as_deref().unwrap_or_default();
            request.log(Kind::Debug, [b"option:   ", &word[..], b" ", value].concat());
        }
        match (keyword, effect(keyword, value.as_deref())) {
            (_, Err(message)) => wrong(message, request),
            (Keyword::Allow, _) => self.end(End::Verdict(Verdict::Granted, Reason::Rule)),
            (Keyword::Deny, _) => self.end(End::Verdict(Verdict::Denied, Reason::Rule)),
            (Keyword::Severity, _) => {
                self.ran.severity = syntax::severity(value.as_deref().unwrap_or_default()).ok();
                State::Look
            }
            (Keyword::Rfc931, Ok(None)) => State::User,
            (Keyword::Twist, _) if request.is_resident() => {
                wrong(b"twist option in resident process".to_vec(), request)
            }
            (Keyword::Banners, _) => State::Banner {
                directory: value.unwrap_or_default(),
            },
            (_, Ok(effect)) => effect.map_or(State::Look, State::Effect),
        }
    }

    /// An option ends the decision.
    fn end(&self, end: End) -> State {
        State::Ended(match end {
            // A command that failed takes the right to grant from the rest of its rule.
            End::Verdict(verdict, _) if self.failed && verdict.is_granted() => End::CommandFailed,
            end => end,
        })
    }

    fn take_in(&mut self, effect: Effect, outcome: Outcome, request: &mut Request) -> State {
        let next = match (outcome, &effect) {
            (Outcome::Done, Effect::Twist(_)) | (Outcome::Delegated, _) => {
                self.end(End::Verdict(Verdict::Delegated, Reason::Rule))
            }
            (Outcome::Done, Effect::IdentTimeout(_)) => State::User,
            (Outcome::Done, _) => State::Look,
            (Outcome::Failed, _) => {
                self.failed = true;
                State::Look
            }
            (Outcome::Refused(message), _) => wrong(message, request),
        };
        self.ran.effects.push(effect);
        next
    }
}

/// An error ends the decision.
fn wrong(message: Vec<u8>, request: &mut Request) -> State {
    request.log(Kind::Error, message);
    State::Ended(End::Verdict(Verdict::Denied, Reason::OptionError))
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
