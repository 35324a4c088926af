//! The same findings in words, for every tool that tells them.

use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use system::services::Starter;

use crate::linkage::{How, Linkage};
use crate::machine::{Answer, By};
use crate::socket::Socket;

/// A super server's name.
pub fn starter(starter: Starter) -> &'static str {
    match starter {
        Starter::Inetd => "inetd",
        Starter::Xinetd => "xinetd",
        Starter::Systemd => "systemd",
    }
}

/// A name from a rule, between backquotes.
fn quoted(name: &[u8]) -> String {
    format!("`{}`", String::from_utf8_lossy(name))
}

fn all_quoted(names: &[Vec<u8>]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    match &names[..] {
        [] => String::new(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

impl By {
    /// What asks, in a few words.
    pub fn text(&self) -> String {
        match self {
            By::Run(id) => format!("tcpwrap run (guard {id})"),
            By::Unit(unit) => format!("tcpwrap run, when {unit} is started"),
            By::Tcpd(by, place) => format!(
                "tcpd, by {} ({}, line {})",
                starter(*by),
                place.file.display(),
                place.line
            ),
            By::SuperServer(by, place) => {
                format!(
                    "{} itself ({}, line {})",
                    starter(*by),
                    place.file.display(),
                    place.line
                )
            }
            By::Libwrap(program, linkage) => format!("{} with {}", program.display(), linkage.text()),
            By::Helper(program, helper, linkage) => {
                format!(
                    "{} through {}, with {}",
                    program.display(),
                    helper.display(),
                    linkage.text()
                )
            }
        }
    }
}

impl Linkage {
    /// Which libwrap, and by what way.
    pub fn text(&self) -> String {
        let whose = whose(self.version.as_deref());
        match (&self.library, self.how) {
            (Some(library), _) => {
                let mut text = format!("{} ({whose})", library.display());
                for library in &self.through {
                    text.push_str(&format!(", through {}", name(library)));
                }
                text
            }
            (None, How::Missing) => "a libwrap.so.0 that is not here, so it cannot start".to_owned(),
            (None, How::LoadsLater) => "a libwrap that it loads later".to_owned(),
            (None, How::NamesTables) => "something like libwrap built in".to_owned(),
            (None, _) => format!("libwrap built in ({whose})"),
        }
    }
}

/// Whose libwrap.
pub fn whose(version: Option<&str>) -> String {
    version.map_or_else(
        || "the distribution's".to_owned(),
        |version| format!("tcpwrap {version}"),
    )
}

/// A socket as people write it: `*:22/tcp`, `127.0.0.1:53/udp`, `[::1]:25/tcp`.
pub fn endpoint(socket: &Socket) -> String {
    let (ip, port) = (socket.address.ip().to_canonical(), socket.address.port());
    let protocol = socket.protocol.as_str();
    match ip {
        ip if ip.is_unspecified() && socket.address.is_ipv4() => format!("0.0.0.0:{port}/{protocol}"),
        ip if ip.is_unspecified() => format!("*:{port}/{protocol}"),
        IpAddr::V4(ip) => format!("{ip}:{port}/{protocol}"),
        IpAddr::V6(ip) => format!("[{ip}]:{port}/{protocol}"),
    }
}

/// The name of a file.
fn name(path: &Path) -> String {
    String::from_utf8_lossy(system::services::base_name(path.as_os_str().as_bytes())).into_owned()
}

impl Answer {
    /// Why rules for `daemon` may have no effect; nothing where they have.
    pub fn problem(&self, daemon: &[u8]) -> Option<String> {
        let shown = quoted(daemon);
        Some(match self {
            Answer::Obeyed(_) => return None,
            Answer::Perhaps(program, why) => {
                format!(
                    "{} has libwrap, but it is not certain that it asks: {why}",
                    program.display()
                )
            }
            Answer::Off(program, why) => format!(
                "{} has libwrap and does not use it, so nothing obeys this: {why}",
                program.display()
            ),
            Answer::OtherName(program, names) => format!(
                "{} asks under the name {}, so nothing obeys a rule for {shown}",
                program.display(),
                all_quoted(names)
            ),
            Answer::Bare(by, place) => format!(
                "{shown} is started by {} without tcpd and does not use libwrap, so nothing obeys this ({}, line {})",
                starter(*by),
                place.file.display(),
                place.line
            ),
            Answer::Unguarded(program) => format!(
                "{} does not use libwrap and is not run under `tcpwrap run`, so nothing obeys this",
                program.display()
            ),
            Answer::Unknown => format!("no program or service here is called {shown}"),
        })
    }
}
