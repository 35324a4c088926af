//! Who asks, and what the engine asks of the machine.
//!
//! Everything about a request that costs something to find out is supplied lazily by a [`Host`],
//! at most once, in the order in which the language needs it (hosts_access(5), ACCESS CONTROL RULES).

use smallvec::SmallVec;

use crate::address::{Ipv6, canonical_quad, dotted_quad, reduce_mapped};
use crate::diagnostic::{Diagnostic, Kind, Place};
use crate::effect::{Effect, Outcome};

/// The string an unknown name, address or user is.
pub const UNKNOWN: &[u8] = b"unknown";
/// The string the name of a client is when its name and address disagree.
pub const PARANOID: &[u8] = b"paranoid";

/// Is this what an unknown name, address or user is, in upper or lower case?
pub fn is_unknown(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(UNKNOWN)
}

/// Is this a name that can be believed, neither [`UNKNOWN`] nor [`PARANOID`]?
pub fn is_known_name(name: &[u8]) -> bool {
    !is_unknown(name) && !name.eq_ignore_ascii_case(PARANOID)
}

/// One end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The remote end.
    Client,
    /// This host's end.
    Server,
}

/// What the engine asks of the machine it runs on. Each lookup is asked for at most once a request.
///
/// `at` names the rule being read, for log lines of the lookup's own.
pub trait Host {
    /// The numeric address of one end, or [`UNKNOWN`].
    fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8>;

    /// The verified name of one end, [`UNKNOWN`] or [`PARANOID`]. `address` is that end's address.
    fn name(&mut self, side: Side, address: &[u8], at: Option<&Place>) -> Vec<u8>;

    /// The port of one end, if known.
    fn port(&mut self, side: Side) -> Option<u16>;

    /// The user at the client's end (RFC 1413), or [`UNKNOWN`].
    fn user(&mut self, at: Option<&Place>) -> Vec<u8>;

    /// Is `host` a member of the netgroup?
    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool;

    /// The banner file `directory/daemon`, or nothing where there is none to send. Problems other
    /// than a missing file are the host's to log. In a dry run: nothing.
    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>>;

    /// Carry out one effect.
    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome;

    /// Write one line to the log.
    fn log(&mut self, diagnostic: &Diagnostic);
}

/// A short string, kept in place where it is no longer than most names and addresses are.
type Text = SmallVec<[u8; 23]>;

/// One end of the connection, as far as it has been looked up.
#[derive(Debug, Default)]
struct End {
    address: Option<Address>,
    name: Option<Text>,
    port: Option<Option<u16>>,
}

/// An address in the forms patterns compare it in.
#[derive(Debug)]
pub(crate) struct Address {
    /// As the host gave it.
    pub(crate) text: Text,
    /// It is the four bytes of this dotted quad; mapped addresses are reduced first.
    pub(crate) quad: Option<u32>,
    /// The dotted quad is written the one way addresses are shown in.
    pub(crate) is_canonical: bool,
    /// It is this IPv6 address.
    pub(crate) ipv6: Option<u128>,
}

impl Address {
    fn new(text: Text) -> Self {
        let reduced = reduce_mapped(&text);
        let canonical = canonical_quad(reduced);
        let quad = canonical.or_else(|| dotted_quad(reduced));
        let ipv6 = match quad {
            None => Ipv6::parse(&text).map(|v6| v6.bits),
            Some(_) => None,
        };
        Address {
            text,
            quad,
            is_canonical: canonical.is_some(),
            ipv6,
        }
    }
}

/// A request for a service: what is known of it, and the [`Host`] that finds out the rest.
pub struct Request<'h> {
    host: &'h mut dyn Host,
    daemon: Text,
    process: Option<Text>,
    resident: bool,
    verbose: i32,
    client: End,
    server: End,
    user: Option<Text>,
    place: Option<Place>,
}

impl<'h> Request<'h> {
    /// A request for `daemon`. `host` answers for everything that is not set beforehand.
    pub fn new(host: &'h mut dyn Host, daemon: impl AsRef<[u8]>) -> Self {
        Request {
            host,
            daemon: Text::from_slice(daemon.as_ref()),
            process: None,
            resident: false,
            verbose: 0,
            client: End::default(),
            server: End::default(),
            user: None,
            place: None,
        }
    }

    /// Marks the process as one that serves many requests: `twist` is an error.
    pub fn resident(mut self, resident: bool) -> Self {
        self.resident = resident;
        self
    }

    /// Sets `hosts_access_verbose`: 1 logs each option at `debug`, 2 also each rule that matches.
    pub fn verbose(mut self, level: i32) -> Self {
        self.verbose = level;
        self
    }

    /// Sets what `%p` expands to, this process's id otherwise.
    pub fn process(mut self, id: impl AsRef<[u8]>) -> Self {
        self.process = Some(Text::from_slice(id.as_ref()));
        self
    }

    /// Sets an address beforehand: it is not asked for.
    pub fn known_address(mut self, side: Side, address: impl AsRef<[u8]>) -> Self {
        self.set_address(side, address.as_ref());
        self
    }

    /// Sets a name beforehand: it is not asked for, and `%h`, `%c` and `%s` show it.
    pub fn known_name(mut self, side: Side, name: impl AsRef<[u8]>) -> Self {
        self.set_name(side, name.as_ref());
        self
    }

    /// Sets the user beforehand.
    pub fn known_user(mut self, user: impl AsRef<[u8]>) -> Self {
        self.user = Some(Text::from_slice(user.as_ref()));
        self
    }

    /// As [`known_address`](Self::known_address), for a request that is made already.
    pub fn set_address(&mut self, side: Side, address: &[u8]) {
        self.end(side).address = Some(Address::new(Text::from_slice(address)));
    }

    /// As [`known_name`](Self::known_name), for a request that is made already.
    pub fn set_name(&mut self, side: Side, name: &[u8]) {
        self.end(side).name = Some(Text::from_slice(name));
    }

    /// Names the rule that log lines are about, where a table is not read by the engine.
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// The daemon's name.
    pub fn daemon(&self) -> &[u8] {
        &self.daemon
    }

    pub(crate) fn process_id(&mut self) -> &[u8] {
        self.process
            .get_or_insert_with(|| Text::from_slice(std::process::id().to_string().as_bytes()))
    }

    pub(crate) fn is_resident(&self) -> bool {
        self.resident
    }

    pub(crate) fn verbosity(&self) -> i32 {
        self.verbose
    }

    pub(crate) fn parsed_address(&mut self, side: Side) -> &Address {
        let (end, host, place) = match side {
            Side::Client => (&mut self.client, &mut self.host, &self.place),
            Side::Server => (&mut self.server, &mut self.host, &self.place),
        };
        end.address
            .get_or_insert_with(|| Address::new(Text::from_vec(host.address(side, place.as_ref()))))
    }

    /// The address of one end, if it has been looked up already.
    pub(crate) fn looked_up_address(&self, side: Side) -> Option<&Address> {
        match side {
            Side::Client => self.client.address.as_ref(),
            Side::Server => self.server.address.as_ref(),
        }
    }

    /// The numeric address of one end, or [`UNKNOWN`]; looked up if need be.
    pub fn address(&mut self, side: Side) -> &[u8] {
        &self.parsed_address(side).text
    }

    /// The name of one end, [`UNKNOWN`] or [`PARANOID`]; looked up if need be.
    pub fn name(&mut self, side: Side) -> &[u8] {
        if self.end(side).name.is_none() {
            self.parsed_address(side);
            let end = match side {
                Side::Client => &self.client,
                Side::Server => &self.server,
            };
            let address = end.address.as_ref().map_or(UNKNOWN, |a| &a.text);
            let name = self.host.name(side, address, self.place.as_ref());
            self.end(side).name = Some(Text::from_vec(name));
        }
        self.looked_up_name(side).unwrap_or(UNKNOWN)
    }

    /// The name of one end, if it has been looked up already.
    pub fn looked_up_name(&self, side: Side) -> Option<&[u8]> {
        match side {
            Side::Client => self.client.name.as_deref(),
            Side::Server => self.server.name.as_deref(),
        }
    }

    /// The port of one end, if known.
    pub fn port(&mut self, side: Side) -> Option<u16> {
        let (end, host) = match side {
            Side::Client => (&mut self.client, &mut self.host),
            Side::Server => (&mut self.server, &mut self.host),
        };
        *end.port.get_or_insert_with(|| host.port(side))
    }

    /// The user at the client's end, or [`UNKNOWN`]; looked up if need be.
    pub fn user(&mut self) -> &[u8] {
        if self.user.is_none() {
            self.user = Some(Text::from_vec(self.host.user(self.place.as_ref())));
        }
        self.looked_up_user().unwrap_or(UNKNOWN)
    }

    /// The user, if it has been looked up already.
    pub fn looked_up_user(&self) -> Option<&[u8]> {
        self.user.as_deref()
    }

    pub(crate) fn in_netgroup(&mut self, side: Side, group: &[u8]) -> bool {
        let name = self.name(side).to_vec();
        self.host.netgroup(group, &name)
    }

    pub(crate) fn banner(&mut self, directory: &[u8]) -> Option<Vec<u8>> {
        self.host.banner(directory, &self.daemon, self.place.as_ref())
    }

    pub(crate) fn perform(&mut self, effect: &Effect) -> Outcome {
        self.host.perform(effect, self.place.as_ref())
    }

    /// Logs a line about the rule being read, if one is.
    pub(crate) fn log(&mut self, kind: Kind, text: impl Into<Vec<u8>>) {
        self.host.log(&Diagnostic::new(kind, self.place.clone(), text));
    }

    pub(crate) fn set_place(&mut self, place: Option<Place>) {
        self.place = place;
    }

    pub(crate) fn set_line(&mut self, line: u32) {
        if let Some(place) = &mut self.place {
            place.line = line;
        }
    }
}
