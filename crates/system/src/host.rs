//! The machine as the engine asks for it, for one connection: [`SocketHost`].
//!
//! It finds out who the client is and carries effects out on the connection, and on this process. A program
//! that serves many clients from one process puts its own [`Host`] around it and refuses there what would
//! change the process.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use hosts_access::decide::reason;
use hosts_access::{Diagnostic, Effect, Fact, Host, Kind, Known, Outcome, Place, Request, Side, UNKNOWN};

use crate::endpoints::{Endpoint, Endpoints};
use crate::syslog::{self, Log};
use state::State;

use crate::{commands, connection, facts, ident, names, netdb, privileges};

/// What the engine asks of this host about one connection.
///
/// [`Effect::Twist`] is left to the caller, who knows the severity to log it at: it is answered with
/// [`Outcome::Done`], the decision ends as [`Verdict::Delegated`](hosts_access::Verdict), and its last effect
/// holds the command for [`commands::twist`].
///
/// ```
/// use hosts_access::Tables;
/// use system::{host::SocketHost, syslog};
/// use std::os::fd::AsFd;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// let (server, _) = listener.accept()?;
/// let mut host = SocketHost::new(server.as_fd(), &syslog::write);
/// let directory = tempfile::tempdir()?;
/// std::fs::write(directory.path().join("hosts.deny"), "ALL: 127.\n")?;
/// let decision = Tables::in_directory(directory.path()).decide(&mut host.request("sshd"), &mut host);
/// assert!(!decision.verdict.is_granted());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct SocketHost<'c> {
    connection: BorrowedFd<'c>,
    client: Endpoint,
    /// Asked for when it is needed.
    server: OnceCell<Endpoint>,
    /// As [`Endpoints::datagram`].
    datagram: bool,
    ident_timeout: Duration,
    state: &'c State,
    log: &'c Log<'c>,
}

impl<'c> SocketHost<'c> {
    /// Finds both ends of the connection, and logs what could not be found out.
    pub fn new(connection: BorrowedFd<'c>, log: &'c Log<'c>) -> Self {
        let endpoints = Endpoints::of(connection, &mut |text| {
            syslog::diagnostic(&Diagnostic::new(Kind::Warning, None, text), log);
        });
        SocketHost::with_endpoints(connection, endpoints, log)
    }

    /// The same, for a connection whose ends are known.
    pub fn with_endpoints(connection: BorrowedFd<'c>, endpoints: Endpoints, log: &'c Log<'c>) -> Self {
        SocketHost {
            server: endpoints.server.into(),
            datagram: endpoints.datagram,
            ..SocketHost::with_client(connection, endpoints.client, log)
        }
    }

    /// The same, for a stream whose client is known. This host's end is asked for when a rule first needs it.
    pub fn with_client(connection: BorrowedFd<'c>, client: Endpoint, log: &'c Log<'c>) -> Self {
        SocketHost {
            connection,
            client,
            server: OnceCell::new(),
            datagram: false,
            ident_timeout: ident::TIMEOUT,
            state: &facts::ONCE,
            log,
        }
    }

    /// Waits this long for ident replies, unless a rule says otherwise.
    pub fn ident_timeout(mut self, timeout: Duration) -> Self {
        self.ident_timeout = timeout;
        self
    }

    /// Asks and remembers here, rather than as a process that decides once.
    pub fn remembering(mut self, state: &'c State) -> Self {
        self.state = state;
        self
    }

    /// Both ends of an Internet connection.
    fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        match (self.client, self.server()) {
            (Endpoint::Internet(client), Endpoint::Internet(server)) if !self.datagram => {
                Some((client, *server))
            }
            _ => None,
        }
    }

    /// Puts the client on the ban list, if it has shown that the address is its own.
    fn ban(&self, seconds: u64, at: Option<&Place>) {
        let problem = match self.ends() {
            Some((client, _)) if connection::is_stream(self.connection) => {
                let reason = at.map_or_else(String::new, |at| {
                    format!("{} line {}", at.file.display(), at.line)
                });
                match facts::ban(self.state, client.ip(), seconds, &reason) {
                    Ok(()) => return,
                    Err(cause) => cause.to_string(),
                }
            }
            Some(_) | None => "the client may not be who it says".to_owned(),
        };
        self.warn(at, format!("not banned: {problem}"));
    }

    /// Both ends.
    pub fn endpoints(&self) -> Endpoints {
        Endpoints {
            client: self.client,
            server: *self.server(),
            datagram: self.datagram,
        }
    }

    /// A request of this client for `daemon`. What is known without asking anybody is set.
    pub fn request(&self, daemon: impl AsRef<[u8]>) -> Request {
        Request::new(daemon)
            .known_address(Side::Client, self.client.text())
            .known_port(Side::Client, self.client.internet().map(SocketAddr::port))
    }

    fn server(&self) -> &Endpoint {
        self.server
            .get_or_init(|| Endpoints::server(self.connection, &mut |text| self.warn(None, text)))
    }

    fn endpoint(&self, side: Side) -> &Endpoint {
        match side {
            Side::Client => &self.client,
            Side::Server => self.server(),
        }
    }

    fn warn(&self, at: Option<&Place>, text: impl Into<Vec<u8>>) {
        syslog::diagnostic(&Diagnostic::new(Kind::Warning, at.cloned(), text), self.log);
    }

    /// Logs why a thing that may fail did.
    fn tried(&self, at: Option<&Place>, what: &str, result: io::Result<()>) -> Outcome {
        if let Err(error) = result {
            self.warn(at, format!("{what}: {}", reason(&error)));
        }
        Outcome::Done
    }

    fn aclexec(&self, command: &[u8], at: Option<&Place>) -> Outcome {
        match commands::run(command) {
            Ok(finished) if finished.status.success() => return Outcome::Done,
            Ok(finished) => {
                if let Some(signal) = finished.status.signal() {
                    let process = finished.process;
                    self.warn(at, format!("process {process} exited with signal {signal}"));
                }
            }
            Err(error) => self.warn(at, format!("cannot fork: {}", reason(&error))),
        }
        Outcome::Failed
    }
}

impl Host for SocketHost<'_> {
    fn address(&mut self, side: Side, _at: Option<&Place>) -> Vec<u8> {
        self.endpoint(side).text()
    }

    fn name(&mut self, side: Side, _address: &[u8], at: Option<&Place>) -> Vec<u8> {
        match self.endpoint(side).internet() {
            Some(address) => names::verified_name(address, &mut |doubt| self.warn(at, doubt)),
            None => UNKNOWN.to_vec(),
        }
    }

    fn port(&mut self, side: Side) -> Option<u16> {
        self.endpoint(side).internet().map(|address| address.port())
    }

    fn user(&mut self, at: Option<&Place>) -> Vec<u8> {
        let Some((client, server)) = self.ends() else {
            return UNKNOWN.to_vec();
        };
        ident::user(&client, &server, self.ident_timeout, &mut |text| {
            self.warn(at, text)
        })
        .unwrap_or_else(|| UNKNOWN.to_vec())
    }

    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        netdb::in_netgroup(group, host)
    }

    fn fact(&mut self, fact: &Fact, client: Option<IpAddr>, at: Option<&Place>) -> Known {
        let known = facts::answer(self.state, fact, client, self.ends());
        for remark in facts::remarks(self.state, fact, &known) {
            self.warn(at, remark);
        }
        known
    }

    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>> {
        connection::banner(directory, daemon, &mut |problem| self.warn(at, problem))
    }

    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome {
        match effect {
            Effect::Spawn(command) => self.tried(at, "cannot fork", commands::spawn(command)),
            Effect::Aclexec(command) => self.aclexec(command, at),
            Effect::Twist(_) => Outcome::Done,
            Effect::Banner { text, .. } => {
                // A client that does not take its banner in is served, or refused, all the same.
                let _ = connection::send(self.connection, text, connection::BANNER_TIMEOUT);
                Outcome::Done
            }
            Effect::Keepalive => {
                let result = connection::keep_alive(self.connection);
                self.tried(at, "setsockopt SO_KEEPALIVE", result)
            }
            Effect::Linger(seconds) => {
                let result = connection::linger(self.connection, *seconds);
                self.tried(at, &format!("setsockopt SO_LINGER {seconds}"), result)
            }
            Effect::Nice(by) => self.tried(at, &format!("nice({by})"), privileges::nice(*by)),
            Effect::Umask(mask) => {
                privileges::umask(*mask);
                Outcome::Done
            }
            Effect::Setenv { name, value } => set_variable(name, value),
            Effect::User { user, group } => refused(privileges::become_user(user, group.as_deref())),
            Effect::Group(group) => refused(privileges::become_group(group)),
            Effect::IdentTimeout(seconds) => {
                self.ident_timeout = Duration::from_secs((*seconds).into());
                Outcome::Done
            }
            Effect::Ban(seconds) => {
                self.ban(*seconds, at);
                Outcome::Done
            }
        }
    }

    fn log(&mut self, diagnostic: &Diagnostic) {
        syslog::diagnostic(diagnostic, self.log);
    }
}

fn refused(result: Result<(), Vec<u8>>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(message) => Outcome::Refused(message),
    }
}

/// Sets an environment variable of this process, for the programs it runs.
fn set_variable(name: &[u8], value: &[u8]) -> Outcome {
    if name.is_empty() || name.contains(&b'=') || name.contains(&0) || value.contains(&0) {
        return Outcome::Refused(b"memory allocation failure".to_vec());
    }
    // SAFETY: other threads of Rust read the environment under the same lock; one of C that reads it
    // meanwhile does what C has always forbidden in a program that lets its rules say `setenv`.
    unsafe { std::env::set_var(OsStr::from_bytes(name), OsStr::from_bytes(value)) };
    Outcome::Done
}
