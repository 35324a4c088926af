//! Daemon lists: names no process goes by (hosts_access(5), SERVER ENDPOINT PATTERNS).

use std::borrow::Cow;

use super::code::{Code, Level, allow, codes};
use super::finding::Fix;
use super::lists::is_near;
use super::{Context, quoted};
use crate::document::Rule;
use hosts_access::syntax::pattern::{Service, StringPattern};

codes! {
    pub(super) PATH = "W121" "daemon-path" Error {
        meaning: "A daemon is matched by the name of its process, which has no directory in it. A path never \
            matches.",
        remedy: "Write the last part of the path alone.",
        bad: allow("/usr/sbin/sshd: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) UNIT = "W122" "daemon-unit" Error {
        meaning: "This is the name of a systemd unit. A daemon is matched by the name of its process, which \
            does not end in `.service` or `.socket` and often differs from the unit's.",
        remedy: "Write the name of the program.",
        bad: allow("sshd.service: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) ALIAS = "W123" "daemon-alias" Warning {
        meaning: "This is the name of a protocol, a package or a client program. Rules are matched by the name \
            of the server's process: `sshd`, not `ssh`. Under this name the rule matches nothing, unless some \
            program was built or set up to use it.",
        remedy: "Write the name of the server's process.",
        bad: allow("ssh: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    pub(super) WILDCARD = "W124" "client-pattern-as-daemon" Warning {
        meaning: "`LOCAL`, `UNKNOWN`, `PARANOID` and netgroups are patterns for hosts. In a list of daemons they \
            are compared letter by letter with the daemon's name, and match nothing; `KNOWN` matches every daemon.",
        remedy: "Name the daemons, or write `ALL`.",
        bad: allow("LOCAL: 10.0.0.1\n"),
        good: allow("ALL: 10.0.0.1\n"),
    }

    pub(super) PORT = "W125" "bad-port" Error {
        meaning: "A number up to 65535 in a list of daemons is a port. A larger number, a range, or a number \
            with `/tcp` behind it is compared with the daemon's name and matches nothing.",
        remedy: "Write each port as a plain number.",
        bad: allow("22/tcp: 10.0.0.1\n"),
        good: allow("22: 10.0.0.1\n"),
    }

    pub(super) AFFIX = "W126" "dotted-daemon" Warning {
        meaning: "A daemon pattern that begins with a dot matches names that end so, and one that ends in a dot \
            names that begin so. That is meant for hosts and addresses; for daemons it is nearly always a slip.",
        remedy: "Write the daemon's name, or a pattern with `*`.",
        bad: allow("in.: 10.0.0.1\n"),
        good: allow("in.*: 10.0.0.1\n"),
    }

    pub(super) NEAR = "W127" "misspelt-daemon" Warning {
        meaning: "The name is one letter away from that of a well-known daemon, and is no name that is known itself. It is \
            compared letter by letter, so a rule for `ssdh` does nothing for `sshd`.",
        remedy: "Correct the name.",
        bad: allow("ssdh: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }
}

/// Names by which things are called, and the processes meant. The first process is the usual one.
const ALIASES: &[(&str, &[&str])] = &[
    ("ssh", &["sshd"]),
    ("openssh", &["sshd"]),
    ("openssh-server", &["sshd"]),
    ("sftp", &["sshd"]),
    ("scp", &["sshd"]),
    ("ftp", &["vsftpd", "proftpd", "in.ftpd"]),
    ("telnet", &["in.telnetd", "telnetd"]),
    ("rlogin", &["in.rlogind"]),
    ("rsh", &["in.rshd"]),
    ("rexec", &["in.rexecd"]),
    ("tftp", &["in.tftpd"]),
    ("finger", &["in.fingerd"]),
    ("talk", &["in.talkd"]),
    ("ldap", &["slapd"]),
    ("ldaps", &["slapd"]),
    ("nfs", &["mountd", "statd", "rpcbind"]),
    ("nfsd", &["mountd", "statd", "rpcbind"]),
    ("smb", &["smbd"]),
    ("samba", &["smbd", "nmbd"]),
    ("imap", &["imapd", "dovecot"]),
    ("pop3", &["ipop3d", "dovecot"]),
    ("smtp", &["sendmail", "exim"]),
    ("mysql", &["mysqld"]),
    ("http", &["httpd"]),
    ("https", &["httpd"]),
    ("snmp", &["snmpd"]),
    ("ntp", &["ntpd"]),
    ("dns", &["named"]),
    ("bind", &["named"]),
    ("vnc", &["Xvnc"]),
    ("rdp", &["xrdp"]),
    ("cups", &["cupsd"]),
    ("git", &["git-daemon"]),
    ("syslog", &["rsyslogd", "syslog-ng"]),
];

/// Names that are surely daemons' and hardly hosts'.
const DAEMONS: &[&str] = &[
    "sshd",
    "vsftpd",
    "proftpd",
    "pure-ftpd",
    "slapd",
    "sendmail",
    "rpcbind",
    "portmap",
    "mountd",
    "rpc.mountd",
    "statd",
    "rpc.statd",
    "lockd",
    "rquotad",
    "nrpe",
    "snmpd",
    "xinetd",
    "inetd",
    "smbd",
    "nmbd",
    "stunnel",
    "ypserv",
    "popper",
    "sshfwd-x11",
    "sshdfwd-x11",
    "in.telnetd",
    "in.ftpd",
    "in.tftpd",
    "in.fingerd",
    "in.rshd",
    "in.rlogind",
    "in.rexecd",
    "in.talkd",
];

pub(super) fn is_certainly_daemon(word: &[u8]) -> bool {
    // Addresses are what is asked about most.
    if !word.first().is_some_and(u8::is_ascii_alphabetic) {
        return false;
    }
    DAEMONS.iter().any(|d| d.as_bytes().eq_ignore_ascii_case(word))
}

/// Lints of the daemon list; words from `end` on are a comment's.
pub(super) fn lint(cx: &mut Context<'_, '_>, rule: &Rule<'_>, end: usize) {
    for token in rule.daemons.tokens().filter(|t| t.span.start < end) {
        let Service::Name(pattern) = token.pattern.service else {
            continue;
        };
        // The name alone, without `@host`.
        let length = hosts_access::syntax::find_outside_brackets(token.text, b'@')
            .filter(|at| *at > 0)
            .unwrap_or(token.text.len());
        let name = &token.text[..length];
        let span = token.span.start..token.span.start + length;
        if let Some(slash) = name.iter().rposition(|b| *b == b'/')
            && !name[0].is_ascii_digit()
        {
            let last = &name[slash + 1..];
            let message = format!("{} never matches: a daemon's name has no directory", quoted(name));
            let edit = cx.edit(&span, last);
            let finding = cx.report(&PATH, &span, message);
            if last.is_empty() {
                finding.help("write the name of the program alone");
            } else {
                let title = format!("write {}", quoted(last));
                finding.fix(Fix::suggested(title, vec![edit]));
            }
            continue;
        }
        match pattern {
            StringPattern::Exact(_) => exact(cx, name, &span),
            StringPattern::Suffix(_) | StringPattern::Prefix(_) => {
                let message = format!(
                    "{} matches every daemon whose name ends or begins so",
                    quoted(name)
                );
                cx.report(&AFFIX, &span, message)
                    .help("write the daemon's name, or a pattern with `*`");
            }
            StringPattern::Known => {
                cx.report(
                    &WILDCARD,
                    &span,
                    "`KNOWN` is meant for hosts; here it matches every daemon",
                )
                .help("write `ALL`");
            }
            StringPattern::Wildcard(_) | StringPattern::All | StringPattern::Bracketed(_) => {}
        }
    }
}

fn exact(cx: &mut Context<'_, '_>, name: &[u8], span: &std::ops::Range<usize>) {
    let lower = if name.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    };
    let word = lower.as_ref();
    if matches!(word, b"local" | b"unknown" | b"paranoid") || word.first() == Some(&b'@') {
        let message = format!(
            "{} is a pattern for hosts; no daemon has this name, so it matches nothing",
            quoted(name)
        );
        cx.report(&WILDCARD, span, message)
            .help("name the daemons, or write `ALL`");
    } else if let Some(stem) = [&b".service"[..], b".socket"]
        .iter()
        .find_map(|unit| word.strip_suffix(*unit))
    {
        let stem = process(stem).map_or_else(|| stem.to_vec(), |p| p.as_bytes().to_vec());
        let message = format!("{} is a systemd unit; no process has this name", quoted(name));
        let edit = cx.edit(span, stem.as_slice());
        let title = format!("write {}", quoted(&stem));
        let finding = cx.report(&UNIT, span, message);
        if stem.is_empty() {
            finding.help("write the name of the program");
        } else {
            finding.fix(Fix::suggested(title, vec![edit]));
        }
    } else if word[0].is_ascii_digit() && looks_like_port(word) {
        let message = format!(
            "{} is no port from 0 to 65535, so it matches nothing",
            quoted(name)
        );
        let digits = word.iter().take_while(|b| b.is_ascii_digit()).count();
        let edit = cx.edit(span, &word[..digits]);
        let finding = cx.report(&PORT, span, message);
        if word[digits..].first() == Some(&b'/') && digits < 6 {
            finding.fix(Fix::suggested("write the number alone", vec![edit]));
        } else {
            finding.help("write each port as a plain number");
        }
    } else if let Some((_, processes)) = ALIASES.iter().find(|(alias, _)| alias.as_bytes() == word) {
        let meant = processes
            .iter()
            .map(|p| format!("`{p}`"))
            .collect::<Vec<_>>()
            .join(" or ");
        let message = format!("the server's process is not called {} but {meant}", quoted(name));
        let edit = cx.edit(span, processes[0]);
        let title = format!("write `{}`", processes[0]);
        let is_plain = processes.len() == 1;
        let finding = cx.report(&ALIAS, span, message);
        if is_plain {
            finding.fix(Fix::suggested(title, vec![edit]));
        } else {
            finding.help(format!("write the name of the process, such as {meant}"));
        }
    } else if let Some(daemon) = near(word) {
        let message = format!(
            "no known daemon is called {}; did you mean `{daemon}`?",
            quoted(name)
        );
        let edit = cx.edit(span, daemon);
        cx.report(&NEAR, span, message)
            .fix(Fix::suggested(format!("write `{daemon}`"), vec![edit]));
    }
}

/// The well-known daemon that a name is one slip away from. Short names are near to too many.
fn near(word: &[u8]) -> Option<&'static str> {
    /// Names of programs that are near to one of [`DAEMONS`] and are none of them misspelt.
    const REAL: [&str; 24] = [
        "sshd2",
        "ssh",
        "ftpd",
        "sftpd",
        "tftpd",
        "telnetd",
        "rshd",
        "nfsd",
        "xrdp",
        "smtpd",
        "dmbd",
        "nmbd",
        "smbd",
        "rstatd",
        "rpc.rstatd",
        "lockd",
        "blockd",
        "slapd2",
        "snmpd",
        "snapd",
        "mounted",
        "in.ftpd",
        "in.tftpd",
        "in.rshd",
    ];
    const SHORTEST: usize = 4;
    let is_name = word
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    if word.len() < SHORTEST || !is_name || !word[0].is_ascii_alphabetic() {
        return None;
    }
    let word = std::str::from_utf8(word).ok()?;
    let is_known = REAL.contains(&word)
        || DAEMONS.contains(&word)
        || ALIASES.iter().any(|(_, processes)| processes.contains(&word));
    DAEMONS
        .iter()
        .find(|daemon| !is_known && daemon.len() >= SHORTEST && is_near(word, daemon))
        .copied()
}

/// The processes that are meant where something is called by this name, the usual one first.
pub fn daemons_called(alias: &[u8]) -> &'static [&'static str] {
    let found = ALIASES
        .iter()
        .find(|(name, _)| alias.eq_ignore_ascii_case(name.as_bytes()));
    found.map_or(&[], |(_, processes)| processes)
}

/// The process that an alias stands for.
fn process(alias: &[u8]) -> Option<&'static str> {
    daemons_called(alias).first().copied()
}

/// `70000`, `22/tcp`, `6000-6010`, but no address and no name that begins with a digit.
fn looks_like_port(word: &[u8]) -> bool {
    let digits = word.iter().take_while(|b| b.is_ascii_digit()).count();
    match &word[digits..] {
        [] => true,
        [b'/', rest @ ..] => matches!(rest, b"tcp" | b"udp"),
        [b'-', rest @ ..] => !rest.is_empty() && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}
