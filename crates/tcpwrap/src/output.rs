//! How every subcommand writes its answer: colour only on a terminal, a closed pipe is no failure, and
//! text from files and the network cannot drive the terminal.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use hosts_access::Verdict;
use serde::Serialize;

/// As text, bytes that are no UTF-8 as `\x…`.
pub use analysis::compare::text::utf8;

/// Exit status for "could not do what was asked".
pub const CANNOT: u8 = 2;

/// For what is good or granted.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// For what is bad or denied.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// For what needs a second look.
pub const NOTE: Style = AnsiColor::Yellow.on_default().bold();
/// For what is said beside the point.
pub const DIM: Style = Style::new().dimmed();

/// The version of the JSON that all commands print. It grows where a field changes its meaning or goes.
const JSON_VERSION: u32 = 1;

static QUIET: AtomicBool = AtomicBool::new(false);

/// The options of every subcommand that say how to write.
#[derive(Debug, clap::Args)]
pub struct Manner {
    /// Whether to colour the text
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Print no text and no warnings: only errors, and what was asked for as data
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl Manner {
    /// Makes it hold for everything that is written from now on.
    pub fn set(&self) {
        QUIET.store(self.quiet, Ordering::Relaxed);
        match self.color {
            Color::Auto => {}
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

/// The word for a verdict.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted => "granted",
        Verdict::Denied => "denied",
        Verdict::Delegated => "delegated",
    }
}

/// Is only to be said what was asked for as data?
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a text for people, which may hold styles. The error is the status to exit with.
pub fn print(text: &str) -> Result<(), ExitCode> {
    if is_quiet() {
        return Ok(());
    }
    write(text).map_err(|problem| fail(&problem))
}

/// Writes data that was asked for, which may hold styles. Whoever closes the pipe has seen enough, and gets the
/// same exit status.
///
/// # Errors
/// A message, where that fails.
pub fn write(text: &str) -> Result<(), String> {
    follow(text).map(|_| ())
}

/// Writes data as [`write()`] does, and tells whether somebody still reads.
///
/// # Errors
/// A message, where that fails.
pub fn follow(text: &str) -> Result<bool, String> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot write the output: {error}")),
    }
}

/// Says something beside the output, on standard error, where it may get lost.
pub fn note(text: &str) {
    clear();
    if !is_quiet() {
        let _ = anstream::stderr().write_all(text.as_bytes());
    }
}

/// Says on a terminal that something is being done, once that takes a second, for as long as this is kept.
#[must_use]
pub struct Busy(Option<(Arc<End>, JoinHandle<()>)>);

/// Whether what is done is over, and a bell for when it is.
type End = (Mutex<bool>, Condvar);

/// Begins to do `what`, "comparing" for instance.
pub fn busy(what: &'static str) -> Busy {
    if is_quiet() || !std::io::stderr().is_terminal() {
        return Busy(None);
    }
    let end = Arc::new((Mutex::new(false), Condvar::new()));
    let until = Arc::clone(&end);
    let tell = move || {
        let (is_over, bell) = &*until;
        let mut lock = is_over.lock().unwrap_or_else(PoisonError::into_inner);
        for seconds in 1u64.. {
            let waited = bell.wait_timeout_while(lock, Duration::from_secs(1), |is_over| !*is_over);
            lock = waited.unwrap_or_else(PoisonError::into_inner).0;
            if *lock {
                clear();
                return;
            }
            IS_TOLD.store(true, Ordering::SeqCst);
            let _ = write!(std::io::stderr(), "{CLEAR}tcpwrap: {what} ... {seconds} s");
        }
    };
    // Without a thread nothing is said.
    Busy(
        std::thread::Builder::new()
            .spawn(tell)
            .ok()
            .map(|thread| (end, thread)),
    )
}

/// Clears the line of a terminal.
const CLEAR: &str = "\r\x1b[K";

/// The terminal shows what is being done.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

fn clear() {
    if IS_TOLD.swap(false, Ordering::SeqCst) {
        let _ = write!(std::io::stderr(), "{CLEAR}");
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.0.take() {
            *end.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            end.1.notify_one();
            let _ = thread.join();
        }
    }
}

/// What every JSON document of this program is, see docs/json.md.
#[derive(Debug, Serialize)]
pub struct Envelope<T> {
    version: u32,
    command: &'static str,
    result: T,
}

impl<T> Envelope<T> {
    /// What `command` has to say.
    pub fn new(command: &'static str, result: T) -> Self {
        Envelope {
            version: JSON_VERSION,
            command,
            result,
        }
    }
}

/// Prints what `command` has to say as JSON, indented, with a newline.
pub fn json(command: &'static str, result: &impl Serialize) -> Result<(), ExitCode> {
    match serde_json::to_string_pretty(&Envelope::new(command, result)) {
        Ok(text) => write(&(text + "\n")).map_err(|problem| fail(&problem)),
        Err(error) => Err(fail(&format!("cannot write the output: {error}"))),
    }
}

/// Says on standard error why the subcommand cannot go on, and gives the status to exit with.
pub fn fail(problem: &str) -> ExitCode {
    let _ = writeln!(
        anstream::stderr(),
        "{BAD}tcpwrap:{BAD:#} {}",
        escape(problem.as_bytes())
    );
    ExitCode::from(CANNOT)
}

/// What went wrong with a file.
pub fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {}", path.display(), hosts_access::decide::reason(error))
}

/// Bytes that are nearly always UTF-8: in JSON, those that are not are written `\x…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&utf8(&self.0))
    }
}

/// Text for the terminal: control characters and bytes that are no UTF-8 are shown as `\x…`, what separates lines, or turns
/// the direction of text around, as `\u{…}`.
pub fn escape(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in utf8(text).chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if system::syslog::is_hidden(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_drives_no_terminal() {
        let shown = escape("a\x1b[2J\u{9b}b\u{202e}c\u{2028}größe\n".as_bytes());
        assert_eq!(shown, "a\\x1b[2J\\x9bb\\u{202e}c\\u{2028}größe\n");
        assert_eq!(escape(b"\xff"), "\\xff");
    }
}
