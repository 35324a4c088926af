//! What the programs' command lines have in common: `--help`, `--version`, and a usage text on errors.

use std::fmt::Display;
use std::process::ExitCode;

/// A command line that asks for no ordinary run.
#[derive(Debug)]
pub(crate) enum Instead {
    /// `--help`
    Help,
    /// `--version`
    Version,
    /// Something is wrong with it.
    Wrong(String),
}

impl From<lexopt::Error> for Instead {
    fn from(error: lexopt::Error) -> Self {
        Instead::Wrong(error.to_string())
    }
}

impl Instead {
    /// Answers: help and version on standard output, mistakes with the usage on standard error.
    pub(crate) fn answer(self, program: &str, usage: &str) -> ExitCode {
        match self {
            Instead::Help => {
                print(usage);
                ExitCode::SUCCESS
            }
            Instead::Version => {
                print(format_args!(
                    "{program} (tcpwrap) {}\n",
                    env!("CARGO_PKG_VERSION")
                ));
                ExitCode::SUCCESS
            }
            Instead::Wrong(problem) => {
                eprint!("{program}: {problem}\n{usage}");
                ExitCode::FAILURE
            }
        }
    }
}

/// To standard output; a reader that is gone is no error.
fn print(text: impl Display) {
    use std::io::Write;
    let _ = write!(std::io::stdout(), "{text}");
}
