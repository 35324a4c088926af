//! What tcpdmatch and tcpdchk are to look at: the tables, and the services of this host.

use std::path::Path;

use hosts_access::Tables;
use hosts_access::decide::reason;
use obey::{Answer, Machine, words};

/// The tables in force, or with `-d` those in the current directory.
pub(crate) fn tables(here: bool) -> Tables {
    if here {
        Tables::new("hosts.allow", "hosts.deny")
    } else {
        Tables::default()
    }
}

/// This host; the error is what to say about the file that `-i` names.
pub(crate) fn machine(inetd_conf: Option<&Path>) -> Result<Machine, String> {
    Machine::of_this_host(inetd_conf).map_err(|error| {
        let path = inetd_conf.unwrap_or(Path::new("inetd.conf"));
        format!("open {}: {}", path.display(), reason(&error))
    })
}

/// What keeps rules for this daemon from having any effect here, if something does.
pub(crate) fn daemon_problem(daemon: &[u8], machine: &Machine) -> Option<Vec<u8>> {
    let text = match machine.daemon(daemon) {
        Answer::Obeyed(_) => return None,
        Answer::Bare(starter, place) => {
            let (starter, file) = (words::starter(starter), place.file.display());
            format!(
                "not wrapped: {starter} starts it without tcpd ({file}, line {})",
                place.line
            )
        }
        Answer::Unguarded(path) => format!("possibly not wrapped: {} does not use libwrap", path.display()),
        Answer::Off(path, why) => format!(
            "not wrapped: {} has libwrap and does not use it: {why}",
            path.display()
        ),
        Answer::Perhaps(path, why) => {
            format!("possibly not wrapped: {} has libwrap, but: {why}", path.display())
        }
        Answer::OtherName(path, names) => {
            let names = names
                .iter()
                .map(|name| String::from_utf8_lossy(name).into_owned());
            let names = names.collect::<Vec<_>>().join(", ");
            format!("not its name: {} asks as {names}", path.display())
        }
        Answer::Unknown => {
            "no such daemon: no super server starts it and no program has that name".to_owned()
        }
    };
    Some([daemon, b": ", text.as_bytes()].concat())
}
