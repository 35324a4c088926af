//! Which requests to explain: from the command line, the present session, or a file.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hosts_access::{PARANOID, UNKNOWN};
use system::netdb::{self, Family};

use crate::output::escape;

/// What the command line says of the requests.
#[derive(Debug, clap::Args)]
pub struct Requests {
    /// The daemon, and the server address or name it is reached at
    #[arg(value_name = "DAEMON[@SERVER]", required_unless_present_any = ["matrix", "ssh_client"])]
    daemon: Option<OsString>,
    /// The client's address or name, and the user there
    #[arg(value_name = "[USER@]CLIENT", required_unless_present_any = ["matrix", "ssh_client"])]
    client: Option<OsString>,
    /// Suppose this name for the client, without looking it up
    #[arg(long, value_name = "NAME", conflicts_with_all = ["paranoid", "no_dns"])]
    name: Option<OsString>,
    /// Suppose that the client's name and address disagree
    #[arg(long, conflicts_with = "no_dns")]
    paranoid: bool,
    /// Look no names up: the client has none
    #[arg(long)]
    no_dns: bool,
    /// Suppose this user at the client's end
    #[arg(long, value_name = "USER")]
    user: Option<OsString>,
    /// The server's port, for rules that name ports
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Explain for the client of the present SSH session (DAEMON is sshd unless given)
    #[arg(long, conflicts_with_all = ["client", "matrix"])]
    ssh_client: bool,
    /// Read requests from FILE, or standard input if it is -, one a line (daemon, then client, as above); print a
    /// matrix
    #[arg(long, value_name = "FILE", conflicts_with_all = ["daemon", "client"])]
    matrix: Option<PathBuf>,
}

/// How the client's name is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameSource {
    /// By the name service, when a rule needs it.
    NameService,
    /// It is this.
    Given(Vec<u8>),
}

/// One request to explain.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The daemon's name.
    pub daemon: Vec<u8>,
    /// The client as it was written.
    pub client: Vec<u8>,
    /// The client's address, or `unknown`.
    pub address: Vec<u8>,
    /// Its name.
    pub name: NameSource,
    /// The user at its end.
    pub user: Option<Vec<u8>>,
    /// The server's address, or `unknown`.
    pub server_address: Vec<u8>,
    /// Its name.
    pub server_name: NameSource,
    /// Its port.
    pub port: Option<u16>,
}

impl Requests {
    /// Is the answer wanted as a matrix?
    pub fn is_matrix(&self) -> bool {
        self.matrix.is_some()
    }

    /// The requests asked for; a name with several addresses makes several.
    pub fn read(&self) -> Result<Vec<Asked>, String> {
        if let Some(path) = &self.matrix {
            return self.matrix_of(path);
        }
        let daemon = self.daemon.as_deref().unwrap_or(OsStr::new("sshd")).as_bytes();
        if self.ssh_client {
            let connection = std::env::var("SSH_CONNECTION").or_else(|_| std::env::var("SSH_CLIENT"));
            let connection = connection.map_err(|_| "this is no SSH session: SSH_CONNECTION is not set")?;
            let address = connection.split_whitespace().next().unwrap_or_default();
            return self.ask(daemon, address.as_bytes());
        }
        self.ask(daemon, self.client.as_deref().unwrap_or_default().as_bytes())
    }

    /// The requests in a file.
    fn matrix_of(&self, path: &Path) -> Result<Vec<Asked>, String> {
        let mut text = Vec::new();
        if path.as_os_str() == "-" {
            std::io::stdin().read_to_end(&mut text)
        } else {
            std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text))
        }
        .map_err(|error| format!("{}: {}", path.display(), hosts_access::decide::reason(&error)))?;
        let mut asked = Vec::new();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            let words: Vec<&[u8]> = line
                .split(u8::is_ascii_whitespace)
                .filter(|word| !word.is_empty())
                .collect();
            let wrong = |problem: String| format!("{}, line {}: {problem}", path.display(), at + 1);
            match words[..] {
                [] => {}
                [daemon, client] => asked.extend(self.ask(daemon, client).map_err(wrong)?),
                _ => {
                    let found = escape(line.trim_ascii());
                    return Err(wrong(format!("expected `DAEMON CLIENT`, found `{found}`")));
                }
            }
        }
        if asked.is_empty() {
            return Err(format!("{}: no requests in it", path.display()));
        }
        Ok(asked)
    }

    fn ask(&self, daemon: &[u8], client: &[u8]) -> Result<Vec<Asked>, String> {
        let (daemon, server) = split(daemon);
        let (user, client) = match split(client) {
            (user, Some(client)) => (Some(user), client),
            (client, None) => (None, client),
        };
        if daemon.is_empty() || client.is_empty() {
            return Err("the daemon and the client must not be empty".into());
        }
        let servers = match server {
            Some(server) => self.endpoints(server)?,
            None => vec![(UNKNOWN.to_vec(), NameSource::Given(UNKNOWN.to_vec()))],
        };
        let mut asked = Vec::new();
        for (server_address, server_name) in servers {
            for (address, name) in self.endpoints(client)? {
                let name = match (&self.name, self.paranoid, self.no_dns) {
                    (Some(name), ..) => NameSource::Given(name.as_bytes().to_vec()),
                    (_, true, _) => NameSource::Given(PARANOID.to_vec()),
                    (_, _, true) => NameSource::Given(UNKNOWN.to_vec()),
                    _ => name,
                };
                asked.push(Asked {
                    daemon: daemon.to_owned(),
                    client: client.to_owned(),
                    address,
                    name,
                    user: user
                        .or(self.user.as_deref().map(OsStr::as_bytes))
                        .map(<[u8]>::to_vec),
                    server_address: server_address.clone(),
                    server_name: server_name.clone(),
                    port: self.port,
                });
            }
        }
        Ok(asked)
    }

    /// The addresses an address or name stands for.
    fn endpoints(&self, text: &[u8]) -> Result<Vec<(Vec<u8>, NameSource)>, String> {
        let bare = text
            .strip_prefix(b"[")
            .and_then(|t| t.strip_suffix(b"]"))
            .unwrap_or(text);
        // A scope id is no part of what parses as an address.
        let address = bare
            .split(|byte| *byte == b'%')
            .next()
            .and_then(|t| str::from_utf8(t).ok());
        if bare == UNKNOWN || address.is_some_and(|address| address.parse::<IpAddr>().is_ok()) {
            return Ok(vec![(bare.to_vec(), NameSource::NameService)]);
        }
        let resolved = if self.no_dns {
            None
        } else {
            netdb::resolve(bare, Family::Any)
        };
        let resolved = resolved.ok_or_else(|| {
            let shown = escape(bare);
            let is_number = bare.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
            if bare.contains(&b'/') {
                format!("{shown}: a client is one host: give an address of that network")
            } else if is_number {
                format!("{shown}: no possible address")
            } else {
                format!("{shown}: no address found; give an address, and its name with --name")
            }
        })?;
        // A daemon sees the address alone, and has to find a name for it.
        Ok(resolved
            .addresses
            .iter()
            .map(|address| (netdb::numeric(address), NameSource::NameService))
            .collect())
    }
}

/// Splits at the first `@` that is not the first character.
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().skip(1).position(|byte| *byte == b'@') {
        Some(at) => (&text[..at + 1], Some(&text[at + 2..])),
        None => (text, None),
    }
}
