//! The system log's end of `/dev/log`.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::wait_until;

/// One message to the system log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Facility and level, as the numbers of `<syslog.h>`.
    pub priority: u32,
    /// Who says it, as `tcpd` in `tcpd[42]`.
    pub ident: String,
    /// The process id, where one is given.
    pub process: Option<u32>,
    /// The text.
    pub text: String,
}

impl Entry {
    /// The level alone: 3 `err`, 4 `warning`, 6 `info`, 7 `debug`.
    pub fn level(&self) -> u32 {
        self.priority & 7
    }

    /// The facility alone, shifted as in `<syslog.h>`: `3 << 3` is `daemon`.
    pub fn facility(&self) -> u32 {
        self.priority & !7
    }

    /// Reads `<PRIORITY>Mmm dd hh:mm:ss IDENT[PROCESS]: TEXT`, as the C library writes it.
    fn parse(message: &[u8]) -> Option<Self> {
        let message = String::from_utf8_lossy(message);
        let (priority, rest) = message.strip_prefix('<')?.split_once('>')?;
        let rest = rest.get(16..)?;
        let (head, text) = rest.split_once(": ")?;
        let (ident, process) = match head.strip_suffix(']').and_then(|head| head.rsplit_once('[')) {
            Some((ident, process)) => (ident, process.parse().ok()),
            None => (head, None),
        };
        Some(Entry {
            priority: priority.parse().ok()?,
            ident: ident.to_owned(),
            process,
            text: text.trim_end_matches(['\n', '\0']).to_owned(),
        })
    }
}

/// What was sent to a log socket, collected from the moment it was made.
#[derive(Debug)]
pub struct Log {
    entries: Arc<Mutex<Vec<Entry>>>,
    path: PathBuf,
}

impl Log {
    /// Makes the socket `path` and collects what is sent there until the test program ends.
    pub fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // Daemons that have become somebody else write here too.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).expect("ours");
        let entries = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&entries);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while let Ok(size) = socket.recv(&mut buffer) {
                let entry = Entry::parse(&buffer[..size]).unwrap_or_else(|| Entry {
                    priority: 0,
                    ident: String::new(),
                    process: None,
                    text: String::from_utf8_lossy(&buffer[..size]).into_owned(),
                });
                collected.lock().expect("no panic while it is held").push(entry);
            }
        });
        Log {
            entries,
            path: path.to_path_buf(),
        }
    }

    /// What has come so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().expect("no panic while it is held").clone()
    }

    /// Everything that was sent before this call, by processes that have ended, say.
    pub fn settled(&self) -> Vec<Entry> {
        // What is sent last comes last.
        const LAST: &str = "everything before this";
        let socket = UnixDatagram::unbound().expect("a socket");
        socket
            .send_to(LAST.as_bytes(), &self.path)
            .expect("sent to the log");
        wait_until("the log", || {
            let mut entries = self.entries.lock().expect("no panic while it is held");
            let last = entries.iter().position(|entry| entry.text == LAST)?;
            entries.remove(last);
            Some(entries.clone())
        })
    }

    /// Waits for an entry whose text contains `part`, and returns the first one.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub fn wait_for(&self, part: &str) -> Entry {
        wait_until(
            &format!("a log line with {part:?}; there are {:#?}", self.entries()),
            || self.entries().into_iter().find(|entry| entry.text.contains(part)),
        )
    }

    /// Forgets what was sent before this call.
    pub fn clear(&self) {
        // It may be on its way.
        self.settled();
        self.entries.lock().expect("no panic while it is held").clear();
    }
}
