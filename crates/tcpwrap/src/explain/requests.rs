//! Which requests to explain: from the command line, the present session, or a file.

use std::net::IpAddr;
use std::path::PathBuf;

use system::netdb::{self, Family};

/// What the command line says of the requests.
#[derive(Debug, clap::Args)]
pub struct Requests {
    /// The daemon, and the server address or name it is reached at
    #[arg(value_name = "DAEMON[@SERVER]", required_unless_present_any = ["matrix", "ssh_client"])]
    daemon: Option<String>,
    /// The client's address or name, and the user there
    #[arg(value_name = "[USER@]CLIENT", required_unless_present_any = ["matrix", "ssh_client"])]
    client: Option<String>,
    /// Suppose this name for the client, without looking it up
    #[arg(long, value_name = "NAME", conflicts_with_all = ["paranoid", "no_dns"])]
    name: Option<String>,
    /// Suppose that the client's name and address disagree
    #[arg(long, conflicts_with = "no_dns")]
    paranoid: bool,
    /// Look no names up: the client has none
    #[arg(long)]
    no_dns: bool,
    /// Suppose this user at the client's end
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The server's port, for rules that name ports
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Explain for the client of the present SSH session (DAEMON is sshd unless given)
    #[arg(long, conflicts_with_all = ["client", "matrix"])]
    ssh_client: bool,
    /// Read requests from FILE, one a line (daemon, then client, as above); print a matrix
    #[arg(long, value_name = "FILE", conflicts_with_all = ["daemon", "client"])]
    matrix: Option<PathBuf>,
}

/// How the client's name is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameSource {
    /// By the name service, when a rule needs it.
    NameService,
    /// It is this: given, or what its address was looked up by.
    Given(Vec<u8>),
}

/// One request to explain.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The daemon's name.
    pub daemon: String,
    /// The client as it was written.
    pub client: String,
    /// The client's address, or `unknown`.
    pub address: String,
    /// Its name.
    pub name: NameSource,
    /// The user at its end.
    pub user: Option<String>,
    /// The server's address, or `unknown`.
    pub server_address: String,
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
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let mut asked = Vec::new();
            for (at, line) in text.lines().enumerate() {
                let line = line.split('#').next().unwrap_or_default();
                match line.split_whitespace().collect::<Vec<_>>()[..] {
                    [] => {}
                    [daemon, client] => asked.extend(
                        self.ask(daemon, client)
                            .map_err(|e| format!("{}, line {}: {e}", path.display(), at + 1))?,
                    ),
                    _ => {
                        let place = format!("{}, line {}", path.display(), at + 1);
                        return Err(format!(
                            "{place}: expected `DAEMON CLIENT`, found `{}`",
                            line.trim()
                        ));
                    }
                }
            }
            return Ok(asked);
        }
        let daemon = self.daemon.as_deref().unwrap_or("sshd");
        if self.ssh_client {
            let connection = std::env::var("SSH_CONNECTION").or_else(|_| std::env::var("SSH_CLIENT"));
            let connection = connection.map_err(|_| "this is no SSH session: SSH_CONNECTION is not set")?;
            let address = connection
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned();
            return self.ask(daemon, &address);
        }
        self.ask(daemon, self.client.as_deref().unwrap_or_default())
    }

    fn ask(&self, daemon: &str, client: &str) -> Result<Vec<Asked>, String> {
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
            None => vec![("unknown".to_owned(), NameSource::Given(b"unknown".to_vec()))],
        };
        let mut asked = Vec::new();
        for (server_address, server_name) in servers {
            for (address, name) in self.endpoints(client)? {
                let name = match (&self.name, self.paranoid, self.no_dns) {
                    (Some(name), ..) => NameSource::Given(name.clone().into_bytes()),
                    (_, true, _) => NameSource::Given(b"paranoid".to_vec()),
                    (_, _, true) => NameSource::Given(b"unknown".to_vec()),
                    _ => name,
                };
                asked.push(Asked {
                    daemon: daemon.to_owned(),
                    client: client.to_owned(),
                    address,
                    name,
                    user: user.map(str::to_owned).or_else(|| self.user.clone()),
                    server_address: server_address.clone(),
                    server_name: server_name.clone(),
                    port: self.port,
                });
            }
        }
        Ok(asked)
    }

    /// The addresses an address or name stands for.
    fn endpoints(&self, text: &str) -> Result<Vec<(String, NameSource)>, String> {
        let bare = text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .unwrap_or(text);
        // A scope id is no part of what parses as an address.
        let address = bare.split('%').next().unwrap_or_default();
        if bare == "unknown" || address.parse::<IpAddr>().is_ok() {
            return Ok(vec![(bare.to_owned(), NameSource::NameService)]);
        }
        let resolved = if self.no_dns {
            None
        } else {
            netdb::resolve(bare.as_bytes(), Family::Any)
        };
        let resolved = resolved
            .ok_or_else(|| format!("{bare}: no address found; give an address, and its name with --name"))?;
        let name = resolved.canonical.unwrap_or_else(|| bare.as_bytes().to_vec());
        let text = |address| String::from_utf8_lossy(&netdb::numeric(address)).into_owned();
        Ok(resolved
            .addresses
            .iter()
            .map(|a| (text(a), NameSource::Given(name.clone())))
            .collect())
    }
}

/// Splits at the first `@` that is not the first character.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.char_indices().skip(1).find(|(_, c)| *c == '@') {
        Some((at, _)) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}
