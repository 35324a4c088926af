//! One listener at a time: what makes it obey, what the rules say of it, how grave that is.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use hosts_access::Request;
use hosts_access::dry::DryHost;
use obey::process::in_root;
use obey::socket::local_networks;
use obey::{Library, Listener, Obeys, is_elsewhere, words};

use super::about::About;
use super::facts::{Level, Service};
use super::open::{Extent, Open};
use super::policies::{Pair, Policies};
use crate::output::{self, Text};
use crate::session::Session;

/// What is needed for each listener.
pub struct Survey<'s> {
    policies: &'s Policies,
    usual: &'s Pair,
    networks: BTreeMap<Option<u64>, Vec<(IpAddr, u8)>>,
    session: Option<(&'s Session, Vec<u8>)>,
}

impl<'s> Survey<'s> {
    /// For these tables, and for the session that asks.
    pub fn new(policies: &'s Policies, usual: &'s Pair, session: Option<&'s Session>) -> Self {
        Survey {
            policies,
            usual,
            networks: BTreeMap::new(),
            session: session.map(|session| (session, name_of(session))),
        }
    }

    /// What is shown of a listener for which these tables count.
    pub fn service(&mut self, listener: &Listener, pair: &Pair, every_network: bool) -> Service {
        let address = listener.socket.address;
        let is_hidden = listener.process.is_none() && listener.obeys == Obeys::Hidden;
        let daemon = (!listener.daemon.is_empty()).then(|| listener.daemon.clone());
        let known = daemon.as_deref().unwrap_or_default();
        let about = self.policies.about(pair, known, address.port());
        let open = self.policies.open(pair, known, address);
        let networks = self.networks(listener);
        let is_local = address.ip().to_canonical().is_loopback();
        let process = listener.process.as_ref();
        let level = level(listener, about, open.as_ref(), is_local);
        // What the usual tables say of it by name is not asked for.
        let is_missed = listener.is_elsewhere
            && pair != self.usual
            && matches!(listener.obeys, Obeys::Libwrap(_))
            && self.policies.about(self.usual, known, address.port()) == About::Named;
        let program = listener
            .program
            .as_ref()
            .or(process.and_then(|process| process.program.as_ref()));
        Service {
            level: if is_missed {
                level.max(Level::Warning)
            } else {
                level
            },
            protocol: listener.socket.protocol.as_str(),
            addresses: vec![shown_address(address)],
            network: listener.network.filter(|_| every_network),
            process: process.map(|process| process.id),
            processes: listener.holders,
            program: program.map(|path| Text(path.as_os_str().as_encoded_bytes().to_vec())),
            unit: process
                .and_then(|process| process.unit())
                .map(|unit| Text(unit.to_vec())),
            user: listener.socket.user,
            obeys: word(&listener.obeys),
            by: Text(by(&listener.obeys).into_bytes()),
            rules: about,
            command_decides: open.as_ref().is_some_and(|open| open.is_commanded),
            local_networks: open
                .as_ref()
                .map_or_else(BTreeMap::new, |open| within(open, &networks)),
            this_session: daemon
                .as_deref()
                .and_then(|daemon| self.session(daemon, pair, address)),
            open_to: open
                .map(|open| Text(open.text.into_bytes()))
                .filter(|_| !is_hidden),
            daemon: daemon.map(Text),
            is_local,
            other_tables: (pair != self.usual).then(|| Text(pair[0].as_os_str().as_encoded_bytes().to_vec())),
        }
    }

    fn networks(&mut self, listener: &Listener) -> Vec<(IpAddr, u8)> {
        let read = || {
            let id = listener
                .process
                .as_ref()
                .map_or(std::process::id(), |process| process.id);
            local_networks(&PathBuf::from(format!("/proc/{id}/net")))
        };
        self.networks.entry(listener.network).or_insert_with(read).clone()
    }

    /// What the rules say to this session's client.
    fn session(&self, daemon: &[u8], pair: &Pair, address: SocketAddr) -> Option<&'static str> {
        let (session, name) = self.session.as_ref()?;
        let mut host = DryHost::new(session.client.to_canonical().to_string()).named(name.clone());
        let server = match (address.ip().is_unspecified(), session.server) {
            (true, Some(server)) => server.ip(),
            _ => address.ip(),
        };
        host = host.with_server(server.to_canonical().to_string(), "unknown", Some(address.port()));
        let verdict = self.policies.decide(pair, &mut Request::new(daemon), &mut host)?;
        Some(output::verdict(verdict))
    }
}

/// Looked up once for all.
fn name_of(session: &Session) -> Vec<u8> {
    system::names::verified_name(&SocketAddr::new(session.client, 0), &mut |_| {})
}

/// The tables that count for a listener: a guard may have been given others, and a container has its own.
pub fn counts_for(listener: &Listener, guards: &[obey::run::Guard], usual: &Pair) -> Pair {
    if let Obeys::Run(id) = listener.obeys
        && let Some(label) = guards
            .iter()
            .find(|guard| guard.process.id == id)
            .and_then(|guard| guard.label.as_ref())
    {
        let tables = label.tables.clone();
        return match is_elsewhere(id) {
            true => tables.map(|table| in_root(id, &table)),
            false => tables,
        };
    }
    match &listener.process {
        Some(process) if listener.is_elsewhere => usual.clone().map(|table| in_root(process.id, &table)),
        _ => usual.clone(),
    }
}

/// How grave is it?
fn level(listener: &Listener, about: About, open: Option<&Open>, is_local: bool) -> Level {
    // To everyone it may be open, whatever is between.
    let is_restricted = open.is_none_or(|open| open.extent != Extent::Everyone);
    match (&listener.obeys, about) {
        (Obeys::Hidden, About::Nothing) => Level::Ok,
        (Obeys::Hidden, _) => Level::Unknown,
        (Obeys::GuardGone, _) => Level::Warning,
        (
            Obeys::Libwrap(Library {
                is_replaced: true, ..
            }),
            _,
        ) => Level::Warning,
        (Obeys::Nothing | Obeys::Off(_), About::Named) if is_restricted && !is_local => Level::Critical,
        (Obeys::Nothing | Obeys::Off(_), About::Named) if is_restricted => Level::Warning,
        (Obeys::Nothing | Obeys::Off(_), About::All) if is_restricted && !is_local => Level::Warning,
        (Obeys::Perhaps(_), About::Named | About::All) if is_restricted && !is_local => Level::Warning,
        _ => Level::Ok,
    }
}

fn word(obeys: &Obeys) -> &'static str {
    match obeys {
        Obeys::Libwrap(_) => "libwrap",
        Obeys::Tcpd(..) => "tcpd",
        Obeys::SuperServer(..) => "super-server",
        Obeys::Run(_) => "run",
        Obeys::GuardGone => "guard-gone",
        Obeys::Perhaps(_) => "perhaps",
        Obeys::Off(_) => "switched-off",
        Obeys::Nothing => "nothing",
        Obeys::Hidden => "hidden",
    }
}

/// What makes it obey, in words.
fn by(obeys: &Obeys) -> String {
    match obeys {
        Obeys::Libwrap(library) => {
            let mut text = match &library.path {
                Some(_) => format!("libwrap, {}", words::whose(library.version.as_deref())),
                None => format!("libwrap built in, {}", words::whose(library.version.as_deref())),
            };
            if let Some(through) = library.through.last().and_then(|path| path.file_name()) {
                text.push_str(&format!(", through {}", through.to_string_lossy()));
            }
            if library.is_replaced {
                text = "a libwrap that has been replaced since: restart it".to_owned();
            }
            text
        }
        Obeys::Tcpd(starter, _) => format!("tcpd, by {}", words::starter(*starter)),
        Obeys::SuperServer(starter, _) => format!("{} itself", words::starter(*starter)),
        Obeys::Run(id) => format!("tcpwrap run, guard {id}"),
        Obeys::GuardGone => "tcpwrap run, whose guard is gone: nobody is let in".to_owned(),
        Obeys::Perhaps(why) => format!("perhaps: {why}"),
        Obeys::Off(why) => format!("NOTHING, switched off: {why}"),
        Obeys::Nothing => "NOTHING".to_owned(),
        Obeys::Hidden => "not visible to this user".to_owned(),
    }
}

fn shown_address(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("[::]:{}", v6.port()),
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => format!("{v4}:{}", v6.port()),
            None => format!("[{}]:{}", v6.ip(), v6.port()),
        },
        SocketAddr::V4(v4) => v4.to_string(),
    }
}

fn within(open: &Open, networks: &[(IpAddr, u8)]) -> BTreeMap<String, &'static str> {
    let extent = |network: &(IpAddr, u8)| match open.within(*network) {
        Extent::Everyone => "all",
        Extent::Some => "some",
        Extent::Nobody => "none",
    };
    networks
        .iter()
        .map(|network| (format!("{}/{}", network.0, network.1), extent(network)))
        .collect()
}
