//! Running the user's editor on the copies.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Editors to try where the user names none.
const USUAL: [&str; 4] = ["sensible-editor", "editor", "vi", "nano"];

/// The user's editor, and the care of signals: while it runs they are its own business, and otherwise they
/// end this program without leaving copies behind.
pub struct Editor {
    command: Vec<OsString>,
    is_running: Arc<AtomicBool>,
    deferred: Arc<Mutex<()>>,
}

impl Editor {
    /// The editor that $VISUAL or $EDITOR names, or a usual one. `copies` is removed when a signal ends
    /// the program.
    pub fn new(copies: &Path) -> Result<Self, String> {
        let is_running = Arc::new(AtomicBool::new(false));
        let deferred = Arc::new(Mutex::new(()));
        let (seen, until) = (Arc::clone(&is_running), Arc::clone(&deferred));
        let copies = copies.to_owned();
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| format!("signals: {error}"))?;
        let wait = move || {
            for signal in signals.forever() {
                let _now = until.lock().unwrap_or_else(PoisonError::into_inner);
                if signal != SIGINT || !seen.load(Ordering::SeqCst) {
                    let _ = std::fs::remove_dir_all(&copies);
                    std::process::exit(128 + signal);
                }
            }
        };
        let waits = std::thread::Builder::new().spawn(wait);
        waits.map_err(|error| format!("cannot wait for signals: {error}"))?;
        Ok(Editor {
            command: command()?,
            is_running,
            deferred,
        })
    }

    /// Puts signals off for as long as the guard is there: a terminal that goes away is no reason to leave one
    /// table new and the other old.
    pub fn defer_signals(&self) -> MutexGuard<'_, ()> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Edits the files, and waits for the end of it.
    pub fn run(&self, files: &[&Path]) -> Result<(), String> {
        let (program, arguments) = self.command.split_first().ok_or("no editor")?;
        self.is_running.store(true, Ordering::SeqCst);
        let status = Command::new(program).args(arguments).args(files).status();
        self.is_running.store(false, Ordering::SeqCst);
        let shown = Path::new(program).display();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{shown} ended with {status}; nothing was changed")),
            Err(error) => Err(format!("{shown}: {error}; nothing was changed")),
        }
    }
}

fn command() -> Result<Vec<OsString>, String> {
    for name in ["VISUAL", "EDITOR"] {
        if let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) {
            return words(&value);
        }
    }
    let found = USUAL.iter().find(|name| in_path(name).is_some());
    let found = found.ok_or("no editor found; name one in $VISUAL or $EDITOR")?;
    Ok(vec![OsString::from(found)])
}

/// The program and its arguments. Only blanks separate them: it is no shell command.
fn words(value: &OsString) -> Result<Vec<OsString>, String> {
    let text = value
        .to_str()
        .ok_or("the editor's name in the environment is no text")?;
    let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
    if words.is_empty() {
        return Err("$VISUAL or $EDITOR is blank".into());
    }
    Ok(words)
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}
