//! safe_finger(8): runs finger(1) for probes of strange hosts, and makes its output harmless.
//!
//! finger runs as nobody where we are root, with a fixed `PATH`, nothing on standard input, for at most
//! [`TIME_LIMIT`]. What it says is cut to [`SIZE_LIMIT`] bytes and lines of [`WIDTH`] columns, every line
//! moved one column to the right, and every byte that is neither printable ASCII nor white space shown in
//! octal. Its standard error is left alone: that is finger's own, not the other host's.

use std::io::{self, ErrorKind, Read, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use system::privileges;

/// How many bytes of finger's output are shown.
pub const SIZE_LIMIT: usize = 100_000;
/// How many columns a line may have, its leading blank included.
pub const WIDTH: usize = 128;
/// How long finger may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Where finger and what it runs are looked for.
const PATH: &str = "/bin:/usr/bin:/sbin:/usr/sbin";

const USAGE: &str = "\
usage: safe_finger [finger_options] [user][@host] ...
	runs finger without privileges, for 60 seconds at most, and shows
	100000 bytes of its output at most, control characters in octal
";

/// The program. Exits with 0 where finger did, and with 1 where it failed or had to be stopped.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|a| a.to_str()) {
        Some("--help") => return crate::arguments::Instead::Help.answer("safe_finger", USAGE),
        Some("--version") => return crate::arguments::Instead::Version.answer("safe_finger", USAGE),
        _ => {}
    }
    let mut command = Command::new("finger");
    command.args(arguments).env("PATH", PATH);
    if privileges::is_root()
        && let Err(problem) = privileges::become_user(b"nobody", None)
    {
        eprintln!("safe_finger: {}", String::from_utf8_lossy(&problem));
        return ExitCode::FAILURE;
    }
    run(command, TIME_LIMIT).unwrap_or_else(|error| {
        eprintln!("safe_finger: {error}");
        ExitCode::FAILURE
    })
}

/// Runs the command and copies what it says to standard output.
fn run(mut command: Command, limit: Duration) -> io::Result<ExitCode> {
    let deadline = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run finger: {error}")))?;
    let copied = copy(&mut child, deadline);
    if !matches!(copied, Ok(End::All)) {
        // Whatever went wrong, finger does not outlive us.
        let _ = child.kill();
    }
    let status = child.wait()?;
    match copied? {
        End::All if status.success() => Ok(ExitCode::SUCCESS),
        End::All => Ok(ExitCode::FAILURE),
        End::TooMuch => {
            let mut out = io::stdout();
            write!(out, "\n\n Input truncated to {SIZE_LIMIT} bytes...\n")?;
            Ok(ExitCode::FAILURE)
        }
        End::TooLong => {
            eprintln!("safe_finger: no end after {} seconds, stopped", limit.as_secs());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// How the copying ended.
enum End {
    /// finger closed its output.
    All,
    /// It said more than is shown.
    TooMuch,
    /// Its time ran out.
    TooLong,
}

/// Copies the child's output until it ends or a limit is reached.
fn copy(child: &mut Child, deadline: Instant) -> io::Result<End> {
    let Some(mut pipe) = child.stdout.take() else {
        return Ok(End::All);
    };
    // Reading blocks, so a thread does it, a buffer ahead at most; it ends with its pipe or our process.
    let (sender, pieces) = mpsc::sync_channel(1);
    std::thread::Builder::new().spawn(move || {
        let mut left = SIZE_LIMIT + 1;
        while left > 0 {
            let mut piece = vec![0; left.min(8192)];
            match pipe.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(0) => break,
                Ok(read) => {
                    piece.truncate(read);
                    left -= read;
                    if sender.send(Ok(piece)).is_err() {
                        break;
                    }
                }
                Err(error) => {
                    let _ = sender.send(Err(error));
                    break;
                }
            }
        }
    })?;
    let mut harmless = Harmless::new(io::stdout().lock());
    let mut left = SIZE_LIMIT;
    loop {
        let piece = match pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(piece) => piece?,
            Err(RecvTimeoutError::Disconnected) => return Ok(End::All),
            Err(RecvTimeoutError::Timeout) => return Ok(End::TooLong),
        };
        let shown = &piece[..piece.len().min(left)];
        harmless.show(shown)?;
        left -= shown.len();
        if shown.len() < piece.len() {
            return Ok(End::TooMuch);
        }
    }
}

/// Writes bytes so that neither terminal, mail program nor log reader is hurt by them.
struct Harmless<W> {
    out: W,
    /// Columns written in this line after its leading blank; nothing where no line is begun.
    column: Option<usize>,
}

impl<W: Write> Harmless<W> {
    fn new(out: W) -> Self {
        Harmless { out, column: None }
    }

    fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut text = Vec::with_capacity(bytes.len() * 2);
        for &byte in bytes {
            if byte == b'\n' {
                text.push(b'\n');
                self.column = None;
                continue;
            }
            if self.column.is_some_and(|column| column >= WIDTH - 1) {
                text.extend_from_slice(b"\\\n");
                self.column = None;
            }
            if self.column.is_none() {
                text.push(b' ');
            }
            let before = text.len();
            match byte {
                b'\\' => text.extend_from_slice(br"\\"),
                b' '..=b'~' | b'\t' | 0x0b | 0x0c | b'\r' => text.push(byte),
                _ => text.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            }
            self.column = Some(self.column.unwrap_or(0) + text.len() - before);
        }
        self.out.write_all(&text)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut harmless = Harmless::new(&mut out);
        // In pieces, as a pipe gives them.
        for piece in bytes.chunks(7) {
            harmless.show(piece).unwrap();
        }
        out
    }

    #[test]
    fn lines_begin_with_a_blank_and_control_characters_are_octal() {
        assert_eq!(
            shown(b"a\n\n~!\\x\x1b[2J\xe4\tb"),
            b" a\n\n ~!\\\\x\\033[2J\\344\tb"
        );
    }

    #[test]
    fn long_lines_are_broken() {
        let out = shown(&[b'x'; 300]);
        let lines: Vec<_> = out.split(|b| *b == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lines, [129, 129, 47]);
        assert!(shown(&[b'x'; 127]).len() == 128);
    }

    #[test]
    fn time_runs_out() {
        let mut command = Command::new("sleep");
        command.arg("100");
        let begun = Instant::now();
        let ended = run(command, Duration::from_millis(100)).unwrap();
        assert_eq!(ended, ExitCode::FAILURE);
        assert!(begun.elapsed() < Duration::from_secs(50));
    }
}
