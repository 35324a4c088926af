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
    /// The copy that `tcpwrap compile` has kept of it, or why that cannot be used.
    pub copy: Option<Answer<Copy>>,
}

/// A copy that is asked when the database itself is gone.
#[derive(Debug)]
pub struct Copy {
    /// Its file.
    pub path: PathBuf,
    /// The date its database was made.
    pub made: String,
    /// How many days ago that was.
    pub days: u64,
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
            None => self.problem_of_copy(),
        }
    }

    /// The same of its copy, which nobody looks at until it is needed.
    fn problem_of_copy(&self) -> Option<String> {
        const AGAIN: &str = "`tcpwrap compile` makes a new one";
        match self.copy.as_ref()? {
            Err(unknown) => Some(format!("its copy cannot be used: {unknown}; {AGAIN}")),
            Ok(copy) if copy.days > self.days + OLD => Some(format!(
                "its copy, of {}, is {} days older; {AGAIN}",
                copy.made,
                copy.days - self.days
            )),
            Ok(_) => None,
        }
    }
}

/// Looks at a database, here and there in it.
///
/// # Errors
/// There is none, or it is damaged.
pub fn look_at(state: &State, what: What) -> Answer<Database> {
    let database = match what {
        What::Countries => state.countries(),
        What::Systems => state.systems(),
    }?;
    let edition = database.edition()?;
    for address in samples() {
        database.locate(address, false)?;
    }
    let copy = database.kept().map(|kept| {
        kept.map(|edition| Copy {
            made: day(edition.built),
            days: days_since(edition.built),
            path: edition.path,
        })
    });
    Ok(Database {
        path: edition.path,
        made: day(edition.built),
        days: days_since(edition.built),
        instead: edition.instead,
        copy,
    })
}

fn day(seconds: u64) -> String {
    let shown = stamp::show(seconds);
    shown.get(..10).unwrap_or(&shown).to_owned()
}

fn days_since(seconds: u64) -> u64 {
    const DAY: u64 = 86_400;
    stamp::now().saturating_sub(seconds) / DAY
}

/// Addresses all over both families.
fn samples() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..16u32).map(|n| IpAddr::from((n << 28 | 0x0808_0808).to_be_bytes()));
    let v6 = (0..16u128).map(|n| IpAddr::from((0x2000_u128 << 112 | n << 108 | n << 92).to_be_bytes()));
    v4.chain(v6)
}
