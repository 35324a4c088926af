//! inetd.conf(5), as the inetds of Debian, the BSDs and GNU write it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hosts_access::Place;

use super::{Launch, Listen, Listing, Starter, words};

/// Where an `inetd.conf` may be; the first there is counts.
pub const PLACES: [&str; 3] = ["/etc/inetd.conf", "/etc/inet/inetd.conf", "/usr/etc/inetd.conf"];

/// Where GNU inetd finds further files.
pub const DROP_IN_DIRECTORY: &str = "/etc/inetd.d";

/// The files in a drop-in directory, by name.
pub(super) fn drop_ins(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// Reads a configuration file:
/// `service type protocol wait user program [argv0 [argument ...]]`.
///
/// A line of one word that ends in `:` sets an address for the lines after it and starts nothing.
pub fn parse(path: &Path, text: &[u8]) -> Listing {
    let file: Arc<Path> = Arc::from(path);
    let mut listing = Listing {
        files: vec![(Starter::Inetd, path.to_path_buf())],
        ..Listing::default()
    };
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        if line.first() == Some(&b'#') {
            continue;
        }
        let fields: Vec<_> = words(line).collect();
        let (service, protocol, waits, program, arguments) = match fields[..] {
            [] => continue,
            [only] if only.ends_with(b":") => continue,
            [service, _, protocol, waits, _, program, ref arguments @ ..] => {
                (service, protocol, waits.starts_with(b"wait"), program, arguments)
            }
            _ => {
                listing.problem(&file, number, "incomplete line: no program is named");
                continue;
            }
        };
        if program == b"internal" {
            continue;
        }
        listing.launches.push(Launch {
            starter: Starter::Inetd,
            place: Place {
                file: Arc::clone(&file),
                line: number,
            },
            program: Some(program.to_vec()),
            name: arguments.first().map(|name| name.to_vec()),
            asked_as: None,
            rpc_stream: protocol.starts_with(b"rpc/tcp"),
            listens: listens(service, protocol),
            waits,
            library_path: None,
        });
    }
    if !text.is_empty() && !text.ends_with(b"\n") {
        let last = text.split(|byte| *byte == b'\n').count();
        let number = u32::try_from(last).unwrap_or(u32::MAX);
        listing.problem(&file, number, "no newline at the end of the file");
    }
    listing
}

/// `[ADDRESS:]SERVICE`; the ports of RPC services are not written there.
fn listens(service: &[u8], protocol: &[u8]) -> Vec<Listen> {
    let is_stream = protocol.starts_with(b"tcp");
    if !is_stream && !protocol.starts_with(b"udp") {
        return Vec::new();
    }
    let port = service.rsplit(|byte| *byte == b':').next().unwrap_or(service);
    vec![Listen {
        is_stream,
        port: port.to_vec(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_apart() {
        let text = b"# no\n\n a stream tcp nowait root /usr/sbin/tcpd in.ad -l\nb dgram rpc/tcp wait root internal\n\
                     c/1 stream rpc/tcp6 wait root /x\nhost:\nd stream tcp\n";
        let listing = parse("inetd.conf".as_ref(), text);
        let launches: Vec<_> = listing
            .launches
            .iter()
            .map(|l| {
                (
                    l.place.line,
                    l.program.as_deref().unwrap(),
                    l.name.as_deref(),
                    l.rpc_stream,
                )
            })
            .collect();
        assert_eq!(
            launches,
            [
                (3, &b"/usr/sbin/tcpd"[..], Some(&b"in.ad"[..]), false),
                (5, b"/x", None, true)
            ]
        );
        assert_eq!(listing.problems.len(), 1);
        assert_eq!(listing.problems[0].place.as_ref().map(|p| p.line), Some(7));
    }

    #[test]
    fn a_last_line_without_newline_is_reported() {
        assert_eq!(parse("i".as_ref(), b"#\n#x").problems.len(), 1);
        assert_eq!(parse("i".as_ref(), b"").problems.len(), 0);
    }
}
