//! try-from(8): shows what the tables would know of the client on standard input.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use hosts_access::Request;
use hosts_access::host::expand;
use system::host::SocketHost;
use system::services::base_name;

use crate::arguments::Instead;
use crate::report::visible;

const USAGE: &str = "\
usage: try-from
	shows who the client of the connection on standard input is;
	run it through a remote shell or a super server
";

/// The lines of the answer, and what is expanded in each. The order is that of the lookups.
const LINES: [(&str, &str); 8] = [
    ("client address  (%a): ", "%a"),
    ("client hostname (%n): ", "%n"),
    ("client username (%u): ", "%u"),
    ("client info     (%c): ", "%c"),
    ("server address  (%A): ", "%A"),
    ("server hostname (%N): ", "%N"),
    ("server process  (%d): ", "%d"),
    ("server info     (%s): ", "%s"),
];

/// The program. Exits with 0, whoever the client is.
pub fn main() -> ExitCode {
    let parser = lexopt::Parser::from_env();
    let own_name = parser.bin_name().unwrap_or("try-from").as_bytes().to_vec();
    if let Err(instead) = options(parser) {
        return instead.answer("try-from", USAGE);
    }
    match show(base_name(&own_name)) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn options(mut parser: lexopt::Parser) -> Result<(), Instead> {
    use lexopt::prelude::*;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Err(Instead::Help),
            Long("version") => return Err(Instead::Version),
            // A remote shell may hand over anything.
            _ => {}
        }
    }
    Ok(())
}

/// Answers line by line, since each lookup may take its time.
fn show(daemon: &[u8]) -> io::Result<()> {
    let stdin = io::stdin();
    let mut host = SocketHost::new(stdin.as_fd(), &|_, line| {
        let mut line = visible(line);
        line.push(b'\n');
        // Where nobody reads standard error, the answer still has its reader.
        let _ = io::stderr().write_all(&line);
    });
    let mut request = Request::new(daemon);
    let mut out = io::stdout();
    for (title, text) in LINES {
        let answer = expand(text.as_bytes(), &mut request, &mut host);
        out.write_all(&[title.as_bytes(), &answer, b"\n"].concat())?;
        out.flush()?;
    }
    Ok(())
}
