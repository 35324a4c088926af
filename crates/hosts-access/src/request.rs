//! Who asks: a request, and what is known of it so far.
//!
//! What costs something to find out is not asked for here. A pattern or an expansion that needs it gets
//! [`Pending`], whoever drives the decision answers the [`Need`], and what it says is kept: each thing is asked
//! at most once a request, in the order in which the language needs it (hosts_access(5), ACCESS CONTROL RULES).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::address::{Ipv6, canonical_quad, dotted_quad, reduce_mapped};
use crate::decide::Ask;
use crate::diagnostic::{Diagnostic, Kind, Place};
use crate::fact::{Cause, Fact, Known};
use crate::matching::Match;
use crate::room;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The remote end.
    Client,
    /// This host's end.
    Server,
}

/// Something that must be found out before a decision can go on. Each variant names the method of
/// [`Request`] that answers it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Need {
    /// The numeric address of one end, or [`UNKNOWN`]: [`Request::set_address`].
    Address(Side),
    /// The verified name of one end, [`UNKNOWN`] or [`PARANOID`]: [`Request::set_name`]. Its address is known by
    /// now.
    Name(Side),
    /// The port of one end, if known: [`Request::set_port`].
    Port(Side),
    /// The user at the client's end (RFC 1413), or [`UNKNOWN`]: [`Request::set_user`].
    User,
    /// Is `host` a member of the netgroup? [`Request::set_netgroup`].
    Netgroup {
        /// The netgroup.
        group: Vec<u8>,
        /// The host's name.
        host: Vec<u8>,
    },
    /// The banner file `directory/daemon`, or nothing where there is none to send: [`Request::set_banner`].
    Banner {
        /// The directory.
        directory: Vec<u8>,
    },
    /// What an addition to the language asks: [`Request::set_fact`].
    Fact(Fact),
    /// Nothing but time: a table is being written to, and should be left to settle for so long.
    Pause(Duration),
}

/// Something is not known yet: [`Request::need`] says what. Answered, the same is tried anew from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Pending(());

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something must be found out first: see Request::need")
    }
}

impl std::error::Error for Pending {}

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
    fn ip(&self) -> Option<IpAddr> {
        match (self.quad, self.ipv6) {
            (Some(quad), _) => Some(Ipv4Addr::from_bits(quad).into()),
            (None, Some(bits)) => Some(IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical()),
            (None, None) => None,
        }
    }

    fn new(text: &[u8]) -> Self {
        let reduced = reduce_mapped(text);
        let canonical = canonical_quad(reduced);
        let quad = canonical.or_else(|| dotted_quad(reduced));
        let ipv6 = match quad {
            None => Ipv6::parse(text).map(|v6| v6.bits),
            Some(_) => None,
        };
        Address {
            text: Text::from_slice(text),
            quad,
            is_canonical: canonical.is_some(),
            ipv6,
        }
    }
}

/// A request for a service, and what is known of it.
///
/// ```
/// use hosts_access::{Request, Side};
/// let request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
/// assert_eq!(request.looked_up_address(Side::Client), Some(&b"192.0.2.1"[..]));
/// assert_eq!(request.looked_up_name(Side::Client), None);
/// ```
#[derive(Debug, Default)]
pub struct Request {
    daemon: Text,
    process: Option<Text>,
    resident: bool,
    verbose: i32,
    client: End,
    server: End,
    user: Option<Text>,
    need: Option<Need>,
    place: Option<Place>,
    /// How many lines the attempt under way has logged.
    said: usize,
    /// How many of its next lines were logged already, when it was made before.
    repeated: usize,
    rare: Option<Box<Rare>>,
}

/// What most requests have nothing of.
#[derive(Debug, Default)]
struct Rare {
    /// Netgroups and the hosts that were asked about, and whether they are in it.
    netgroups: Option<HashMap<Vec<u8>, bool>>,
    /// What was asked and answered besides.
    facts: SmallVec<[(Fact, Known); 1]>,
    /// Why the rule that is tried comes to *unknown*, if it does.
    causes: Vec<Cause>,
    /// The banner file that was asked for.
    banner: Option<Option<Vec<u8>>>,
    /// Lines for the log that were not taken yet.
    log: VecDeque<Diagnostic>,
}

/// A host in a netgroup; the name of a netgroup that a rule can have holds no NUL.
fn membership(group: &[u8], host: &[u8]) -> Vec<u8> {
    [group, b"\0", host].concat()
}

impl Request {
    /// A request for `daemon`. What is not set beforehand is asked for when it is needed.
    #[inline]
    pub fn new(daemon: impl AsRef<[u8]>) -> Self {
        Request {
            daemon: Text::from_slice(daemon.as_ref()),
            ..Request::default()
        }
    }

    /// Marks the process as one that serves many requests: `twist` is an error.
    #[inline]
    pub fn resident(mut self, resident: bool) -> Self {
        self.set_resident(resident);
        self
    }

    /// Sets `hosts_access_verbose`: 1 logs each option at `debug`, 2 also each rule that matches.
    #[inline]
    pub fn verbose(mut self, level: i32) -> Self {
        self.set_verbose(level);
        self
    }

    /// Sets what `%p` expands to, this process's id otherwise.
    #[inline]
    pub fn process(mut self, id: impl AsRef<[u8]>) -> Self {
        self.set_process(id.as_ref());
        self
    }

    /// Sets an address beforehand: it is not asked for.
    #[inline]
    pub fn known_address(mut self, side: Side, address: impl AsRef<[u8]>) -> Self {
        self.set_address(side, address.as_ref());
        self
    }

    /// Sets a name beforehand: it is not asked for, and `%h`, `%c` and `%s` show it.
    #[inline]
    pub fn known_name(mut self, side: Side, name: impl AsRef<[u8]>) -> Self {
        self.set_name(side, name.as_ref());
        self
    }

    /// Sets the user beforehand.
    #[inline]
    pub fn known_user(mut self, user: impl AsRef<[u8]>) -> Self {
        self.set_user(user.as_ref());
        self
    }

    /// Sets a port beforehand, or that there is none.
    #[inline]
    pub fn known_port(mut self, side: Side, port: Option<u16>) -> Self {
        self.set_port(side, port);
        self
    }

    /// As [`Request::resident`].
    pub fn set_resident(&mut self, resident: bool) {
        self.resident = resident;
    }

    /// As [`Request::verbose`].
    pub fn set_verbose(&mut self, level: i32) {
        self.verbose = level;
    }

    /// As [`Request::process`].
    pub fn set_process(&mut self, id: &[u8]) {
        self.process = Some(Text::from_slice(id));
    }

    /// Sets the address of one end, or [`UNKNOWN`].
    pub fn set_address(&mut self, side: Side, address: &[u8]) {
        self.end(side).address = Some(Address::new(address));
    }

    /// Sets the name of one end: the verified one, [`UNKNOWN`] or [`PARANOID`].
    pub fn set_name(&mut self, side: Side, name: &[u8]) {
        self.end(side).name = Some(Text::from_slice(name));
    }

    /// Sets the port of one end, if it is known.
    pub fn set_port(&mut self, side: Side, port: Option<u16>) {
        self.end(side).port = Some(port);
    }

    /// Sets the user at the client's end, or [`UNKNOWN`].
    pub fn set_user(&mut self, user: &[u8]) {
        self.user = Some(Text::from_slice(user));
    }

    /// Says whether `host` is a member of a netgroup.
    pub fn set_netgroup(&mut self, group: &[u8], host: &[u8], is_member: bool) {
        let known = self.rare().netgroups.get_or_insert_default();
        known.insert(membership(group, host), is_member);
    }

    /// Answers a question, or says why that cannot be done.
    pub fn set_fact(&mut self, fact: Fact, known: Known) {
        self.rare().facts.push((fact, known));
    }

    /// What has been asked so far by additions to the language, and answered.
    pub fn facts(&self) -> &[(Fact, Known)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.facts)
    }

    /// Gives the banner file that is needed, or nothing where there is none to send.
    pub fn set_banner(&mut self, file: Option<Vec<u8>>) {
        self.rare().banner = Some(file);
    }

    /// Names the rule that log lines are about, where a table is not read by the engine.
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    #[cold]
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    #[inline]
    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    #[inline]
    fn known_end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The daemon's name.
    pub fn daemon(&self) -> &[u8] {
        &self.daemon
    }

    /// The rule that is being read, if one is.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// What was needed when [`Pending`] was last returned.
    pub fn need(&self) -> Option<&Need> {
        self.need.as_ref()
    }

    pub(crate) fn take_need(&mut self) -> Option<Need> {
        self.need.take()
    }

    /// Asks for time.
    pub(crate) fn pause(&mut self, time: Duration) -> Pending {
        self.need = Some(Need::Pause(time));
        Pending(())
    }

    #[cold]
    fn pending<T>(&mut self, need: Need) -> Result<T, Pending> {
        self.need = Some(need);
        Err(Pending(()))
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

    #[inline]
    pub(crate) fn parsed_address(&mut self, side: Side) -> Result<&Address, Pending> {
        if self.known_end(side).address.is_none() {
            return self.pending(Need::Address(side));
        }
        match &self.known_end(side).address {
            Some(address) => Ok(address),
            None => Err(Pending(())),
        }
    }

    /// The numeric address of one end, or [`UNKNOWN`].
    ///
    /// # Errors
    /// It is not known yet.
    #[inline]
    pub fn address(&mut self, side: Side) -> Result<&[u8], Pending> {
        Ok(&self.parsed_address(side)?.text)
    }

    /// The name of one end, [`UNKNOWN`] or [`PARANOID`].
    ///
    /// # Errors
    /// It, or the address that it is looked up by, is not known yet.
    #[inline]
    pub fn name(&mut self, side: Side) -> Result<&[u8], Pending> {
        if self.known_end(side).name.is_none() {
            self.parsed_address(side)?;
            return self.pending(Need::Name(side));
        }
        self.looked_up_name(side).ok_or(Pending(()))
    }

    /// The port of one end, if it has one.
    ///
    /// # Errors
    /// It has not been asked for yet.
    pub fn port(&mut self, side: Side) -> Result<Option<u16>, Pending> {
        match self.known_end(side).port {
            Some(port) => Ok(port),
            None => self.pending(Need::Port(side)),
        }
    }

    /// The user at the client's end, or [`UNKNOWN`].
    ///
    /// # Errors
    /// It is not known yet.
    pub fn user(&mut self) -> Result<&[u8], Pending> {
        if self.user.is_none() {
            return self.pending(Need::User);
        }
        self.looked_up_user().ok_or(Pending(()))
    }

    /// The address of one end, if it has been looked up already.
    pub fn looked_up_address(&self, side: Side) -> Option<&[u8]> {
        self.looked_up(side).map(|address| &address.text[..])
    }

    /// The same, in the forms patterns compare it in.
    pub(crate) fn looked_up(&self, side: Side) -> Option<&Address> {
        self.known_end(side).address.as_ref()
    }

    /// The name of one end, if it has been looked up already.
    pub fn looked_up_name(&self, side: Side) -> Option<&[u8]> {
        self.known_end(side).name.as_deref()
    }

    /// The user, if it has been looked up already.
    pub fn looked_up_user(&self) -> Option<&[u8]> {
        self.user.as_deref()
    }

    /// Is this end's host a member of the netgroup?
    pub(crate) fn in_netgroup(&mut self, side: Side, group: &[u8]) -> Result<bool, Pending> {
        self.name(side)?;
        let host = self.looked_up_name(side).unwrap_or(UNKNOWN);
        let known = self.rare.as_ref().and_then(|rare| rare.netgroups.as_ref());
        if let Some(is_member) = known.and_then(|known| known.get(&membership(group, host))) {
            return Ok(*is_member);
        }
        room::expect(6 * group.len());
        let (group, host) = (group.to_vec(), host.to_vec());
        self.pending(Need::Netgroup { group, host })
    }

    /// What `ask` has at hand to answer a question that has not been answered.
    pub(crate) fn answer_to(&self, fact: &Fact, ask: &mut Ask<'_>) -> Option<Known> {
        // What was logged before the question comes before what is logged about it.
        let may_ask = !self.has_log() && self.facts().iter().all(|(asked, _)| asked != fact);
        if may_ask { ask(fact, self) } else { None }
    }

    /// The answer to a question.
    pub(crate) fn fact(&mut self, fact: &Fact) -> Result<&Known, Pending> {
        match self.facts().iter().position(|(asked, _)| asked == fact) {
            Some(at) => Ok(&self.facts()[at].1),
            None => self.pending(Need::Fact(fact.clone())),
        }
    }

    /// The client's address as a number, if it is one; IPv4 where IPv6 only maps it.
    pub fn client_ip(&mut self) -> Result<Option<IpAddr>, Pending> {
        Ok(self.parsed_address(Side::Client)?.ip())
    }

    /// The same, if the address has been looked up already.
    pub fn looked_up_ip(&self) -> Option<IpAddr> {
        self.looked_up(Side::Client).and_then(Address::ip)
    }

    /// The pattern that is tried cannot be told to match or not, and why.
    pub(crate) fn not_known(&mut self, cause: Cause) -> Match {
        let causes = &mut self.rare().causes;
        if !causes.contains(&cause) {
            causes.push(cause);
        }
        Match::Unknown
    }

    /// Why something was not known.
    pub(crate) fn take_causes(&mut self) -> Vec<Cause> {
        let rare = self.rare.as_mut();
        rare.map_or_else(Vec::new, |rare| std::mem::take(&mut rare.causes))
    }

    /// The banner file that is wanted, if there is one to send. It is not kept: a later option may name one that has
    /// changed.
    pub(crate) fn take_banner(&mut self, directory: &[u8]) -> Result<Option<Vec<u8>>, Pending> {
        if let Some(file) = self.rare().banner.take() {
            return Ok(file);
        }
        let directory = directory.to_vec();
        self.pending(Need::Banner { directory })
    }

    /// A rule is tried. It may be tried again when what it needs is answered;
    /// what it logged by then is not logged once more.
    #[inline]
    pub(crate) fn attempt(&mut self, again: bool) {
        self.repeated = if again { self.said } else { 0 };
        self.said = 0;
        if let Some(rare) = &mut self.rare {
            rare.causes.clear();
        }
    }

    /// Logs a line about the rule being read, if one is.
    pub(crate) fn log(&mut self, kind: Kind, text: impl Into<Vec<u8>>) {
        self.said += 1;
        if self.repeated > 0 {
            self.repeated -= 1;
        } else {
            let line = Diagnostic::new(kind, self.place.clone(), text);
            self.rare().log.push_back(line);
        }
    }

    /// The next line that was logged and not taken yet.
    #[inline]
    pub fn next_log(&mut self) -> Option<Diagnostic> {
        self.rare.as_mut()?.log.pop_front()
    }

    /// Are there lines that were logged and not taken yet?
    pub(crate) fn has_log(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.log.is_empty())
    }

    /// Have so many lines been logged that they should be taken before more are?
    #[inline]
    pub(crate) fn log_is_full(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.log.len() >= 1024)
    }

    #[inline]
    pub(crate) fn set_place(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// Says which table is read from now on.
    #[inline]
    pub(crate) fn enter(&mut self, file: &Arc<Path>) {
        if self
            .place
            .as_ref()
            .is_none_or(|place| !Arc::ptr_eq(&place.file, file))
        {
            let file = Arc::clone(file);
            self.place = Some(Place { file, line: 0 });
        }
    }

    #[inline]
    pub(crate) fn set_line(&mut self, line: u32) {
        if let Some(place) = &mut self.place {
            place.line = line;
        }
    }
}
