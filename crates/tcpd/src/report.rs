//! What tcpdmatch and tcpdchk say: results on standard output, problems on standard error.
//!
//! Standard output is flushed before each problem, so that on a terminal they stand where they belong.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};
use std::process::ExitCode;

use hosts_access::{Diagnostic, Kind, Place};
use system::syslog::escaped;

/// The two outputs, and how many problems were reported.
#[derive(Debug)]
pub struct Report {
    out: BufWriter<Stdout>,
    failure: Option<io::Error>,
    problems: usize,
    place: Option<Place>,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            out: BufWriter::new(io::stdout()),
            failure: None,
            problems: 0,
            place: None,
        }
    }
}

impl Report {
    /// A line of the result. Control characters are shown as octal escapes.
    pub fn line(&mut self, text: impl AsRef<[u8]>) {
        let mut line = visible(text.as_ref());
        line.push(b'\n');
        if let Err(error) = self.out.write_all(&line) {
            self.failure.get_or_insert(error);
        }
    }

    /// Bytes of the result as they are, such as a client would get.
    pub fn raw(&mut self, text: &[u8]) {
        if let Err(error) = self.out.write_all(text) {
            self.failure.get_or_insert(error);
        }
    }

    /// Says where the problems to come belong.
    pub fn at(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// Where problems belong now.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// A problem where [`Report::at`] says.
    pub fn warn(&mut self, text: impl Into<Vec<u8>>) {
        let diagnostic = Diagnostic::new(Kind::Warning, self.place.clone(), text);
        self.diagnostic(&diagnostic);
    }

    /// Something the engine would log: what is said at `debug` belongs to the result, the rest is a problem.
    pub fn diagnostic(&mut self, diagnostic: &Diagnostic) {
        match diagnostic.kind {
            Kind::Info | Kind::Debug => self.line(diagnostic.line()),
            Kind::Error | Kind::Warning => {
                let mut diagnostic = diagnostic.clone();
                diagnostic.place = diagnostic.place.or_else(|| self.place.clone());
                let mut line = visible(&diagnostic.line());
                line.push(b'\n');
                self.problems += 1;
                self.flush();
                if let Err(error) = io::stderr().write_all(&line) {
                    self.failure.get_or_insert(error);
                }
            }
        }
    }

    /// How many problems were reported.
    pub fn problems(&self) -> usize {
        self.problems
    }

    fn flush(&mut self) {
        if let Err(error) = self.out.flush() {
            self.failure.get_or_insert(error);
        }
    }

    /// Ends the output. `status` is the exit status where it could all be written, or where nobody was
    /// left to read it.
    pub fn finish(mut self, status: ExitCode) -> ExitCode {
        self.flush();
        match self.failure {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => status,
        }
    }
}

/// `text` with control characters, tabs excepted, escaped: a rule file must not steer the terminal of who
/// checks it.
pub fn visible(text: &[u8]) -> Vec<u8> {
    let pieces: Vec<_> = text.split(|byte| *byte == b'\t').map(escaped).collect();
    pieces.join(&b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(visible(b"a\x1b[2J\tb\x7f\xe4"), b"a\\033[2J\tb\\177\xe4");
    }
}
