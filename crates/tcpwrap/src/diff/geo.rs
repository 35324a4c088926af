//! Databases that say where addresses are, read whole.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use analysis::compare::{Block, Places};
use serde_json::{Value, json};
use state::geo::{self, Located};
use state::stamp;

use crate::output::{NOTE, escape};

/// What databases say, and which they are.
#[derive(Debug, Default)]
pub struct Databases {
    /// Where addresses are.
    pub places: Places,
    read: Vec<Read>,
}

/// A database that was read.
#[derive(Debug)]
struct Read {
    path: PathBuf,
    /// The day it was made.
    made: String,
    says: Vec<&'static str>,
    /// Blocks of IPv6 that stand for IPv4 in it.
    aliases: Vec<&'static str>,
}

/// Blocks of IPv6 by which databases have the networks of IPv4 a second time: those in which an IPv4 address stands.
const ALIASES: [(&str, Ipv6Addr, u8); 3] = [
    ("::/96", Ipv6Addr::UNSPECIFIED, 96),
    ("2001::/32", Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    ("2002::/16", Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// Reads databases.
///
/// # Errors
/// A message, where one cannot be read, says nothing that rules ask, or says the same as another one.
pub fn read(paths: &[PathBuf]) -> Result<Databases, String> {
    let mut databases = Databases::default();
    for path in paths {
        let (edition, networks) = geo::read_all(path).map_err(|unknown| unknown.to_string())?;
        let mut says = Vec::new();
        if networks
            .iter()
            .any(|one| one.country.is_some() || one.continent.is_some())
        {
            says.push("countries");
            let of = |one: &Located| {
                let codes = [one.country, one.continent].map(|code| code.map(|code| code.letters()));
                (block(one), codes[0], codes[1])
            };
            databases.places.locations(networks.iter().map(of));
        }
        if networks.iter().any(|one| one.asn.is_some()) {
            says.push("autonomous systems");
            databases
                .places
                .systems(networks.iter().map(|one| (block(one), one.asn)));
        }
        let shown = path.display();
        if says.is_empty() {
            return Err(format!(
                "{shown}: it knows neither countries nor autonomous systems"
            ));
        }
        for other in &databases.read {
            if let Some(what) = says.iter().find(|what| other.says.contains(what)) {
                return Err(format!("{shown}: {} knows {what} already", other.path.display()));
            }
        }
        let made = stamp::show(edition.built);
        databases.read.push(Read {
            path: path.clone(),
            made: made.split('T').next().unwrap_or(&made).to_owned(),
            says,
            aliases: aliases(&networks),
        });
    }
    Ok(databases)
}

/// Which of the blocks that stand for IPv4 the networks lie in.
fn aliases(networks: &[Located]) -> Vec<&'static str> {
    let is_in = |one: &Located, block: Ipv6Addr, length: u8| match one.network.address() {
        IpAddr::V6(address) => {
            one.network.length() > length && (address.to_bits() ^ block.to_bits()) >> (128 - length) == 0
        }
        IpAddr::V4(_) => false,
    };
    let found = ALIASES
        .into_iter()
        .filter(|(_, block, length)| networks.iter().any(|one| is_in(one, *block, *length)));
    found.map(|(name, ..)| name).collect()
}

fn block(one: &Located) -> Block {
    Block {
        address: one.network.address(),
        length: one.network.length(),
    }
}

impl Databases {
    /// Which they are, in words.
    pub fn text(&self) -> String {
        let line = |read: &Read| {
            let path = read.path.display().to_string();
            let (path, says) = (escape(path.as_bytes()), read.says.join(" and "));
            let also = match &read.aliases[..] {
                [] => String::new(),
                aliases => format!("; it has IPv4 networks as part of {} too", aliases.join(", ")),
            };
            format!("{NOTE}{says}{NOTE:#} as in {path}, made {}{also}\n", read.made)
        };
        self.read.iter().map(line).collect()
    }

    /// The same as data.
    pub fn json(&self) -> Value {
        let one = |read: &Read| json!({"file": read.path.display().to_string(), "made": read.made, "says": read.says});
        self.read.iter().map(one).collect()
    }
}
