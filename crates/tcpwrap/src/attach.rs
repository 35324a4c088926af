//! `tcpwrap attach`: a drop-in that starts a systemd service under guard.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::install::Original;
use crate::output;
use crate::unit::{Unit, values};

/// Show, or install, a drop-in that starts a systemd service with `tcpwrap run`
#[derive(Debug, clap::Args)]
#[command(after_help = "EXIT STATUS:\n  0  done\n  2  that could not be done, and nothing was changed")]
pub struct Args {
    /// Install it, where `systemd-analyze verify` has no objection
    #[arg(long)]
    write: bool,
    /// Read hosts.allow and hosts.deny in this directory
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// The daemon name that rules know the service by [default: its program's base name]
    #[arg(long)]
    name: Option<String>,
    /// The system is below this directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The service
    unit: String,
}

/// Shows or installs the drop-in.
pub fn run(args: &Args) -> ExitCode {
    match attach(args) {
        Ok(status) => status,
        Err(problem) => output::fail(&problem),
    }
}

fn attach(args: &Args) -> Result<ExitCode, String> {
    let unit = Unit::new(&args.unit, &args.root)?;
    let program = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let text = drop_in(&unit.settings()?, &program, args)?;
    if !args.write {
        return Ok(output::print(&text).err().unwrap_or(ExitCode::SUCCESS));
    }
    let path = unit.drop_in();
    let cannot = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(cannot)?;
    }
    // Half a drop-in would leave the service without anything to start.
    let before = Original::read(&path).map_err(cannot)?;
    before.replace(text.as_bytes()).map_err(cannot)?;
    if let Some(objection) = verify(&unit, &args.root) {
        if before.exists() {
            let installed = Original::read(&path).map_err(cannot)?;
            installed.replace(&before.text).map_err(cannot)?;
        } else {
            unit.remove_drop_in().map_err(cannot)?;
        }
        return Err(format!(
            "systemd-analyze verify objects, nothing was changed:\n{objection}"
        ));
    }
    let done = format!(
        "{} installed. To put it to work: systemctl daemon-reload && systemctl restart {}\n",
        path.display(),
        unit.name
    );
    Ok(output::print(&done).err().unwrap_or(ExitCode::SUCCESS))
}

/// What systemd has against the unit; nothing where it has nothing, or is not there to be asked.
fn verify(unit: &Unit, root: &Path) -> Option<String> {
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no"]);
    if root != Path::new("/") {
        command.arg(format!("--root={}", root.display()));
    }
    let done = command.arg(&unit.name).output().ok()?;
    (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).trim().to_owned())
}

/// The drop-in's text.
fn drop_in(settings: &[(String, String)], program: &Path, args: &Args) -> Result<String, String> {
    let commands = values(settings, "ExecStart");
    if commands.is_empty() {
        return Err("the service has no ExecStart".into());
    }
    let mut wrapper = format!("{} run", quoted(&program.display().to_string()));
    if let Some(rules) = &args.rules {
        let rules = std::path::absolute(rules).map_err(|error| error.to_string())?;
        let _ = write!(wrapper, " --rules {}", quoted(&rules.display().to_string()));
    }
    if let Some(name) = &args.name {
        let _ = write!(wrapper, " --name {}", quoted(name));
    }
    let mut text =
        String::from("# Made by tcpwrap attach; tcpwrap detach removes it.\n[Service]\nExecStart=\n");
    for command in commands {
        let start = command.find(|c| !"-@:+!|".contains(c)).unwrap_or(command.len());
        let (prefix, rest) = command.split_at(start);
        if prefix.contains('@') {
            return Err(format!(
                "a name of its own for the program (@) cannot be kept: ExecStart={command}"
            ));
        }
        if rest
            .split_whitespace()
            .next()
            .is_some_and(|first| Path::new(first.trim_matches('"')) == program)
        {
            return Err("the service is started by tcpwrap already".into());
        }
        let _ = writeln!(text, "ExecStart={prefix}{wrapper} -- {}", rest.trim_start());
    }
    text.push_str(&permissions(settings));
    Ok(text)
}

/// What the guard needs where the unit restricts itself. These settings add to what the unit says.
fn permissions(settings: &[(String, String)]) -> String {
    let mut text = String::new();
    for (key, needed) in [
        ("CapabilityBoundingSet", "CAP_SYS_PTRACE"),
        (
            "SystemCallFilter",
            "seccomp pidfd_open pidfd_getfd process_vm_readv process_vm_writev timer_create",
        ),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
    ] {
        if !values(settings, key).is_empty() {
            let _ = writeln!(
                text,
                "# The service restricts itself; the guard beside it needs these.\n{key}={needed}"
            );
        }
    }
    text
}

/// A word of a command line as systemd reads it back.
fn quoted(word: &str) -> String {
    let word = word.replace('%', "%%").replace('$', "$$");
    if word.contains([' ', '"', '\'', '\\', '\t']) {
        let word = word.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("\"{word}\"");
    }
    word
}
