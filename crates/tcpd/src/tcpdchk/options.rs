//! Options: run as the engine runs them, to see its complaints, with nothing carried out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use analysis::document::OptionField;
use hosts_access::options::{End, Options};
use hosts_access::syntax::option::Keyword;
use hosts_access::{Request, Side, TableKind, Verdict, host};

use super::Wish;
use crate::dry_run::DryRun;
use crate::report::Report;

/// Looks at the shell commands of a rule.
pub(super) fn check_commands(options: &[OptionField<'_>], report: &mut Report) {
    for option in options {
        if let (Some(Keyword::Spawn | Keyword::Aclexec | Keyword::Twist), Some(command)) =
            (option.keyword, option.value())
        {
            program(command, report);
        }
    }
}

/// Runs a rule's options, if it has any. True where the rule grants.
pub(super) fn check(kind: TableKind, text: Option<&[u8]>, wish: &Wish, report: &mut Report) -> bool {
    let granted = kind == TableKind::Allow;
    let end = text.map_or(End::Through, |text| options(kind, text, wish, report));
    match end {
        End::Verdict(Verdict::Granted, _) => true,
        End::Verdict(Verdict::Denied, _) => false,
        End::Verdict(Verdict::Delegated, _) => granted,
        End::Passed => false,
        End::Through | End::CommandFailed => {
            if granted && wish.implicit_allow {
                report.warn("grants by its place in this table, without an allow option");
            }
            granted
        }
    }
}

/// Runs the options for a request of which every piece is known by the name of the piece.
fn options(kind: TableKind, text: &[u8], wish: &Wish, report: &mut Report) -> End {
    let mut host = DryRun::new(report);
    let mut request = Request::new("daemon_name")
        .known_address(Side::Client, "client_addr")
        .known_name(Side::Client, "client_hostname")
        .known_address(Side::Server, "server_addr")
        .known_name(Side::Server, "server_hostname")
        .known_user("user_name")
        .verbose(i32::from(wish.list));
    host::run_options(&mut Options::in_table(text, kind), &mut request, &mut host)
}

/// Says where a command begins with the path of a program that is not there.
fn program(command: &[u8], report: &mut Report) {
    let word = command
        .split(|byte| b" \t;|&()<>".contains(byte))
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    // What the shell makes of quotes, wildcards and variables is not guessed at.
    if !word.starts_with(b"/") || word.iter().any(|byte| b"'\"`$\\*?[{%".contains(byte)) {
        return;
    }
    if let Err(error) = std::fs::metadata(Path::new(OsStr::from_bytes(word))) {
        let why = hosts_access::decide::reason(&error);
        report.warn([word, b": cannot be run: ", why.as_bytes()].concat());
    }
}
