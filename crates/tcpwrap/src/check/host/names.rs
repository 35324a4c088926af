//! What the name service says of the hosts that rules name.

use std::net::{IpAddr, SocketAddr};

use analysis::check::{Code, host as codes, quoted};
use system::lookups::{Answer, Lookups};
use system::names;
use system::netdb::{self, Family, NoAnswer};

use super::Place;

/// So many addresses are looked up; where there are more, none is.
pub(super) const MOST_ADDRESSES: usize = 64;

/// Could this be a host that the name service knows? Not the words that stand for strings of the language.
pub(super) fn is_host_name(name: &[u8]) -> bool {
    let is_name = name
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    is_name
        && name.iter().any(u8::is_ascii_alphabetic)
        && !name.eq_ignore_ascii_case(b"unknown")
        && !name.eq_ignore_ascii_case(b"paranoid")
}

/// What to find out of a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// Will clients be known by this name, or has this address one?
    Client(Vec<u8>),
    /// Does the name of a server endpoint stand for one address?
    Endpoint(Vec<u8>),
    /// Has a name that moves an address now?
    Moving(Vec<u8>),
}

type Judgement = (&'static Code, String);

/// Looks the hosts up, a few at a time and for a bounded time, since each may take seconds.
pub(super) fn judge(hosts: &[(Question, Place)]) -> Vec<(Place, Judgement)> {
    let lookups = Lookups::new(look_up);
    for (question, _) in hosts {
        lookups.ask(question);
    }
    let mut found = Vec::new();
    let mut not_asked = Vec::new();
    for (question, place) in hosts {
        let (Question::Client(name) | Question::Endpoint(name) | Question::Moving(name)) = question;
        match lookups.answer(question) {
            Answer::Given(judged) => found.extend(judged.map(|judged| (place.clone(), judged))),
            Answer::Silence => {
                let message = format!("the name service gives no answer for {}", quoted(name));
                found.push((place.clone(), (&codes::NO_ANSWER, message)));
            }
            Answer::NotAsked => not_asked.push((quoted(name), place)),
        }
    }
    if let Some((name, place)) = not_asked.first() {
        let others = not_asked.len() - 1;
        let message = format!("not looked up, as the name service takes too long: {name} and {others} more");
        found.push(((*place).clone(), (&codes::NO_ANSWER, message)));
    }
    found
}

fn look_up(question: &Question) -> Result<Option<Judgement>, NoAnswer> {
    match question {
        Question::Client(name) => client(name),
        Question::Endpoint(name) => {
            let resolved = netdb::ask(name, Family::Any)?;
            let has_several = resolved.is_some_and(|resolved| resolved.addresses.len() > 1);
            let message = || format!("{} has several addresses", quoted(name));
            Ok(has_several.then(|| (&codes::MANY_ADDRESSES, message())))
        }
        Question::Moving(name) => {
            let has_address = netdb::ask(name, Family::Any)?.is_some_and(|found| !found.addresses.is_empty());
            let message = || format!("{} has no address now, so it matches nobody", quoted(name));
            Ok((!has_address).then(|| (&codes::NO_HOST, message())))
        }
    }
}

fn client(name: &[u8]) -> Result<Option<Judgement>, NoAnswer> {
    let shown = quoted(name);
    if let Some(address) = std::str::from_utf8(name)
        .ok()
        .and_then(|text| text.parse::<IpAddr>().ok())
    {
        let verified = names::ask(&SocketAddr::new(address, 0), &mut |_| {})?;
        let is_nameless = verified == hosts_access::UNKNOWN || verified == hosts_access::PARANOID;
        let message = || format!("{shown} has no name that leads back to it");
        return Ok(is_nameless.then(|| (&codes::NAMELESS, message())));
    }
    let Some(resolved) = netdb::ask(name, Family::Any)? else {
        return Ok(Some((&codes::NO_HOST, format!("{shown} has no address"))));
    };
    // A client at any of its addresses must be known by this name.
    for address in &resolved.addresses {
        let verified = names::ask(address, &mut |_| {})?;
        if verified.eq_ignore_ascii_case(name) {
            return Ok(None);
        }
        if verified != hosts_access::UNKNOWN && verified != hosts_access::PARANOID {
            let message = format!(
                "clients at {} are known as {}, not {shown}",
                address.ip(),
                quoted(&verified)
            );
            return Ok(Some((&codes::ALIAS_HOST, message)));
        }
    }
    Ok(resolved.addresses.first().map(|address| {
        let address = address.ip();
        let message = format!("the address of {shown}, {address}, does not lead back to it");
        (&codes::CONFLICT, message)
    }))
}
