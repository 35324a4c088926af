//! `tcpwrap detach`: removes what `tcpwrap attach` installed.

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
    if let Err(error) = std::fs::remove_file(&path) {
        return output::fail(&format!("{}: {error}", path.display()));
    }
    // One that holds something else stays.
    let _ = path.parent().map(std::fs::remove_dir);
    let done = format!(
        "{} removed. To put it to work: systemctl daemon-reload && systemctl restart {}\n",
        path.display(),
        unit.name
    );
    output::print(&done).err().unwrap_or(ExitCode::SUCCESS)
}
