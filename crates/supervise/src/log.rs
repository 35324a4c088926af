//! What the guard says: to the system log in tcpd's words, or to standard error as text or JSON lines.
//!
//! A thread of its own writes, so that a log that does not take lines in holds up no connection. It gathers
//! lines for a moment before it writes them, since to wake a thread takes longer than to accept a connection.
//! What may wait is bounded; what does not fit is counted, and the count is logged.

use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hosts_access::{Diagnostic, Kind, LogLine, Note, Reason, Record, Severity, Then, Verdict};
use serde::Serialize;
use system::syslog;

use crate::call::is_writable;

/// How many lines may wait.
const QUEUE: usize = 8192;
/// How long the only line of a process waits for a reader.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long lines are gathered.
const GATHER: Duration = Duration::from_millis(2);
/// How many bytes of them are written at once: as many as no other writer to a pipe comes between.
const TOGETHER: usize = libc::PIPE_BUF;
/// How many diagnostics of the tables are remembered as said.
const SAID: usize = 1024;

/// Where lines go, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The system log, as tcpd's.
    #[default]
    Syslog,
    /// Standard error, tcpd's words after time, daemon and process.
    Text,
    /// Standard error, one JSON object a line.
    Json,
}

/// A decision as a JSON object. Bytes that are no UTF-8 become the replacement character.
#[derive(Serialize)]
struct Object {
    time: String,
    event: &'static str,
    daemon: String,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_port: Option<u16>,
    verdict: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_lookup_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_lookup_ms: Option<f64>,
    /// Rules on trial, and what was not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<NoteObject>,
    message: String,
}

/// What led to a decision besides the rule that decided.
#[derive(Serialize)]
struct NoteObject {
    kind: &'static str,
    file: String,
    line: u32,
    rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
}

#[derive(Serialize)]
struct Message {
    time: String,
    event: &'static str,
    daemon: String,
    level: &'static str,
    message: String,
}

/// What the writing thread gets.
#[derive(Debug)]
enum Entry {
    Syslog(Severity, Vec<u8>),
    /// A line about a process, and when that was.
    Text(SystemTime, u32, Vec<u8>),
    Json(Vec<u8>),
}

/// Lines on their way to the thread that writes.
#[derive(Debug, Default)]
struct Lines {
    waiting: Vec<Entry>,
    /// How many did not fit.
    lost: u64,
    /// There will be no more.
    closed: bool,
    /// The thread sleeps until it is woken.
    sleeps: bool,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Mutex<Lines>,
    wake: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    format: Format,
    daemon: Vec<u8>,
    queue: Arc<Queue>,
    /// Diagnostics of the tables as they are now that have been logged.
    said: Mutex<HashSet<Vec<u8>>>,
}

impl Log {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(
        format: Format,
        daemon: &[u8],
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let queue = Arc::new(Queue::default());
        if format == Format::Syslog {
            syslog::open(daemon);
        }
        let log = Log {
            format,
            daemon: daemon.to_vec(),
            queue: Arc::clone(&queue),
            said: Mutex::default(),
        };
        let daemon = daemon.to_vec();
        let writer = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write(&queue, format, &daemon))?;
        Ok((log, writer))
    }

    fn send(&self, entry: Entry) {
        let mut lines = self.queue.lock();
        if lines.waiting.len() < QUEUE {
            lines.waiting.push(entry);
        } else {
            lines.lost += 1;
        }
        let wake = std::mem::take(&mut lines.sleeps);
        // Else it would wake up to wait for the lock.
        drop(lines);
        if wake {
            self.queue.wake.notify_one();
        }
    }

    /// Ends the log: the thread that writes ends when it has written what waits.
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_one();
    }

    /// Logs a line.
    pub(crate) fn line(&self, severity: Severity, line: &[u8]) {
        self.send(message(self.format, &self.daemon, severity, line.to_vec()));
    }

    /// Logs a diagnostic of the tables, unless it has been said since they changed.
    pub(crate) fn diagnostic(&self, diagnostic: &Diagnostic) {
        let line = diagnostic.line();
        if matches!(diagnostic.kind, Kind::Error | Kind::Warning) {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.contains(&line) {
                return;
            }
            if said.len() < SAID {
                said.insert(line.clone());
            }
        }
        self.line(syslog::level(diagnostic.kind), &line);
    }

    /// The tables are other ones now: what was said of the old ones may be said again.
    pub(crate) fn tables_changed(&self) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Logs a decision about a client of a process. All there is to say of it is asked for only where it is said.
    pub(crate) fn decision(&self, process: u32, line: LogLine, record: impl FnOnce(LogLine) -> Record) {
        self.send(match self.format {
            Format::Syslog => Entry::Syslog(line.severity, line.text),
            Format::Text => Entry::Text(SystemTime::now(), process, line.text),
            Format::Json => json(&Object::of(&record(line))),
        });
    }
}

impl Object {
    fn of(record: &Record) -> Self {
        let decision = &record.decision;
        let rule = decision.rule.as_ref();
        let address = |end: Option<SocketAddr>| end.map(|end| lossy(&system::netdb::numeric(&end)));
        Object {
            time: rfc3339(record.time),
            event: "connection",
            daemon: lossy(&record.daemon),
            pid: record.process,
            client_address: address(record.client),
            client_port: record.client.map(|end| end.port()),
            client_name: record.name.as_deref().map(lossy),
            client_user: record.user.as_deref().map(lossy),
            server_address: address(record.server),
            server_port: record.server.map(|end| end.port()),
            verdict: verdict(decision.verdict),
            reason: reason(decision.reason),
            file: rule.map(|rule| rule.place.file.display().to_string()),
            line: rule.map(|rule| rule.place.line),
            rule: rule.map(|rule| lossy(rule.text())),
            command: match decision.then() {
                Then::Twist(command) => Some(lossy(command)),
                Then::Serve | Then::Refuse => None,
            },
            name_lookup_ms: record.look_ups.name.map(milliseconds),
            user_lookup_ms: record.look_ups.user.map(milliseconds),
            notes: decision.notes.iter().filter_map(NoteObject::of).collect(),
            message: lossy(&record.line.text),
        }
    }
}

impl NoteObject {
    fn of(note: &Note) -> Option<Self> {
        let (kind, rule, would_be, causes) = match note {
            Note::Trial { rule, verdict } => ("trial", rule, *verdict, &[][..]),
            Note::NotKnown { rule, causes } => ("not known", rule, None, &causes[..]),
            // A kind that this version has no words for.
            _ => return None,
        };
        Some(NoteObject {
            kind,
            file: rule.place.file.display().to_string(),
            line: rule.place.line,
            rule: lossy(rule.text()),
            verdict: would_be.map(verdict),
            causes: causes.iter().map(ToString::to_string).collect(),
        })
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted => "granted",
        Verdict::Denied => "denied",
        Verdict::Delegated => "twisted",
    }
}

/// A line that is about no connection.
fn message(format: Format, daemon: &[u8], severity: Severity, line: Vec<u8>) -> Entry {
    match format {
        Format::Syslog => Entry::Syslog(severity, line),
        Format::Text => Entry::Text(SystemTime::now(), std::process::id(), line),
        Format::Json => json(&Message {
            time: rfc3339(SystemTime::now()),
            event: "message",
            daemon: lossy(daemon),
            level: level(severity),
            message: lossy(&line),
        }),
    }
}

fn json(object: &impl Serialize) -> Entry {
    // Strings and numbers can always be written.
    let line = serde_json::to_string(object).unwrap_or_default();
    let mut out = Vec::with_capacity(line.len() + 1);
    for character in line.chars() {
        let mut buffer = [0; 4];
        // What is left of these stands in strings.
        if syslog::is_hidden(character) {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
        } else {
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }
    out.push(b'\n');
    Entry::Json(out)
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Rule => "rule",
        Reason::NoMatch => "no match",
        Reason::TableError => "table error",
        Reason::OptionError => "option error",
        Reason::AclexecFailed => "aclexec failed",
        Reason::OverLimit => "over limit",
        Reason::TooMany => "too many connections",
        Reason::NotKnown => "not known",
    }
}

fn level(severity: Severity) -> &'static str {
    let names = [
        "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
    ];
    names[(severity.0 & 7) as usize]
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A time in UTC, as RFC 3339 writes it.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() as libc::time_t;
    // SAFETY: plain data.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: a time, and room for its parts.
    unsafe { libc::gmtime_r(&seconds, &mut parts) };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        parts.tm_year + 1900,
        parts.tm_mon + 1,
        parts.tm_mday,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec,
        since.subsec_micros()
    )
}

/// Logs a line about no connection in a process that has no other log.
pub(crate) fn at_once(format: Format, daemon: &[u8], severity: Severity, line: &[u8]) {
    if format == Format::Syslog {
        syslog::open(daemon);
    }
    let entry = message(format, daemon, severity, line.to_vec());
    put(&syslog::escaped(daemon), [entry], Some(PATIENCE));
}

/// Writes entries, and says how many lines were not written. Waits for a reader who is slow, `patience` where there is
/// one.
fn put(name: &[u8], entries: impl IntoIterator<Item = Entry>, patience: Option<Duration>) -> u64 {
    let (mut lines, mut failed) = (Vec::new(), 0);
    let mut write = |lines: &mut Vec<u8>| {
        let left = to_stderr(lines, patience);
        failed += left.iter().filter(|byte| **byte == b'\n').count() as u64;
        lines.clear();
    };
    for entry in entries {
        let line = match entry {
            Entry::Syslog(severity, line) => {
                syslog::write(severity, &line);
                continue;
            }
            Entry::Text(time, process, line) => {
                let process = format!("[{process}]: ");
                let (time, line) = (rfc3339(time), syslog::escaped(&line));
                [time.as_bytes(), b" ", name, process.as_bytes(), &line, b"\n"].concat()
            }
            Entry::Json(line) => line,
        };
        if lines.len() + line.len() > TOGETHER {
            write(&mut lines);
        }
        lines.extend(line);
    }
    write(&mut lines);
    failed
}

/// Writes to standard error, which the program may have made non-blocking, as it shares it, and returns what could not be
/// written. Whoever closed it wants no log, and the standard library says that all was written.
fn to_stderr(mut text: &[u8], patience: Option<Duration>) -> &[u8] {
    let mut stderr = std::io::stderr();
    while !text.is_empty() {
        match stderr.write(text) {
            Ok(0) => break,
            Ok(written) => text = &text[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !is_writable(stderr.as_fd(), patience) {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    text
}

/// Writes what comes until nothing can come any more.
fn write(queue: &Queue, format: Format, daemon: &[u8]) {
    let name = syslog::escaped(daemon);
    // What could not be written, and is not yet told of.
    let mut failed = 0;
    loop {
        let mut lines = queue.lock();
        while lines.waiting.is_empty() && lines.lost == 0 && !lines.closed {
            lines.sleeps = true;
            lines = queue.wake.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
        lines.sleeps = false;
        if !lines.closed {
            drop(lines);
            std::thread::sleep(GATHER);
            lines = queue.lock();
        }
        let (waiting, lost) = (
            std::mem::take(&mut lines.waiting),
            std::mem::take(&mut lines.lost),
        );
        let ends = lines.closed;
        drop(lines);
        failed += put(&name, waiting, None);
        for (count, why) in [
            (lost, "was too slow"),
            (std::mem::take(&mut failed), "could not be written"),
        ] {
            if count > 0 {
                let line = format!("warning: the log {why}: {count} lines lost");
                let unsaid = put(
                    &name,
                    [message(format, daemon, syslog::ERR, line.into_bytes())],
                    None,
                );
                failed += unsaid * count;
            }
        }
        if ends {
            return;
        }
    }
}
