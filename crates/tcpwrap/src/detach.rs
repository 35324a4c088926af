//! `tcpwrap detach`: removes what `tcpwrap attach` installed.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::output;
use crate::unit::Unit;

/// Remove the drop-in that `tcpwrap attach --write` installed for a systemd service
#[derive(Debug, clap::Args)]
#[command(after_help = "EXIT STATUS:\n  0  done\n  2  that could not be done")]
pub struct Args {
    /// The system is below this directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The service
    unit: String,
}

/// Removes the drop-in, and its directory where nothing else is in it.
pub fn run(args: &Args) -> ExitCode {
    let unit = match Unit::new(&args.unit, &args.root) {
        Ok(unit) => unit,
        Err(problem) => return output::fail(&problem),
    };
    let path = unit.drop_in();
    if let Err(error) = unit.remove_drop_in() {
        return output::fail(&match error.kind() {
            ErrorKind::NotFound => format!("{} is not attached: there is no {}", unit.name, path.display()),
            _ => format!("{}: {error}", path.display()),
        });
    }
    let done = format!("{} removed. {}\n", path.display(), unit.how_to_restart());
    output::print(&done).err().unwrap_or(ExitCode::SUCCESS)
}
