//! The databases of countries and autonomous systems, as an administrator wants to know them: whether they can be read,
//! and how old they are.

use std::net::IpAddr;
use std::path::PathBuf;

use state::{Answer, State, stamp};

/// A database older than this many days is wrong about more and more networks.
const OLD: u64 = 60;

/// What a database is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Countries and continents.
    Countries,
    /// Autonomous systems.
    Systems,
}

/// A database that can be read.
#[derive(Debug)]
pub struct Database {
    /// Its file.
    pub path: PathBuf,
    /// The date it was made.
    pub made: String,
    /// How many days ago that was.
    pub days: u64,
    /// Why this copy is asked, where it is one.
    instead: Option<String>,
}

impl Database {
    /// What an administrator should see to.
    pub fn problem(&self) -> Option<String> {
        let Database { made, days, .. } = self;
        match &self.instead {
            Some(why) => Some(format!("{why}; a copy of {made} is asked, {days} days old")),
            None if *days > OLD => Some(format!(
                "{} was made {days} days ago ({made}): networks have moved since",
                self.path.display()
            )),
            None => None,
        }
    }
}

/// Looks at a database, here and there in it.
///
/// # Errors
/// There is none, or it is damaged.
pub fn look_at(state: &State, what: What) -> Answer<Database> {
    const DAY: u64 = 86_400;
    let database = match what {
        What::Countries => state.countries(),
        What::Systems => state.systems(),
    }?;
    let edition = database.edition()?;
    for address in samples() {
        database.locate(address, false)?;
    }
    let made = stamp::show(edition.built);
    Ok(Database {
        path: edition.path,
        made: made.get(..10).unwrap_or(&made).to_owned(),
        days: stamp::now().saturating_sub(edition.built) / DAY,
        instead: edition.instead,
    })
}

/// Addresses all over both families.
fn samples() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..16u32).map(|n| IpAddr::from((n << 28 | 0x0808_0808).to_be_bytes()));
    let v6 = (0..16u128).map(|n| IpAddr::from((0x2000_u128 << 112 | n << 108 | n << 92).to_be_bytes()));
    v4.chain(v6)
}
