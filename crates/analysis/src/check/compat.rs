//! Rules whose meaning depends on which implementation reads them: each place where this project differs
//! from TCP Wrappers 7.6 on purpose.

use super::code::{Code, Level, allow, codes};
use super::finding::Fix;
use super::{Context, quoted};
use crate::document::Rule;
use hosts_access::syntax::option::Keyword;
use hosts_access::syntax::pattern::{HostPattern, Service, StringPattern};

codes! {
    pub(super) LONG = "W601" "long-line" Info {
        meaning: "The line is longer than 2047 bytes, continuation lines counted in. The reference stops reading \
            the table there, and `hosts.deny` then denies everyone; here there is no limit.",
        remedy: "Break it into several rules if other implementations read the file.",
        bad: allow(LONG_LINE),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) USER = "W602" "user-takes-effect" Info {
        meaning: "`user` and `group` take effect, as the manual says. In the reference they are read and then do \
            nothing, so the service runs as root there.",
        remedy: "Make sure that the service can run as that user.",
        bad: allow("in.fingerd: 10.0.0.1 : user nobody\n"),
        good: allow("in.fingerd: 10.0.0.1\n"),
    }

    pub(super) ACLEXEC = "W603" "aclexec-failure" Info {
        meaning: "When the command of `aclexec` fails in `hosts.allow`, the rest of that table is skipped and \
            `hosts.deny` is read, at whose end access is denied. The reference grants at the end, and once a \
            command has failed a resident process may grant later requests too. In `hosts.deny` a failure skips \
            the rule here, and the rest of the table in the reference.",
        remedy: "Close `hosts.deny` with `ALL: ALL`, which makes both decide the same.",
        bad: allow("sshd: ALL : aclexec /usr/local/bin/filter %a\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) STARS = "W604" "many-stars" Info {
        meaning: "A pattern with many stars can keep the reference busy for minutes when a long name nearly \
            matches it; here the work is bounded.",
        remedy: "Use fewer stars if other implementations read the file.",
        bad: allow("sshd: *a*b*c*d*e*f*g*h*\n"),
        good: allow("sshd: *.example.com\n"),
    }

    pub(super) LONG_NAME = "W605" "long-name" Info {
        meaning: "The reference cuts names at 127 characters before it compares them, so a pattern longer than \
            that matches nothing there.",
        remedy: "Use a shorter pattern if other implementations read the file.",
        bad: allow(
            "sshd: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.\
             aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com\n",
        ),
        good: allow("sshd: a.example.com\n"),
    }

    pub(super) STARS_AT_END = "W607" "stars-at-end" Info {
        meaning: "Two stars or more at the end of a pattern stand for any text here, an empty one too, as one star \
            does. In the reference they match nothing where no text is left for them: `gw.example.com**` does not \
            match `gw.example.com` there.",
        remedy: "Write one star, which means the same to both.",
        bad: allow("sshd: gw.example.com**\n"),
        good: allow("sshd: gw.example.com*\n"),
    }
}

/// 2,100 bytes of one rule.
const LONG_LINE: &str = {
    const LENGTH: usize = 2100;
    const BYTES: [u8; LENGTH] = {
        let mut bytes = [b'a'; LENGTH];
        let head = b"sshd: ";
        let mut at = 0;
        while at < head.len() {
            bytes[at] = head[at];
            at += 1;
        }
        bytes[LENGTH - 1] = b'\n';
        bytes
    };
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};

/// What other implementations do otherwise.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>) {
    const LINE: usize = 2047;
    const NAME: usize = 127;
    const MANY: usize = 6;
    if cx.line.len() > LINE {
        let message = format!(
            "{} bytes in one line: the reference ignores this rule and every one below it",
            cx.line.len()
        );
        cx.report(&LONG, &(0..1), message);
    }
    for token in rule.clients.tokens() {
        if memchr::memchr_iter(b'*', token.text).count() > MANY {
            cx.report(
                &STARS,
                &token.span,
                "the reference may take minutes to compare this pattern",
            );
        }
        if token.text.len() > NAME && !token.text.starts_with(b"/") {
            cx.report(
                &LONG_NAME,
                &token.span,
                "the reference cuts names at 127 characters",
            );
        }
    }
    stars_at_end(cx, rule);
    for option in &rule.options {
        match option.keyword {
            Some(Keyword::User | Keyword::Group) => {
                cx.report(
                    &USER,
                    &option.span,
                    "the reference ignores this option, so the service stays root",
                );
            }
            Some(Keyword::Aclexec) => {
                cx.report(
                    &ACLEXEC,
                    &option.span,
                    "where the command fails, implementations differ",
                );
            }
            _ => {}
        }
    }
}

/// `gw.example.com**` in any part of a token.
fn stars_at_end(cx: &mut Context<'_, '_>, rule: &Rule<'_>) {
    for token in rule.daemons.tokens() {
        if let Service::Name(StringPattern::Wildcard(name)) = token.pattern.service {
            stars_at_end_of(cx, name, token.span.start);
        }
        host_stars(cx, token.pattern.host, token.span.end);
    }
    for token in rule.clients.tokens() {
        if let Some(StringPattern::Wildcard(user)) = token.pattern.user.map(StringPattern::parse) {
            stars_at_end_of(cx, user, token.span.start);
        }
        host_stars(cx, Some(token.pattern.host), token.span.end);
    }
}

/// The same in a pattern for a host, which ends there.
fn host_stars(cx: &mut Context<'_, '_>, host: Option<HostPattern<'_>>, end: usize) {
    if let Some(HostPattern::Text {
        pattern: StringPattern::Wildcard(text),
        ..
    }) = host
    {
        stars_at_end_of(cx, text, end - text.len());
    }
}

/// The same in a wildcard that begins there.
fn stars_at_end_of(cx: &mut Context<'_, '_>, text: &[u8], start: usize) {
    let stars = text.iter().rev().take_while(|byte| **byte == b'*').count();
    // For stars alone there is always some text left.
    if stars < 2 || stars == text.len() {
        return;
    }
    let message = format!(
        "in the reference some text must stand where the stars of {} are",
        quoted(text)
    );
    let end = start + text.len();
    let edit = cx.edit(&(end - stars..end), "*");
    cx.report(&STARS_AT_END, &(start..end), message)
        .fix(Fix::safe("write one star", vec![edit]));
}
