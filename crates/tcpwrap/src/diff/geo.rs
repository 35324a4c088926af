//! Databases that say where addresses are, read whole.

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
}

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
        });
    }
    Ok(databases)
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
            format!("{NOTE}{says}{NOTE:#} as in {path}, made {}\n", read.made)
        };
        self.read.iter().map(line).collect()
    }

    /// The same as data.
    pub fn json(&self) -> Value {
        let one = |read: &Read| json!({"file": read.path.display().to_string(), "made": read.made, "says": read.says});
        self.read.iter().map(one).collect()
    }
}
