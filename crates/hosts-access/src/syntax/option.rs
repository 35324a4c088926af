//! The option part of a rule (hosts_options(5)): fields and keywords. What the values mean is in `values`.

mod values;

use std::borrow::Cow;

pub use self::values::{
    Limit, Max, Source, duration, limit, linger, max, nice, severity, timeout, umask, user_and_group,
    variable,
};
use crate::text::{after_blanks, find_either, is_blank, trim};

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
    /// `if`: the rule matches only clients of this list.
    If,
    /// `trial`: the rule decides nothing.
    Trial,
    /// `limit`: not more than so many in some time.
    Limit,
    /// `max`: not more than so many at once.
    Max,
    /// `ban`: who is denied goes on the ban list.
    Ban,
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
    /// What is remembered of clients.
    Memory,
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
    /// Whether the rule matches at all.
    Matching,
    /// The rule does not decide.
    Trying,
    /// Denied, where it would be too many.
    Refusing,
}

/// Where an option stands among the others of its rule: the additions come first, in this order, since a classic
/// libwrap runs what stands before the option that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// `if`
    Condition,
    /// `trial`
    Trial,
    /// `limit` and `max`
    Bound,
    /// `ban`
    Ban,
    /// The options there have always been.
    Classic,
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
const OPTIONS: [Facts; 20] = {
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
        row((Keyword::If, "if", Takes::Value, "client_list"), (LITERAL, ANYWHERE, Verdict, Decides::Matching),
            "matches only clients that this list matches too"),
        row((Keyword::Trial, "trial", Takes::Nothing, ""), (LITERAL, ANYWHERE, Verdict, Decides::Trying),
            "decides nothing: what the rule would do is logged"),
        row((Keyword::Limit, "limit", Takes::Value, "N/PERIOD [burst B] [per /L4 [/L6]]"), (LITERAL, ANYWHERE, Memory, Decides::Refusing),
            "refuses more connections than that from one source"),
        row((Keyword::Max, "max", Takes::Value, "N [per /L4 [/L6]] | N total"), (LITERAL, ANYWHERE, Memory, Decides::Refusing),
            "refuses more connections than that at once"),
        row((Keyword::Ban, "ban", Takes::Value, "duration"), (LITERAL, ANYWHERE, Memory, Decides::Nothing),
            "puts whom the rule denies on the ban list"),
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

    /// Where it stands among the options of its rule.
    pub fn order(self) -> Order {
        match self {
            Keyword::If => Order::Condition,
            Keyword::Trial => Order::Trial,
            Keyword::Limit | Keyword::Max => Order::Bound,
            Keyword::Ban => Order::Ban,
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
            | Keyword::Group => Order::Classic,
        }
    }

    /// Is it one of those that the reference does not know?
    pub fn is_addition(self) -> bool {
        self.order() != Order::Classic
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
        let is_list = begins_condition(self.rest);
        let plain = match is_list {
            true => None,
            false => find_either(self.rest, [b':', b'\\']).or(Some(self.rest.len())),
        };
        if let Some(end) = plain.filter(|end| self.rest.get(*end) != Some(&b'\\')) {
            self.ended_by_colon = end < self.rest.len();
            let field = &self.rest[..end];
            self.rest = &self.rest[end + usize::from(self.ended_by_colon)..];
            return Some(Cow::Borrowed(field));
        }
        let mut unescaped: Option<Vec<u8>> = None;
        let mut at = 0;
        let mut end = self.rest.len();
        let mut next = end;
        self.ended_by_colon = false;
        // A client list is split as one is: outside brackets.
        let mut depth = 0i64;
        while at < self.rest.len() {
            match self.rest[at..] {
                [b'\\', b':', ..] => {
                    unescaped
                        .get_or_insert_with(|| self.rest[..at].to_vec())
                        .push(b':');
                    at += 2;
                    continue;
                }
                [b':', ..] if depth == 0 => {
                    (end, next) = (at, at + 1);
                    self.ended_by_colon = true;
                    break;
                }
                [b'[', ..] if is_list => depth += 1,
                [b']', ..] if is_list => depth -= 1,
                _ => {}
            }
            if let Some(text) = &mut unescaped {
                text.push(self.rest[at]);
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

/// Does an `if` option begin here?
fn begins_condition(text: &[u8]) -> bool {
    match after_blanks(text) {
        [i, f, next, ..] => {
            i.eq_ignore_ascii_case(&b'i')
                && f.eq_ignore_ascii_case(&b'f')
                && (*next == b'=' || is_blank(*next))
        }
        [] | [_] | [_, _] => false,
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
        let mut fields = option_fields(b"a: b:");
        assert!(fields.next().is_some() && fields.ended_by_colon() && !fields.is_at_end());
        assert!(fields.next().is_some() && fields.ended_by_colon() && fields.is_at_end());
        let mut fields = option_fields(br"a\:");
        assert!(fields.next().is_some() && !fields.ended_by_colon() && fields.is_at_end());
    }

    #[test]
    fn keywords_and_values() {
        for (at, keyword) in Keyword::ALL.into_iter().enumerate() {
            assert_eq!(keyword as usize, at);
            assert_eq!(Keyword::parse(keyword.as_str().as_bytes()), Some(keyword));
        }
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
    fn colons_in_brackets_belong_to_a_condition() {
        let fields = |text: &'static [u8]| option_fields(text).map(Cow::into_owned).collect::<Vec<_>>();
        assert_eq!(
            fields(b" if [2001:db8::]/32 : trial"),
            [b" if [2001:db8::]/32 ".to_vec(), b" trial".to_vec()]
        );
        assert_eq!(
            fields(b"IF=[::1]:allow"),
            [b"IF=[::1]".to_vec(), b"allow".to_vec()]
        );
        // Nowhere else.
        assert_eq!(fields(b"spawn [a:b]").len(), 2);
        for other in [&b"iffy [a:b]"[..], b"if", b"is [a:b]", b"of [a:b]"] {
            assert_eq!(fields(other).len(), other.split(|byte| *byte == b':').count());
        }
        // Whatever else stands there.
        assert_eq!(
            fields(br"if a\:b@ALL [::1] EXCEPT [::2]: allow"),
            [b"if a:b@ALL [::1] EXCEPT [::2]".to_vec(), b" allow".to_vec()]
        );
    }
}
