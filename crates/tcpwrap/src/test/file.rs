//! The test file: TOML, as docs/policy-tests.md describes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::path::{Path, PathBuf};

use hosts_access::{TableKind, Tables, Verdict};
use serde::Deserialize;
use toml::Spanned;

use super::world::{Clock, Code, World};

/// A test file, read.
#[derive(Debug)]
pub struct TestFile {
    /// Its path.
    pub path: PathBuf,
    /// The tables it names, or those beside it.
    pub tables: Tables,
    /// Its tests, with the line each begins in.
    pub tests: Vec<(usize, Test)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    tables: Where,
    #[serde(default)]
    test: Vec<Spanned<Test>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    rules: Option<PathBuf>,
    allow: Option<PathBuf>,
    deny: Option<PathBuf>,
}

/// One test: requests, and what must become of each.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Test {
    /// What it shows, in words.
    pub about: Option<String>,
    /// The daemons asked for.
    pub daemon: Several,
    /// The clients' addresses.
    pub client: Several,
    /// The client's name.
    pub name: Option<String>,
    /// The user at its end.
    pub user: Option<String>,
    /// The server's address.
    pub server: Option<String>,
    /// Its name.
    pub server_name: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Netgroups the client's name is in.
    #[serde(default)]
    pub netgroups: Vec<String>,
    /// What `aclexec` commands do; left out, a rule that has one delegates.
    pub commands: Option<Commands>,
    /// The client's country, by its two letters, or `none`.
    pub country: Option<Code>,
    /// Its continent, the same way.
    pub continent: Option<Code>,
    /// Its autonomous system; 0 where it is in none.
    pub asn: Option<u32>,
    /// The addresses that names have now.
    pub dns: Option<BTreeMap<String, Vec<IpAddr>>>,
    /// What lists in the DNS say of the client, by their zones.
    pub listed: Option<BTreeMap<String, Vec<Ipv4Addr>>>,
    /// Its address is one of this host's.
    pub same_host: Option<bool>,
    /// It is in a network that this host is directly on.
    pub same_net: Option<bool>,
    /// What the clocks of all zones show, as `2026-12-24 18:00`.
    pub time: Option<Clock>,
    /// It is banned.
    #[serde(default)]
    pub banned: bool,
    /// It is over the limits of the rules.
    #[serde(default)]
    pub over_limit: bool,
    /// It has too many connections for the rules.
    #[serde(default)]
    pub over_max: bool,
    /// The verdict.
    pub expect: Expected,
    /// The rule that must decide: `allow:LINE`, `deny:LINE` or `none`.
    pub rule: Option<Place>,
    /// What must run, in order and % expanded, as `keyword value`.
    pub runs: Option<Vec<String>>,
}

impl Test {
    /// What it says of the world.
    pub fn world(&self) -> World<'_> {
        World {
            country: self.country,
            continent: self.continent,
            asn: self.asn,
            dns: self.dns.as_ref(),
            listed: self.listed.as_ref(),
            same_host: self.same_host,
            same_net: self.same_net,
            time: self.time,
            banned: self.banned,
            over_limit: self.over_limit,
            over_max: self.over_max,
        }
    }
}

/// One string or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Several {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Several {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Several::One(one) => std::slice::from_ref(one),
            Several::Many(many) => many,
        }
    }
}

/// What commands are supposed to do.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commands {
    /// All succeed.
    Succeed,
    /// All fail.
    Fail,
}

/// A verdict.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// Granted.
    Granted,
    /// Denied.
    Denied,
    /// A command has the connection, or decides.
    Delegated,
}

impl Expected {
    /// As the engine has it.
    pub fn verdict(self) -> Verdict {
        match self {
            Expected::Granted => Verdict::Granted,
            Expected::Denied => Verdict::Denied,
            Expected::Delegated => Verdict::Delegated,
        }
    }
}

/// Where the deciding rule stands: its table and last line, or no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Place(pub Option<(TableKind, u32)>);

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "none" {
            return Ok(Place(None));
        }
        let (table, line) = text.split_once(':').unwrap_or((&text, ""));
        let table = match table {
            "allow" => Some(TableKind::Allow),
            "deny" => Some(TableKind::Deny),
            _ => None,
        };
        match (table, line.parse()) {
            (Some(table), Ok(line)) => Ok(Place(Some((table, line)))),
            _ => Err(format!("`{text}` is none of allow:LINE, deny:LINE and none")),
        }
    }
}

/// Reads a test file.
///
/// # Errors
/// A message with file and line, where it cannot be read or is wrong.
pub fn read(path: &Path) -> Result<TestFile, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{}: {}", path.display(), hosts_access::decide::reason(&error)))?;
    let line_of = |span: Range<usize>| text[..span.start.min(text.len())].matches('\n').count() + 1;
    let file: Text = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, line_of);
        format!("{}, line {line}: {}", path.display(), error.message())
    })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let beside = match &file.tables.rules {
        Some(rules) => Tables::in_directory(&directory.join(rules)),
        None => Tables::in_directory(directory),
    };
    let table = |named: &Option<PathBuf>, kind| match named {
        Some(named) => directory.join(named),
        None => beside.path(kind).to_path_buf(),
    };
    let tables = Tables::new(
        table(&file.tables.allow, TableKind::Allow),
        table(&file.tables.deny, TableKind::Deny),
    );
    for named in [&file.tables.allow, &file.tables.deny, &file.tables.rules]
        .into_iter()
        .flatten()
    {
        if !directory.join(named).exists() {
            let named = directory.join(named);
            return Err(format!("{}: {} does not exist", path.display(), named.display()));
        }
    }
    let tests: Vec<(usize, Test)> = file
        .test
        .into_iter()
        .map(|test| (line_of(test.span()), test.into_inner()))
        .collect();
    for (line, test) in &tests {
        let wrong = |what: &str| format!("{}, line {line}: {what}", path.display());
        if test.daemon.all().is_empty() || test.client.all().is_empty() {
            return Err(wrong("a test needs a daemon and a client"));
        }
        let server = test.server.iter();
        for address in test.client.all().iter().chain(server) {
            let bare = address.split('%').next().unwrap_or_default();
            if address != "unknown" && bare.parse::<std::net::IpAddr>().is_err() {
                return Err(wrong(&format!("`{address}` is no address; names go into name")));
            }
        }
    }
    Ok(TestFile {
        path: path.to_owned(),
        tables,
        tests,
    })
}
