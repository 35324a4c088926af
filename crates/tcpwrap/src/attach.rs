//! `tcpwrap attach`: a drop-in that starts a systemd service under guard.

mod command;
mod list;
mod objections;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{fs, io};

use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;

use crate::install::{Original, parent};
use crate::output::{self, at};
use crate::rules::Rules;
use crate::run::{IfGuardDies, IoUring, LogFormat};
use crate::unit::{Settings, Unit};
use command::{commands, quoted, split_word};
use objections::Plan;

/// Show, or install, a drop-in that starts a systemd service with `tcpwrap run`
#[derive(Debug, clap::Args)]
#[command(after_help = "EXIT STATUS:\n  0  done\n  2  that could not be done, and nothing was changed")]
pub struct Args {
    /// Install it, where nothing speaks against it
    #[arg(long)]
    write: bool,
    /// Install it whatever speaks against it
    #[arg(long, requires = "write")]
    force: bool,
    /// Show which services have such a drop-in, and whether it is in force
    #[arg(long, conflicts_with_all = ["write", "unit"])]
    list: bool,
    /// With --list: print JSON
    #[arg(long, requires = "list")]
    json: bool,
    #[command(flatten)]
    tables: Rules,
    /// The daemon name that rules know the service by [default: its program's base name]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// Log to standard error, which is the journal, instead of the system log
    #[arg(long, value_name = "FORMAT")]
    log: Option<LogFormat>,
    /// Whether the service may use io_uring; what it accepts through it is not guarded [default: refuse]
    #[arg(long, value_name = "ANSWER")]
    io_uring: Option<IoUring>,
    /// What becomes of the service when its guard is killed, after which it could accept nothing [default: end]
    #[arg(long, value_name = "ANSWER")]
    if_guard_dies: Option<IfGuardDies>,
    /// The tcpwrap that the service is to be started by [default: this one]
    #[arg(long, value_name = "FILE")]
    tcpwrap: Option<PathBuf>,
    /// Ask whether the client at this address would be locked out, instead of this session's
    #[arg(long, value_name = "ADDRESS")]
    client: Option<std::net::IpAddr>,
    /// The system is below this directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The service
    #[arg(required_unless_present = "list")]
    unit: Option<String>,
}

/// Shows or installs the drop-in.
pub fn run(args: &Args) -> ExitCode {
    if args.list {
        let printed = list::print(&args.root, args.json);
        return printed.err().unwrap_or(ExitCode::SUCCESS);
    }
    match attach(args) {
        Ok(status) => status,
        Err(problem) => output::fail(&problem),
    }
}

fn attach(args: &Args) -> Result<ExitCode, String> {
    let unit = Unit::new(args.unit.as_deref().unwrap_or_default(), &args.root)?;
    let settings = unit.settings_but_ours()?;
    let plan = Plan::new(&unit, &settings, args)?;
    let text = drop_in(&unit, &settings, &plan, args)?;
    for note in plan.notes() {
        output::note(&said(&note));
    }
    let objections = plan.objections();
    if !objections.is_empty() && args.write && !args.force {
        return Err(format!(
            "nothing was changed, as\n- {}\nWhere that is as it should be, --force installs the drop-in all the same",
            objections.join("\n- ")
        ));
    }
    for objection in &objections {
        output::note(&said(objection));
    }
    if !args.write {
        output::write(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    install(&unit, &text, args)?;
    let done = format!(
        "{} installed. {}\n",
        unit.drop_in().display(),
        unit.how_to_restart()
    );
    Ok(output::print(&done).err().unwrap_or(ExitCode::SUCCESS))
}

fn said(text: &str) -> String {
    format!("tcpwrap: {}\n", output::escape(text.as_bytes()))
}

/// Puts the drop-in in its place. Where that fails, or systemd objects, everything is as it was.
fn install(unit: &Unit, text: &str, args: &Args) -> Result<(), String> {
    let before = verify(unit, &args.root);
    let cannot = |error: io::Error| at(&unit.drop_in(), &error);
    let path = unit.drop_in_file().map_err(cannot)?;
    let directory = parent(&path);
    let is_new = !directory.exists();
    fs::create_dir_all(directory).map_err(cannot)?;
    let old = Original::read(&path).map_err(cannot)?;
    // Half a drop-in would leave the service without anything to start.
    if let Err(error) = old.replace(text.as_bytes()) {
        if is_new {
            let _ = fs::remove_dir(directory);
        }
        return Err(cannot(error));
    }
    let Some(objection) = verify(unit, &args.root) else {
        return Ok(());
    };
    if before.as_ref() == Some(&objection) {
        output::note(&format!(
            "tcpwrap: systemd-analyze verify objects to the unit, without the drop-in too:\n{}\n",
            output::escape(objection.as_bytes())
        ));
        return Ok(());
    }
    if old.exists() {
        let installed = Original::read(&path).map_err(cannot)?;
        installed.replace(&old.text).map_err(cannot)?;
    } else {
        unit.remove_drop_in().map_err(cannot)?;
    }
    Err(format!(
        "systemd-analyze verify objects, nothing was changed:\n{objection}"
    ))
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
fn drop_in(unit: &Unit, settings: &Settings, plan: &Plan<'_>, args: &Args) -> Result<String, String> {
    if unit.name.contains('@') && settings.value("StandardInput") == "socket" {
        return Err(format!(
            "{} gets connections that systemd has accepted, so run has nothing to guard: put tcpd before its \
             program, see tcpd(8)",
            unit.name
        ));
    }
    let program = unicode(&plan.tcpwrap)?;
    let mut text =
        String::from("# Made by tcpwrap attach; tcpwrap detach removes it.\n[Service]\nExecStart=\n");
    for command in &plan.commands {
        let _ = writeln!(text, "ExecStart={}", guarded(unit, command, program, args)?);
    }
    let programs = plan.commands.iter().map(|command| program_of(command));
    let names: BTreeSet<_> = programs.filter_map(Path::file_name).collect();
    if let (Some(name), 1) = (names.first().and_then(|name| name.to_str()), names.len())
        && settings.value("SyslogIdentifier").is_empty()
    {
        let _ = writeln!(
            text,
            "# What it prints is logged under its own name, not tcpwrap's.\nSyslogIdentifier={name}"
        );
    }
    text.push_str(&permissions(settings, &quoted(program, false)));
    Ok(text)
}

/// What may stand before the program of a command.
const PREFIXES: &str = "-@:+!|";

/// The program of a command.
fn program_of(command: &str) -> &Path {
    let (program, _) = split_word(command.trim_start_matches(|c| PREFIXES.contains(c)));
    Path::new(program.trim_matches(['"', '\'']))
}

/// A value as the option is written.
fn word(value: impl ValueEnum) -> Option<String> {
    Some(value.to_possible_value()?.get_name().to_owned())
}

/// A command with `tcpwrap run` before it.
fn guarded(unit: &Unit, command: &str, tcpwrap: &str, args: &Args) -> Result<String, String> {
    let start = command.find(|c| !PREFIXES.contains(c)).unwrap_or(command.len());
    let (prefix, command) = command.split_at(start);
    let (program, mut arguments) = split_word(command);
    if program_of(command)
        .file_name()
        .is_some_and(|name| name == "tcpwrap")
    {
        return Err(format!(
            "{} is started by tcpwrap already: ExecStart={prefix}{command}",
            unit.name
        ));
    }
    let expanded = !prefix.contains(':');
    let mut text = format!("{}{} run", prefix.replace('@', ""), quoted(tcpwrap, false));
    for (option, path) in [
        ("--rules", &args.tables.rules),
        ("--allow", &args.tables.allow),
        ("--deny", &args.tables.deny),
    ] {
        if let Some(path) = path {
            let _ = write!(text, " {option} {}", quoted(unicode(&absolute(path)?)?, expanded));
        }
    }
    for (option, value) in [
        ("--log", args.log.and_then(word)),
        ("--io-uring", args.io_uring.and_then(word)),
        ("--if-guard-dies", args.if_guard_dies.and_then(word)),
    ] {
        if let Some(value) = value {
            let _ = write!(text, " {option} {value}");
        }
    }
    if let Some(name) = &args.name {
        let _ = write!(text, " {}", quoted(&format!("--name={name}"), expanded));
    }
    if prefix.contains('@') {
        let (name, rest) = split_word(arguments);
        if name.is_empty() {
            return Err(format!(
                "ExecStart={prefix}{command}: @ needs a name behind the program"
            ));
        }
        let _ = write!(text, " --argv0={name}");
        arguments = rest;
    }
    let _ = write!(text, " -- {program}");
    if !arguments.is_empty() {
        let _ = write!(text, " {arguments}");
    }
    Ok(text)
}

/// What the guard needs where the unit restricts itself. These settings add to what the unit says.
fn permissions(settings: &Settings, tcpwrap: &str) -> String {
    let mut text = String::new();
    // Set to nothing, the first permits no capability, while the others restrict nothing.
    for (key, is_restricted, needed) in [
        (
            "CapabilityBoundingSet",
            settings.mention("CapabilityBoundingSet"),
            "CAP_SYS_PTRACE",
        ),
        (
            "SystemCallFilter",
            !settings.list("SystemCallFilter").is_empty(),
            "seccomp pidfd_open pidfd_getfd pread64 pwrite64 timer_create",
        ),
        (
            "RestrictAddressFamilies",
            !settings.list("RestrictAddressFamilies").is_empty(),
            "AF_UNIX AF_INET AF_INET6",
        ),
        ("ExecPaths", !settings.list("NoExecPaths").is_empty(), tcpwrap),
        (
            // Limits and bans.
            "ReadWritePaths",
            settings.value("ProtectSystem") == "strict",
            "-/run/tcpwrap -/var/lib/tcpwrap",
        ),
    ] {
        if is_restricted {
            let _ = writeln!(
                text,
                "# The service restricts itself; the guard beside it needs these.\n{key}={needed}"
            );
        }
    }
    text
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| at(path, &error))
}

/// Units are text.
fn unicode(path: &Path) -> Result<&str, String> {
    path.to_str()
        .ok_or_else(|| format!("{}: a unit cannot have a path that is not UTF-8", path.display()))
}
