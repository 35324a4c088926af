//! What tcpdmatch and tcpdchk are to look at: the tables, and the services of this host.

use std::path::Path;

use hosts_access::Tables;
use hosts_access::decide::reason;
use system::services::{Guard, Services, Starter, program, uses_libwrap};

/// The tables in force, or with `-d` those in the current directory.
pub(crate) fn tables(here: bool) -> Tables {
    if here {
        Tables::new("hosts.allow", "hosts.deny")
    } else {
        Tables::default()
    }
}

/// The services of this host; the error is what to say about the file that `-i` names.
pub(crate) fn services(inetd_conf: Option<&Path>) -> Result<Services, String> {
    Services::of_this_host(inetd_conf).map_err(|error| {
        let path = inetd_conf.unwrap_or(Path::new("inetd.conf"));
        format!("open {}: {}", path.display(), reason(&error))
    })
}

/// What keeps rules for this daemon from having any effect here, if something does.
pub(crate) fn daemon_problem(daemon: &[u8], services: &Services) -> Option<Vec<u8>> {
    let text = match services.guard(daemon) {
        Some(Guard::Tcpd | Guard::Libwrap) => return None,
        Some(Guard::Nobody) => {
            let service = services.named(daemon).find(|s| s.guard == Guard::Nobody)?;
            let starter = match service.starter {
                Starter::Inetd => "inetd",
                Starter::Xinetd => "xinetd",
                Starter::Systemd => "systemd",
            };
            let (file, line) = (service.place.file.display(), service.place.line);
            format!(": not wrapped: {starter} starts it without tcpd ({file}, line {line})")
        }
        None => match program(daemon) {
            Some(path) if uses_libwrap(&path) => return None,
            Some(path) => format!(": possibly not wrapped: {} does not use libwrap", path.display()),
            None => ": no such daemon: no super server starts it and no program has that name".to_owned(),
        },
    };
    Some([daemon, text.as_bytes()].concat())
}
