//! What tcpdmatch and tcpdchk say: results on standard output, problems on standard error.
//!
//! Standard output is flushed before each problem, so that on a terminal they stand where they belong. What is not yet
//! known holds back what comes after it, not whoever reports.

use std::collections::VecDeque;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};
use std::process::ExitCode;

use hosts_access::{Diagnostic, Kind, Place};
use system::syslog::escaped;

/// A line, or more, of the output.
enum Line {
    /// Of the result.
    Result(Vec<u8>),
    /// About a problem.
    Problem(Vec<u8>),
}

/// What has to wait.
enum Held {
    /// Something that comes after what is not yet known.
    Known(Line),
    /// Problems that are not yet known, where they belong, and how to wait for them.
    Unknown(Option<Place>, Box<dyn FnOnce() -> Vec<Vec<u8>>>),
}

/// The two outputs, and how many problems were reported.
pub struct Report {
    out: BufWriter<Stdout>,
    failure: Option<io::Error>,
    problems: usize,
    place: Option<Place>,
    /// What has to wait, the first of it for what is not yet known.
    held: VecDeque<Held>,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            out: BufWriter::new(io::stdout()),
            failure: None,
            problems: 0,
            place: None,
            held: VecDeque::new(),
        }
    }
}

impl Report {
    /// A line of the result. Control characters are shown as octal escapes.
    pub fn line(&mut self, text: impl AsRef<[u8]>) {
        let mut line = visible(text.as_ref());
        line.push(b'\n');
        self.put(Line::Result(line));
    }

    /// Bytes of the result as they are, such as a client would get.
    pub fn raw(&mut self, text: &[u8]) {
        self.put(Line::Result(text.to_vec()));
    }

    /// Problems where [`Report::at`] says, which may have to be waited for: that is done when everything else has been
    /// reported.
    pub fn later(&mut self, problems: impl FnOnce() -> Vec<Vec<u8>> + 'static) {
        self.held
            .push_back(Held::Unknown(self.place.clone(), Box::new(problems)));
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
                self.put(problem(&diagnostic));
            }
        }
    }

    /// How many problems there are, those that have to be waited for included.
    pub fn problems(&mut self) -> usize {
        self.settle();
        self.problems
    }

    /// Waits for what is not yet known.
    fn settle(&mut self) {
        while let Some(held) = self.held.pop_front() {
            match held {
                Held::Known(line) => self.write(&line),
                Held::Unknown(place, problems) => {
                    for text in problems() {
                        self.write(&problem(&Diagnostic::new(Kind::Warning, place.clone(), text)));
                    }
                }
            }
        }
    }

    fn put(&mut self, line: Line) {
        if self.held.is_empty() {
            self.write(&line);
        } else {
            self.held.push_back(Held::Known(line));
        }
    }

    fn write(&mut self, line: &Line) {
        let written = match line {
            Line::Result(text) => self.out.write_all(text),
            Line::Problem(text) => {
                self.problems += 1;
                self.flush();
                io::stderr().write_all(text)
            }
        };
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.out.flush() {
            self.failure.get_or_insert(error);
        }
    }

    /// Ends the output. `status` is the exit status where it could all be written, or where nobody was
    /// left to read it.
    pub fn finish(mut self, status: ExitCode) -> ExitCode {
        self.settle();
        self.flush();
        match self.failure {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => status,
        }
    }
}

fn problem(diagnostic: &Diagnostic) -> Line {
    let mut line = visible(&diagnostic.line());
    line.push(b'\n');
    Line::Problem(line)
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
