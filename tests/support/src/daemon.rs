//! Daemons in the foreground, ended with the value that stands for them.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::wait_until;

/// A running program, killed when this is dropped. What it writes is collected.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Starts a program that stays in the foreground.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let output = Arc::new(Mutex::new(Vec::new()));
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child
                .stdout
                .take()
                .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child
                .stderr
                .take()
                .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        let collect = |mut pipe: Box<dyn Read + Send>| {
            let output = Arc::clone(&output);
            std::thread::spawn(move || {
                // As much as a pipe holds, so that lines come whole.
                let mut buffer = vec![0; 65536];
                while let Ok(size @ 1..) = pipe.read(&mut buffer) {
                    let mut output = output.lock().expect("no panic while it is held");
                    output.extend_from_slice(&buffer[..size]);
                }
            })
        };
        let readers = pipes.into_iter().flatten().map(collect).collect();
        Daemon {
            name,
            child,
            output,
            readers,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far to standard output and standard error.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().expect("no panic while it is held")).into_owned()
    }

    /// Waits until it has written `part`.
    pub fn wait_for(&self, part: &str) {
        wait_until(
            &format!("{part:?} from {}, which said {:?}", self.name, self.output()),
            || self.output().contains(part).then_some(()),
        );
    }

    /// Is it still running?
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for it to end by itself; what it wrote is complete then.
    pub fn ended(&mut self) -> ExitStatus {
        let name = self.name.clone();
        let status = wait_until(&format!("the end of {name}"), || {
            self.child
                .try_wait()
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        });
        for reader in self.readers.drain(..) {
            // A reader ends with its pipe, and has nothing to panic about.
            let _ = reader.join();
        }
        status
    }

    /// Sends it a signal by name, `HUP` or `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "kill -s {name} {}",
            self.name
        );
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
