//! The option part of a rule (hosts_options(5)): fields, keywords and the values they take.

use std::borrow::Cow;

use crate::decision::Severity;
use crate::text::{after_blanks, find_outside_brackets, is_blank, trim, whole_signed, whole_unsigned};

/// The options there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keyword {
    /// `allow`: grant.
    Allow,
    /// `deny`: refuse.
    Deny,
    /// `severity`: log at another level.
    Severity,
    /// `spawn`: run a shell command.
    Spawn,
    /// `aclexec`: run a shell command whose status decides.
    Aclexec,
    /// `twist`: run a shell command in the service's place.
    Twist,
    /// `banners`: send a text.
    Banners,
    /// `keepalive`: set `SO_KEEPALIVE`.
    Keepalive,
    /// `linger`: set `SO_LINGER`.
    Linger,
    /// `rfc931`: look the user up.
    Rfc931,
    /// `nice`: change the nice value.
    Nice,
    /// `umask`: set the umask.
    Umask,
    /// `setenv`: set an environment variable.
    Setenv,
    /// `user`: become a user.
    User,
    /// `group`: become a group.
    Group,
}

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Takes {
    /// None is allowed.
    Nothing,
    /// One may be given.
    Optional,
    /// One is needed.
    Value,
}

/// What an option acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActsOn {
    /// The verdict alone.
    Verdict,
    /// How the request is logged.
    Log,
    /// Nothing of the request's: a shell command runs.
    Command,
    /// The connection.
    Connection,
    /// What is known of the request.
    Request,
    /// The process that decides, and so the service that it becomes.
    Process,
}

/// What an option that runs as it should does to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decides {
    /// It leaves it to the table.
    Nothing,
    /// Granted.
    Granting,
    /// Denied.
    Denying,
    /// The status of a command says whether the rule holds.
    ByStatus,
    /// A command takes the service's place.
    TakingOver,
}

/// What is known of an option. Parser, runner, lints, dry runs, comparing and manual pages follow this.
#[derive(Debug, Clone, Copy)]
struct Facts {
    keyword: Keyword,
    word: &'static str,
    takes: Takes,
    /// The shape of the value, as the manual writes it.
    value: &'static str,
    /// The value is % expanded.
    is_expanded: bool,
    must_be_last: bool,
    acts_on: ActsOn,
    decides: Decides,
    help: &'static str,
}

/// Every option, in the order of the enum.
#[rustfmt::skip]
const OPTIONS: [Facts; 15] = {
    use ActsOn::*;
    const fn row(
        (keyword, word, takes, value): (Keyword, &'static str, Takes, &'static str),
        (is_expanded, must_be_last, acts_on, decides): (bool, bool, ActsOn, Decides),
        help: &'static str,
    ) -> Facts {
        Facts { keyword, word, takes, value, is_expanded, must_be_last, acts_on, decides, help }
    }
    const EXPANDED: bool = true;
    const LITERAL: bool = false;
    const LAST: bool = true;
    const ANYWHERE: bool = false;
    [
        row((Keyword::Allow, "allow", Takes::Nothing, ""), (LITERAL, LAST, Verdict, Decides::Granting),
            "grants, whichever table the rule stands in"),
        row((Keyword::Deny, "deny", Takes::Nothing, ""), (LITERAL, LAST, Verdict, Decides::Denying),
            "refuses, whichever table the rule stands in"),
        row((Keyword::Severity, "severity", Takes::Value, "[facility.]level"), (LITERAL, ANYWHERE, Log, Decides::Nothing),
            "logs the request at this level"),
        row((Keyword::Spawn, "spawn", Takes::Value, "command"), (EXPANDED, ANYWHERE, Command, Decides::Nothing),
            "runs a shell command and waits for it"),
        row((Keyword::Aclexec, "aclexec", Takes::Value, "command"), (EXPANDED, ANYWHERE, Command, Decides::ByStatus),
            "runs a shell command, and the rule holds only if that succeeds"),
        row((Keyword::Twist, "twist", Takes::Value, "command"), (EXPANDED, LAST, Command, Decides::TakingOver),
            "runs a shell command in the place of the service"),
        row((Keyword::Banners, "banners", Takes::Value, "directory"), (LITERAL, ANYWHERE, Connection, Decides::Nothing),
            "sends the file there that is named like the daemon"),
        row((Keyword::Keepalive, "keepalive", Takes::Nothing, ""), (LITERAL, ANYWHERE, Connection, Decides::Nothing),
            "has the kernel ask now and then whether the client is still there"),
        row((Keyword::Linger, "linger", Takes::Value, "seconds"), (LITERAL, ANYWHERE, Connection, Decides::Nothing),
            "how long the kernel goes on sending after the connection is closed"),
        row((Keyword::Rfc931, "rfc931", Takes::Optional, "[timeout]"), (LITERAL, ANYWHERE, Request, Decides::Nothing),
            "looks up the user at the client's end"),
        row((Keyword::Nice, "nice", Takes::Optional, "[number]"), (LITERAL, ANYWHERE, Process, Decides::Nothing),
            "changes the nice value"),
        row((Keyword::Umask, "umask", Takes::Value, "octal"), (LITERAL, ANYWHERE, Process, Decides::Nothing),
            "sets the umask"),
        row((Keyword::Setenv, "setenv", Takes::Value, "name value"), (EXPANDED, ANYWHERE, Process, Decides::Nothing),
            "sets an environment variable"),
        row((Keyword::User, "user", Takes::Value, "user[.group]"), (LITERAL, ANYWHERE, Process, Decides::Nothing),
            "becomes this user"),
        row((Keyword::Group, "group", Takes::Value, "group"), (LITERAL, ANYWHERE, Process, Decides::Nothing),
            "becomes this group"),
    ]
};

impl Keyword {
    /// Every option.
    pub const ALL: [Keyword; OPTIONS.len()] = {
        let mut all = [Keyword::Allow; OPTIONS.len()];
        let mut at = 0;
        while at < OPTIONS.len() {
            all[at] = OPTIONS[at].keyword;
            assert!(all[at] as usize == at);
            at += 1;
        }
        all
    };

    /// The keyword a word is, ASCII case apart.
    pub fn parse(word: &[u8]) -> Option<Self> {
        OPTIONS
            .iter()
            .find(|option| option.word.as_bytes().eq_ignore_ascii_case(word))
            .map(|option| option.keyword)
    }

    fn facts(self) -> &'static Facts {
        // In the order of the enum, as `ALL` makes sure when it is compiled.
        &OPTIONS[self as usize]
    }

    /// The keyword as the manual writes it.
    pub fn as_str(self) -> &'static str {
        self.facts().word
    }

    /// Whether it takes a value.
    pub fn takes(self) -> Takes {
        self.facts().takes
    }

    /// The shape of its value, as the manual writes it.
    pub fn value(self) -> &'static str {
        self.facts().value
    }

    /// Whether its value is % expanded.
    pub fn is_expanded(self) -> bool {
        self.facts().is_expanded
    }

    /// Whether it must be the last option of its rule.
    pub fn must_be_last(self) -> bool {
        self.facts().must_be_last
    }

    /// What it acts on.
    pub fn acts_on(self) -> ActsOn {
        self.facts().acts_on
    }

    /// What it does to the verdict.
    pub fn decides(self) -> Decides {
        self.facts().decides
    }

    /// What it does, in a few words.
    pub fn help(self) -> &'static str {
        self.facts().help
    }
}

/// The option fields of a rule, split at `:`; `\:` is a literal colon.
#[derive(Debug, Clone)]
pub struct OptionFields<'t> {
    rest: &'t [u8],
    ended_by_colon: bool,
}

/// The fields of `options`, the text after a rule's second colon.
pub fn option_fields(options: &[u8]) -> OptionFields<'_> {
    OptionFields {
        rest: options,
        ended_by_colon: false,
    }
}

impl OptionFields<'_> {
    /// Did the field just returned end with a `:`, rather than with the text?
    pub fn ended_by_colon(&self) -> bool {
        self.ended_by_colon
    }

    /// How many bytes of `options`, the text these fields are of, have been read.
    pub fn position_in(&self, options: &[u8]) -> usize {
        options.len() - self.rest.len()
    }

    /// Are there no more fields?
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'t> Iterator for OptionFields<'t> {
    /// The field's text, with `\:` made `:`, blanks around it not yet trimmed.
    type Item = Cow<'t, [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut unescaped: Option<Vec<u8>> = None;
        let mut at = 0;
        let mut end = self.rest.len();
        let mut next = end;
        self.ended_by_colon = false;
        while at < self.rest.len() {
            match self.rest[at..] {
                [b'\\', b':', ..] => {
                    unescaped
                        .get_or_insert_with(|| self.rest[..at].to_vec())
                        .push(b':');
                    at += 2;
                    continue;
                }
                [b':', ..] => {
                    (end, next) = (at, at + 1);
                    self.ended_by_colon = true;
                    break;
                }
                [byte, ..] => {
                    if let Some(text) = &mut unescaped {
                        text.push(byte);
                    }
                }
                [] => {}
            }
            at += 1;
        }
        let field = match unescaped {
            Some(text) => Cow::Owned(text),
            None => Cow::Borrowed(&self.rest[..end]),
        };
        self.rest = &self.rest[next..];
        Some(field)
    }
}

/// Splits a field into keyword and value. Between them stand blanks, one `=`, or both.
/// The keyword is empty where the field is blank.
pub fn keyword_and_value(field: &[u8]) -> (&[u8], Option<&[u8]>) {
    let field = trim(field);
    let end = field
        .iter()
        .position(|b| *b == b'=' || is_blank(*b))
        .unwrap_or(field.len());
    let (keyword, rest) = field.split_at(end);
    let value = after_blanks(rest);
    let value = after_blanks(value.strip_prefix(b"=").unwrap_or(value));
    (keyword, (!value.is_empty()).then_some(value))
}

/// `[facility.]level`, as numbers of `<syslog.h>`. Without a facility, the daemon's own is used. The
/// error is the word that is neither.
pub fn severity(value: &[u8]) -> Result<Severity, &[u8]> {
    const FACILITIES: [(&str, u32); 17] = [
        ("kern", 0),
        ("user", 1),
        ("mail", 2),
        ("daemon", 3),
        ("auth", 4),
        ("lpr", 6),
        ("news", 7),
        ("uucp", 8),
        ("cron", 9),
        ("local0", 16),
        ("local1", 17),
        ("local2", 18),
        ("local3", 19),
        ("local4", 20),
        ("local5", 21),
        ("local6", 22),
        ("local7", 23),
    ];
    const LEVELS: [(&str, u32); 8] = [
        ("emerg", 0),
        ("alert", 1),
        ("crit", 2),
        ("err", 3),
        ("warning", 4),
        ("notice", 5),
        ("info", 6),
        ("debug", 7),
    ];
    fn find<'w>(table: &[(&str, u32)], word: &'w [u8]) -> Result<u32, &'w [u8]> {
        let entry = table
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        entry.map(|(_, number)| *number).ok_or(word)
    }
    let (facility, level) = match find_outside_brackets(value, b'.') {
        Some(at) => (find(&FACILITIES, &value[..at])? << 3, &value[at + 1..]),
        None => (0, value),
    };
    Ok(Severity(facility | find(&LEVELS, level)?))
}

/// An octal mask up to 0777.
pub fn umask(value: &[u8]) -> Option<u32> {
    whole_unsigned(value, 8).filter(|mask| *mask <= 0o777)
}

/// Seconds to linger, 0 or more.
pub fn linger(value: &[u8]) -> Option<u32> {
    whole_signed(value).and_then(|n| u32::try_from(n).ok())
}

/// An ident timeout in seconds, 1 or more.
pub fn timeout(value: &[u8]) -> Option<u32> {
    linger(value).filter(|n| *n > 0)
}

/// A change of the nice value; 10 where none is given.
pub fn nice(value: Option<&[u8]>) -> Option<i32> {
    value.map_or(Some(10), whole_signed)
}

/// A variable's name and value; the value is trimmed and may be empty.
pub fn variable(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|b| is_blank(*b)).unwrap_or(value.len());
    (&value[..end], trim(&value[end..]))
}

/// `user[.group]`
pub fn user_and_group(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'.', value) {
        Some(at) => (&value[..at], Some(&value[at + 1..])),
        None => (value, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_split_at_bare_colons() {
        let fields: Vec<_> = option_fields(br" spawn a\:b \c : allow")
            .map(Cow::into_owned)
            .collect();
        assert_eq!(fields, [br" spawn a:b \c ".to_vec(), b" allow".to_vec()]);
        assert_eq!(option_fields(b"a: ").count(), 2);
        assert_eq!(option_fields(b"a:").count(), 1);
        assert_eq!(option_fields(b"").count(), 0);
    }

    #[test]
    fn keywords_and_values() {
        assert_eq!(
            keyword_and_value(b" spawn = x y "),
            (&b"spawn"[..], Some(&b"x y"[..]))
        );
        assert_eq!(
            keyword_and_value(b"umask=022"),
            (&b"umask"[..], Some(&b"022"[..]))
        );
        assert_eq!(keyword_and_value(b"twist ==x"), (&b"twist"[..], Some(&b"=x"[..])));
        assert_eq!(keyword_and_value(b" \r\n"), (&b""[..], None));
    }

    #[test]
    fn severities() {
        assert_eq!(severity(b"auth.Info"), Ok(Severity(38)));
        assert_eq!(severity(b"notice"), Ok(Severity(5)));
        assert_eq!(severity(b"auth"), Err(&b"auth"[..]));
        assert_eq!(severity(b"x.y"), Err(&b"x"[..]));
    }
}
