//! Deciding by waiting: a [`Host`] answers each step of an [`Evaluation`] in turn.
//!
//! For processes that may wait, and for dry runs. It stands here and not beside the sockets, since it touches
//! nothing itself, and who studies, tests or replays rules needs no machine for that.

use std::net::IpAddr;
use std::time::Duration;

use crate::decide::{Evaluation, Step};
use crate::decision::Decision;
use crate::diagnostic::{Diagnostic, Place};
use crate::effect::{Effect, Outcome};
use crate::expand::Expansion;
use crate::fact::{Fact, Known};
use crate::options::{End, Next, Options};
use crate::request::{Need, Pending, Request, Side};
use crate::trace::Trace;

/// What the engine asks of the machine it runs on. Each look-up is asked for at most once a request.
///
/// `at` names the rule being read, for log lines of the look-up's own.
pub trait Host {
    /// The numeric address of one end, or [`UNKNOWN`](crate::UNKNOWN).
    fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8>;

    /// The verified name of one end, [`UNKNOWN`](crate::UNKNOWN) or [`PARANOID`](crate::PARANOID). `address` is that
    /// end's address.
    fn name(&mut self, side: Side, address: &[u8], at: Option<&Place>) -> Vec<u8>;

    /// The port of one end, if known.
    fn port(&mut self, side: Side) -> Option<u16>;

    /// The user at the client's end (RFC 1413), or [`UNKNOWN`](crate::UNKNOWN).
    fn user(&mut self, at: Option<&Place>) -> Vec<u8>;

    /// Is `host` a member of the netgroup?
    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool;

    /// The banner file `directory/daemon`, or nothing where there is none to send. Problems other
    /// than a missing file are the host's to log. In a dry run: nothing.
    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>>;

    /// Answer a question of the additions to the language, about the client at this address, or say why that cannot
    /// be done.
    fn fact(&mut self, fact: &Fact, client: Option<IpAddr>, at: Option<&Place>) -> Known;

    /// Carry out one effect.
    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome;

    /// Write one line to the log.
    fn log(&mut self, diagnostic: &Diagnostic);

    /// A table is being written to: let it settle.
    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Steps a decision to its end.
pub fn decide<T: Trace>(
    evaluation: &mut Evaluation<'_, T>,
    request: &mut Request,
    host: &mut dyn Host,
) -> Decision {
    loop {
        let mut ask = |fact: &Fact, request: &Request| Some(fact_of(host, fact, request));
        match evaluation.step_asking(request, &mut ask) {
            Step::Log(diagnostic) => host.log(&diagnostic),
            Step::Need(need) => answer(&need, request, host),
            Step::Do(effect) => evaluation.done(host.perform(&effect, request.place())),
            Step::Done(decision) => return decision,
        }
    }
}

/// Runs a rule's options to their end.
pub fn run_options(options: &mut Options, request: &mut Request, host: &mut dyn Host) -> End {
    loop {
        match ask(request, host, |request| options.step(request)) {
            Next::Do(effect) => options.done(host.perform(&effect, request.place())),
            Next::End(end) => return end,
        }
    }
}

/// Expands a text, with all the look-ups that its sequences need.
///
/// ```
/// use hosts_access::{Request, dry::DryHost, host};
/// let mut host = DryHost::new("192.0.2.1").named("client.example.org");
/// let text = host::expand(b"%d from %n", &mut Request::new("sshd"), &mut host);
/// assert_eq!(text, b"sshd from client.example.org");
/// ```
pub fn expand(text: &[u8], request: &mut Request, host: &mut dyn Host) -> Vec<u8> {
    let mut expansion = Expansion::default();
    ask(request, host, |request| expansion.go_on(text, request));
    expansion.into_text()
}

/// Does something that may need look-ups, until it has all it needs. What was done before is not done again by
/// itself: `step` remembers that, or has nothing to remember.
pub fn ask<R>(
    request: &mut Request,
    host: &mut dyn Host,
    mut step: impl FnMut(&mut Request) -> Result<R, Pending>,
) -> R {
    loop {
        let result = step(request);
        while let Some(diagnostic) = request.next_log() {
            host.log(&diagnostic);
        }
        match (result, request.take_need()) {
            (Ok(result), _) => return result,
            (Err(_), Some(need)) => answer(&need, request, host),
            (Err(_), None) => {}
        }
    }
}

fn fact_of(host: &mut dyn Host, fact: &Fact, request: &Request) -> Known {
    host.fact(fact, request.looked_up_ip(), request.place())
}

/// Answers what a request needs.
pub fn answer(need: &Need, request: &mut Request, host: &mut dyn Host) {
    let at = request.place();
    match need {
        Need::Address(side) => {
            let address = host.address(*side, at);
            request.set_address(*side, &address);
        }
        Need::Name(side) => {
            let address = request.looked_up_address(*side).unwrap_or(crate::UNKNOWN);
            let name = host.name(*side, address, at);
            request.set_name(*side, &name);
        }
        Need::Port(side) => {
            let port = host.port(*side);
            request.set_port(*side, port);
        }
        Need::User => {
            let user = host.user(at);
            request.set_user(&user);
        }
        Need::Netgroup { group, host: name } => {
            let is_member = host.netgroup(group, name);
            request.set_netgroup(group, name, is_member);
        }
        Need::Banner { directory } => {
            let file = host.banner(directory, request.daemon(), at);
            request.set_banner(file);
        }
        Need::Fact(fact) => {
            let known = fact_of(host, fact, request);
            request.set_fact(fact.clone(), known);
        }
        Need::Pause(time) => host.pause(*time),
    }
}
