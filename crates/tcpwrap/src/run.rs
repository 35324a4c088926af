//! `tcpwrap run`: start a program under guard, see tcpwrap-run(1).

pub mod meant;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;

use clap::ValueEnum;
use hosts_access::TableKind;
use supervise::{Format, Options};

use crate::output;
use crate::rules::{self, Rules};
use meant::Unknown;

/// Run a program that accepts only the connections the rules grant
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "tcpwrap run [OPTIONS] -- PROGRAM [ARGS]...",
    after_help = "EXIT STATUS:\n  that of the program, or\n  2    the command line is not understood\n  125  it cannot be guarded\n  126  it cannot be executed\n  \
    127  it was not found"
)]
pub struct Args {
    #[command(flatten)]
    rules: Rules,
    /// The daemon name that rules know the program by [default: its base name]
    #[arg(long)]
    name: Option<OsString>,
    /// What the program is told its own name is [default: PROGRAM]
    #[arg(long, value_name = "NAME")]
    argv0: Option<OsString>,
    /// Log to standard error instead of the system log
    #[arg(long, value_name = "FORMAT")]
    log: Option<LogFormat>,
    /// Whether the program may use io_uring; what it accepts through it is not guarded
    #[arg(long, value_name = "ANSWER", default_value = "refuse")]
    io_uring: IoUring,
    /// Run the program in a user namespace, where an ordinary user may not trace otherwise
    #[arg(long)]
    user_namespace: bool,
    /// What becomes of the program when its guard is killed, after which it could accept nothing
    #[arg(long, value_name = "ANSWER", default_value = "end")]
    if_guard_dies: IfGuardDies,
    /// The program, and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

/// How decisions are logged to standard error.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// Lines of text
    Text,
    /// One JSON object a line
    Json,
}

/// Whether the program may use io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IoUring {
    /// It is told that there is none
    Refuse,
    /// What it accepts through it is not guarded
    Allow,
}

/// What becomes of a program whose guard is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IfGuardDies {
    /// It is sent SIGTERM, and SIGKILL ten seconds later
    End,
    /// It stays, and its accept fails
    Refuse,
}

/// Becomes the program. Returns only where that fails.
pub fn run(args: Args) -> ExitCode {
    let tables = match args.rules.existing_tables() {
        Ok(tables) => tables,
        Err(problem) => return fail(&problem, 125),
    };
    let required = args.rules.named();
    let name = match (args.name, meant::name(&args.command)) {
        (_, Err(problem @ Unknown::Elsewhere(_))) => return fail(&problem.to_string(), 125),
        (Some(name), _) => name,
        (None, Ok(name)) => name.into(),
        (None, Err(problem)) => return fail(&problem.to_string(), 125),
    };
    if name.is_empty() {
        return fail("the program has no name to be known by: give --name", 125);
    }
    let mut warnings = Vec::new();
    if rules::none(&tables) {
        warnings.push(format!(
            "there is no rule in {} and {}: everybody is let in",
            tables.path(TableKind::Allow).display(),
            tables.path(TableKind::Deny).display()
        ));
    }
    if args.log.is_none() {
        // Later nobody would see them but in the log.
        for warning in warnings.iter().cloned().chain(no_log()) {
            output::note(&format!("tcpwrap: {warning}\n"));
        }
    }
    let mut command = args.command.into_iter();
    let program = command.next().unwrap_or_default();
    let problem = supervise::run(Options {
        program,
        argv0: args.argv0,
        arguments: command.collect(),
        name: name.as_bytes().to_vec(),
        tables,
        required,
        log: match args.log {
            None => Format::Syslog,
            Some(LogFormat::Text) => Format::Text,
            Some(LogFormat::Json) => Format::Json,
        },
        io_uring: args.io_uring == IoUring::Allow,
        user_namespace: args.user_namespace,
        if_guard_dies: match args.if_guard_dies {
            IfGuardDies::End => supervise::IfGuardDies::End,
            IfGuardDies::Refuse => supervise::IfGuardDies::Refuse,
        },
        warnings,
    });
    fail(&problem.text, problem.status)
}

/// What is to be said where nobody takes in what goes to the system log.
fn no_log() -> Option<String> {
    const LOG: &str = "/dev/log";
    let socket = UnixDatagram::unbound().ok()?;
    let error = socket.connect(LOG).err()?;
    // An older logger may listen on a stream.
    std::os::unix::net::UnixStream::connect(LOG).err()?;
    Some(format!(
        "nothing takes in the system log at {LOG} ({}), so decisions are logged nowhere until something does: \
         --log text writes them to standard error",
        hosts_access::decide::reason(&error)
    ))
}

fn fail(problem: &str, status: u8) -> ExitCode {
    let _ = output::fail(problem);
    ExitCode::from(status)
}
