//! Running the options of a rule that matched (hosts_options(5)).
//!
//! They run left to right, one at a time: each is looked at and carried out before the next is, since a command
//! or a change of user may fail and what already ran stays run.

use std::borrow::Cow;
use std::sync::Arc;

use crate::decide::Ask;
use crate::decision::{Deciding, Reason, Severity, TableKind, Verdict, without_newline};
use crate::diagnostic::Kind;
use crate::effect::{Effect, Outcome};
use crate::expand::{Banner, Expansion, client_info};
use crate::fact::{Cause, Fact, Known};
pub use crate::option_error::OptionError;
use crate::request::{Pending, Request};
use crate::room::{self, LONG_LINE};
use crate::syntax::list::tokens;
use crate::syntax::option::{
    self as syntax, ActsOn, Decides, Keyword, Order, Takes, keyword_and_value, option_fields,
};
use crate::text::{trim, trim_start};

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
    /// The rule decides nothing: it is on trial, or not known to match.
    Passed,
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
    /// The line that they are the end of, or nothing but them.
    line: Arc<[u8]>,
    /// Where in it they begin.
    start: usize,
    /// How far it has been read.
    at: usize,
    state: State,
    /// An `aclexec` command failed.
    failed: bool,
    /// The rule they belong to, if they belong to one.
    rule: Option<Rule>,
    /// The option that was looked at last.
    last: Option<Keyword>,
    /// For how many seconds whom the rule denies is banned.
    ban: Option<u64>,
    /// How they end when that is done.
    after: Option<End>,
    /// What the rule would have decided that is on trial, once it has been tried.
    pub(crate) tried: Option<Option<Verdict>>,
    /// Why it is not known what its bounds say.
    pub(crate) cause: Option<Cause>,
    /// What they leave behind.
    pub ran: Ran,
}

/// What options know of their rule.
#[derive(Debug)]
struct Rule {
    table: TableKind,
    /// Does it match? Otherwise that is not known, and only its bounds are asked.
    matches: bool,
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
    /// More connections than this may be too many.
    Bound(Fact, Reason),
    /// What the rule would do is to be logged.
    Trial,
    Ended(End),
}

/// An option that may stand where it does, and whose value is expanded first.
#[derive(Debug)]
struct Begun {
    keyword: Keyword,
    /// The keyword as it is written.
    word: Vec<u8>,
    value: Vec<u8>,
}

impl Options {
    /// The options of a rule: `text` is what stands after its second colon.
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        Options::at_end_of(Arc::from(text.into()), 0)
    }

    fn at_end_of(line: Arc<[u8]>, start: usize) -> Self {
        Options {
            line,
            start,
            at: start,
            state: State::Look,
            failed: false,
            rule: None,
            last: None,
            ban: None,
            after: None,
            tried: None,
            cause: None,
            ran: Ran::default(),
        }
    }

    /// The same, of a rule in this table.
    pub fn in_table(text: impl Into<Vec<u8>>, table: TableKind) -> Self {
        let matches = true;
        Options {
            rule: Some(Rule { table, matches }),
            ..Options::new(text)
        }
    }

    /// The options of this rule, which begin there in its line. Unless it is known to match, only its bounds are asked.
    pub(crate) fn of_rule(rule: &Deciding, start: usize, matches: bool) -> Self {
        let table = rule.table;
        Options {
            rule: Some(Rule { table, matches }),
            ..Options::at_end_of(Arc::clone(&rule.line), start)
        }
    }

    /// Goes on to the next effect, or the end. Errors are logged, and deny.
    ///
    /// # Errors
    /// Something must be known first.
    pub fn step(&mut self, request: &mut Request) -> Result<Next, Pending> {
        self.step_asking(request, &mut |_, _| None)
    }

    /// The same, where `ask` may have answers at hand.
    pub(crate) fn step_asking(&mut self, request: &mut Request, ask: &mut Ask<'_>) -> Result<Next, Pending> {
        loop {
            let state = std::mem::replace(&mut self.state, State::Look);
            self.state = match state {
                State::Look => self.look(request),
                State::Expand(mut begun, mut expansion) => {
                    if let Err(pending) = expansion.go_on(&begun.value, request) {
                        self.state = State::Expand(begun, expansion);
                        return Err(pending);
                    }
                    begun.value = expansion.into_text();
                    self.start(begun.keyword, &begun.word, Some(trim(&begun.value)), request)
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
                State::Bound(fact, reason) => match request.answer_to(&fact, ask) {
                    Some(known) => {
                        request.set_fact(fact, known.clone());
                        self.bound(known, reason, request)
                    }
                    None => match request.fact(&fact) {
                        Ok(known) => {
                            let known = known.clone();
                            self.bound(known, reason, request)
                        }
                        Err(pending) => {
                            self.state = State::Bound(fact, reason);
                            return Err(pending);
                        }
                    },
                },
                State::Trial => match client_info(request) {
                    Ok(client) => self.trial(&client, request),
                    Err(pending) => {
                        self.state = State::Trial;
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
        let line = Arc::clone(&self.line);
        let rest = &line[self.at..];
        let mut fields = option_fields(rest);
        let Some(field) = fields.next() else {
            return self.through();
        };
        if fields.ended_by_colon() && fields.is_at_end() {
            request.log(Kind::Warning, "rule ends in \":\"");
        }
        self.at += fields.position_in(rest);
        // The option, its message or effect, and copies of these on their way.
        if field.len() > LONG_LINE {
            room::expect(10 * field.len());
        }
        let checked = check(&field, fields.is_at_end());
        let checked = checked.and_then(|found| check_order(self.last, found.0).map(|()| found));
        match checked {
            Ok((keyword, _)) if keyword.is_addition() && self.rule.is_none() => {
                wrong(&OptionError::NoTable(keyword), request)
            }
            Ok((keyword, _)) if keyword.order() != Order::Bound && !self.matches() => {
                self.last = Some(keyword);
                State::Look
            }
            Ok((keyword, value)) => {
                self.last = Some(keyword);
                let (word, _) = keyword_and_value(&field);
                match value.filter(|_| keyword.is_expanded()) {
                    Some(value) => {
                        let (word, value) = (word.to_vec(), value.to_vec());
                        State::Expand(Begun { keyword, word, value }, Expansion::default())
                    }
                    None => self.start(keyword, word, value, request),
                }
            }
            Err(error) => wrong(&error, request),
        }
    }

    /// Begins an option whose value is there.
    fn start(&mut self, keyword: Keyword, word: &[u8], value: Option<&[u8]>, request: &mut Request) -> State {
        let text = value.unwrap_or_default();
        if request.verbosity() >= 1 {
            request.log(Kind::Debug, [b"option:   ", word, b" ", text].concat());
        }
        if let Some((fact, reason)) = self.bound_of(keyword, text, request) {
            return match self.denies() {
                true => wrong(&OptionError::InDenial(word.to_vec()), request),
                false => State::Bound(fact, reason),
            };
        }
        match (keyword, effect(keyword, value)) {
            (_, Err(error)) => wrong(&error, request),
            (Keyword::Allow, _) => self.end(End::Verdict(Verdict::Granted, Reason::Rule)),
            (Keyword::Deny, _) => self.end(End::Verdict(Verdict::Denied, Reason::Rule)),
            (Keyword::Severity, _) => {
                self.ran.severity = syntax::severity(text).ok();
                State::Look
            }
            (Keyword::Rfc931, Ok(None)) => State::User,
            (Keyword::Twist, _) if request.is_resident() => wrong(&OptionError::Resident, request),
            (Keyword::Banners, _) => State::Banner {
                directory: text.to_vec(),
            },
            // It was tried with the rule's lists.
            (Keyword::If, _) => State::Look,
            (Keyword::Trial, _) => State::Trial,
            (Keyword::Ban, _) => {
                self.ban = syntax::duration(text);
                State::Look
            }
            (
                Keyword::Spawn
                | Keyword::Aclexec
                | Keyword::Twist
                | Keyword::Keepalive
                | Keyword::Linger
                | Keyword::Rfc931
                | Keyword::Nice
                | Keyword::Umask
                | Keyword::Setenv
                | Keyword::User
                | Keyword::Group
                | Keyword::Limit
                | Keyword::Max,
                Ok(effect),
            ) => effect.map_or(State::Look, State::Effect),
        }
    }

    /// What a bound asks, and why whom it is too many for is denied; nothing where that cannot be read.
    fn bound_of(&self, keyword: Keyword, value: &[u8], request: &Request) -> Option<(Fact, Reason)> {
        match keyword {
            Keyword::Limit => {
                let limit = syntax::limit(value)?;
                let rule = limit_key(request.daemon(), without_newline(&self.line), value);
                Some((Fact::Rate { rule, limit }, Reason::OverLimit))
            }
            Keyword::Max => Some((Fact::Connections(syntax::max(value)?), Reason::TooMany)),
            Keyword::Allow
            | Keyword::Deny
            | Keyword::Severity
            | Keyword::Spawn
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
            | Keyword::Group
            | Keyword::If
            | Keyword::Trial
            | Keyword::Ban => None,
        }
    }

    /// Is the rule known to match?
    fn matches(&self) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule.matches)
    }

    /// Does the rule deny, whatever comes of its options?
    fn denies(&self) -> bool {
        let table = self.rule.as_ref().map(|rule| rule.table);
        // What stands before a bound decides nothing.
        table.is_some_and(|table| verdict(&self.line[self.at..], table) == Some(Verdict::Denied))
    }

    /// A bound has been asked.
    fn bound(&mut self, known: Known, reason: Reason, request: &mut Request) -> State {
        let what = match reason {
            Reason::TooMany => "too many connections",
            Reason::OverLimit
            | Reason::Rule
            | Reason::NoMatch
            | Reason::TableError
            | Reason::OptionError
            | Reason::AclexecFailed
            | Reason::NotKnown => "over limit",
        };
        let answer = match known {
            Ok(found) => found
                .yes_or_no()
                .ok_or_else(|| Cause::new("the answer is to another question")),
            Err(cause) => Err(cause),
        };
        match answer {
            Ok(true) => State::Look,
            Ok(false) => {
                log_about_rule(what, "", request);
                if self.matches() && self.ban.is_none() {
                    self.ban = self.ban_ahead();
                }
                self.end(End::Verdict(Verdict::Denied, reason))
            }
            Err(cause) => {
                request.log(
                    Kind::Warning,
                    format!("denied, since it is not known whether it is {what}: {cause}"),
                );
                self.cause = Some(cause);
                State::Ended(End::Verdict(Verdict::Denied, Reason::NotKnown))
            }
        }
    }

    /// The `ban` that follows the bound that was reached.
    fn ban_ahead(&self) -> Option<u64> {
        let mut fields = option_fields(&self.line[self.at..]);
        while let Some(field) = fields.next() {
            match check(&field, fields.is_at_end()) {
                Ok((Keyword::Ban, value)) => return syntax::duration(value.unwrap_or_default()),
                Ok((keyword, _)) if keyword.order() == Order::Bound => {}
                Ok(_) | Err(_) => return None,
            }
        }
        None
    }

    /// Logs what the rule would do.
    fn trial(&mut self, client: &[u8], request: &mut Request) -> State {
        let table = self.rule.as_ref().map_or(TableKind::Deny, |rule| rule.table);
        let verdict = verdict(&self.line[self.start..], table);
        self.tried = Some(verdict);
        let verdict = match verdict {
            Some(Verdict::Granted) => "granted",
            Some(Verdict::Denied) => "denied",
            Some(Verdict::Delegated) => "left to a command",
            None => "denied for a mistake in its options",
        };
        let words: Vec<_> = option_fields(&self.line[self.at..])
            .filter_map(|field| Keyword::parse(keyword_and_value(&field).0))
            .map(Keyword::as_str)
            .collect();
        let with = if words.is_empty() { "" } else { " with " };
        let client = String::from_utf8_lossy(client);
        log_about_rule(
            "trial",
            &format!(": {client} would be {verdict}{with}{}", words.join(", ")),
            request,
        );
        State::Ended(End::Passed)
    }

    /// There are no more options.
    fn through(&mut self) -> State {
        if !self.matches() {
            return State::Ended(End::Passed);
        }
        if self.failed {
            return State::Ended(End::CommandFailed);
        }
        let is_denied = self
            .rule
            .as_ref()
            .is_some_and(|rule| rule.table == TableKind::Deny);
        match self.ban.take().filter(|_| is_denied) {
            // It is the last thing that is done.
            Some(seconds) => State::Effect(Effect::Ban(seconds)),
            None => State::Ended(End::Through),
        }
    }

    /// An option ends the decision.
    fn end(&mut self, end: End) -> State {
        match (end, self.ban.take()) {
            // A command that failed takes the right to grant from the rest of its rule.
            (End::Verdict(verdict, _), _) if self.failed && verdict.is_granted() => {
                State::Ended(End::CommandFailed)
            }
            (End::Verdict(Verdict::Denied, _), Some(seconds)) => {
                self.after = Some(end);
                State::Effect(Effect::Ban(seconds))
            }
            (end, _) => State::Ended(end),
        }
    }

    fn take_in(&mut self, effect: Effect, outcome: Outcome, request: &mut Request) -> State {
        let next = match (outcome, &effect) {
            (Outcome::Done, Effect::Twist(_)) | (Outcome::Delegated, _) => {
                self.end(End::Verdict(Verdict::Delegated, Reason::Rule))
            }
            (_, Effect::Ban(_)) => match self.after.take() {
                Some(end) => State::Ended(end),
                None => State::Look,
            },
            (Outcome::Done, Effect::IdentTimeout(_)) => State::User,
            (Outcome::Done, _) => State::Look,
            (Outcome::Failed, _) => {
                self.failed = true;
                State::Look
            }
            (Outcome::Refused(message), _) => wrong_for(message, request),
        };
        self.ran.effects.push(effect);
        next
    }
}

/// What becomes of a request for which it is not known whether a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It is denied.
    Denies,
    /// The rule is passed over.
    Passes,
    /// The same, once its bounds are asked.
    Asks,
}

/// What the options of a rule make of that. *A request is granted only if it would be whatever the unknown answers
/// were*, and with no more privilege; so only rules are passed over that at most grant.
pub fn doubt(options: Option<&[u8]>, table: TableKind) -> Doubt {
    let Some(text) = options else {
        return match table {
            TableKind::Allow => Doubt::Passes,
            TableKind::Deny => Doubt::Denies,
        };
    };
    let mut has_bound = false;
    let mut last = None;
    let mut fields = option_fields(text);
    while let Some(field) = fields.next() {
        let Ok((keyword, value)) = check(&field, fields.is_at_end()) else {
            return Doubt::Denies;
        };
        if check_order(last, keyword).is_err() || effect(keyword, value).is_err() {
            return Doubt::Denies;
        }
        last = Some(keyword);
        match (keyword.decides(), keyword.acts_on()) {
            // It decides nothing, known or not.
            (Decides::Trying, _) => return Doubt::Passes,
            (Decides::ByStatus | Decides::TakingOver, _) | (_, ActsOn::Process) => return Doubt::Denies,
            (Decides::Refusing, _) => has_bound = true,
            (Decides::Nothing | Decides::Granting | Decides::Denying | Decides::Matching, _) => {}
        }
    }
    match verdict(text, table) {
        Some(Verdict::Granted) if has_bound => Doubt::Asks,
        Some(Verdict::Granted) => Doubt::Passes,
        Some(Verdict::Denied | Verdict::Delegated) | None => Doubt::Denies,
    }
}

/// What a rule in this table decides by its options, if all go well; nothing, where one is wrong. A bound that is
/// reached is not thought of.
pub fn verdict(options: &[u8], table: TableKind) -> Option<Verdict> {
    let mut found = table.verdict();
    let mut fields = option_fields(options);
    while let Some(field) = fields.next() {
        let (keyword, _) = check(&field, fields.is_at_end()).ok()?;
        match keyword.decides() {
            Decides::Granting => return Some(Verdict::Granted),
            Decides::Denying => return Some(Verdict::Denied),
            Decides::TakingOver => return Some(Verdict::Delegated),
            Decides::ByStatus => found = Verdict::Delegated,
            Decides::Nothing | Decides::Matching | Decides::Trying | Decides::Refusing => {}
        }
    }
    Some(found)
}

/// What a limit is known by: the daemon, the text of the rule, and its own value, since a rule may have several.
pub fn limit_key(daemon: &[u8], rule: &[u8], value: &[u8]) -> Vec<u8> {
    [daemon, b"\0", rule, b"\0", value].concat()
}

/// Must an option not stand behind this one?
///
/// # Errors
/// It must not.
pub fn check_order(last: Option<Keyword>, keyword: Keyword) -> Result<(), OptionError> {
    match last {
        Some(last) if keyword.order() < last.order() => Err(OptionError::OutOfPlace {
            option: keyword,
            behind: last,
        }),
        Some(_) | None => Ok(()),
    }
}

/// The client lists of the `if` options that a rule's options begin with. One that is empty is a mistake, which is
/// found when the options run.
pub fn conditions(options: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    // Few rules have any.
    let may_have = trim_start(options)
        .get(..2)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"if"));
    option_fields(if may_have { options } else { b"" })
        .map_while(|field| {
            let (word, value) = keyword_and_value(&field);
            (Keyword::parse(word) == Some(Keyword::If)).then(|| match (&field, value) {
                (Cow::Borrowed(field), _) => Cow::Borrowed(keyword_and_value(field).1.unwrap_or_default()),
                (Cow::Owned(_), value) => Cow::Owned(value.unwrap_or_default().to_vec()),
            })
        })
        .filter(|list| tokens(list).next().is_some())
}

/// Logs a word about the rule that is read.
fn log_about_rule(what: &str, more: &str, request: &mut Request) {
    let place = request.place().map_or_else(String::new, |place| {
        format!("  {} line {}", place.file.display(), place.line)
    });
    request.log(Kind::Info, format!("{what}:{place}{more}"));
}

/// An error ends the decision.
fn wrong(error: &OptionError, request: &mut Request) -> State {
    wrong_for(error.message(), request)
}

/// The same with these words.
fn wrong_for(message: Vec<u8>, request: &mut Request) -> State {
    request.log(Kind::Error, message);
    State::Ended(End::Verdict(Verdict::Denied, Reason::OptionError))
}

/// Looks at one field: the keyword known, the value there or not as it must be, the place right.
///
/// # Errors
/// It is not so.
pub fn check(field: &[u8], is_last: bool) -> Result<(Keyword, Option<&[u8]>), OptionError> {
    let (word, value) = keyword_and_value(field);
    if word.is_empty() {
        return Err(OptionError::NoName);
    }
    let keyword = Keyword::parse(word).ok_or_else(|| OptionError::NoOption(word.to_vec()))?;
    match (keyword.takes(), value) {
        (Takes::Value, None) => return Err(OptionError::NeedsValue(word.to_vec())),
        (Takes::Nothing, Some(_)) => return Err(OptionError::TakesNoValue(word.to_vec())),
        (Takes::Value | Takes::Optional, Some(_)) | (Takes::Nothing | Takes::Optional, None) => {}
    }
    if keyword.must_be_last() && !is_last {
        return Err(OptionError::NotLast(word.to_vec()));
    }
    Ok((keyword, value))
}

/// The effect of an option that has a value of its own to read. Nothing for options that are no plain effects.
///
/// # Errors
/// The value cannot be read.
pub fn effect(keyword: Keyword, value: Option<&[u8]>) -> Result<Option<Effect>, OptionError> {
    let text = value.unwrap_or_default();
    let bad = |what| OptionError::BadValue {
        what,
        text: text.to_vec(),
    };
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
            if name.is_empty() || name.contains(&b'=') {
                return Err(OptionError::BadVariable);
            }
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
                Err(word) => Err(OptionError::BadValue {
                    what: "syslog facility or severity",
                    text: word.to_vec(),
                }),
            };
        }
        Keyword::Limit => {
            return syntax::limit(text)
                .map(|_| None)
                .ok_or_else(|| bad("limit value"));
        }
        Keyword::Max => return syntax::max(text).map(|_| None).ok_or_else(|| bad("max value")),
        Keyword::Ban => {
            return syntax::duration(text)
                .map(|_| None)
                .ok_or_else(|| bad("ban value"));
        }
        Keyword::If if tokens(text).next().is_none() => return Err(bad("if value")),
        Keyword::Allow | Keyword::Deny | Keyword::Banners | Keyword::If | Keyword::Trial => return Ok(None),
    }))
}
