//! A process that stays notices that its configuration was changed, and is none the worse for a mistake in it.

mod build;
mod wait;

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use build::{Record, Shape, database};
use state::State;
use state::bans::{Ban, Expiry, Writer};
use wait::wait;

#[test]
fn a_change_is_taken_in_and_a_mistake_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    // As the host's own is: there as long as the process.
    let path: &'static Path = Box::leak(directory.path().join("tcpwrap.toml").into_boxed_path());
    let client: IpAddr = "192.0.2.7".parse().unwrap();
    let shape = Shape {
        record_size: 24,
        is_v6: false,
    };
    for (name, country) in [("a", "DE"), ("b", "AT")] {
        let records = [("192.0.2.0/24", Record::Flat(country, 7))];
        fs::write(directory.path().join(name), database(shape, &records)).unwrap();
    }
    let ban = |network: &str| Ban {
        network: network.parse().unwrap(),
        expiry: Expiry::Never,
        origin: "admin".into(),
        reason: String::new(),
    };
    Writer::new(directory.path().join("bans"))
        .add(&[ban("192.0.2.7")])
        .unwrap();
    let text = |database: &str, more: &str| {
        let at = directory.path().display();
        format!("[geo]\ncountry = '{at}/{database}'\n[bans]\nfile = '{at}/bans'\n{more}")
    };
    // In place and by rename, as editors do it.
    let put = |text: &str| {
        fs::write(directory.path().join("new"), text).unwrap();
        fs::rename(directory.path().join("new"), path).unwrap();
    };
    put(&text("a", ""));
    let (stays, once) = (State::at(path, true), State::at(path, false));
    let country = |state: &State| {
        state
            .country(client)
            .unwrap()
            .unwrap()
            .country
            .unwrap()
            .to_string()
    };
    let is_banned = |state: &State| state.banned(client).unwrap().is_some();
    assert_eq!((country(&stays), is_banned(&stays)), ("DE".into(), true));
    assert_eq!((country(&once), is_banned(&once)), ("DE".into(), true));
    // Not of the same length: the clock of a file system may stand still for as long as it took to get here.
    fs::write(path, text("b", "# in place\n")).unwrap();
    wait(|| country(&stays) == "AT");
    assert!(is_banned(&stays));
    assert_eq!(country(&once), "DE", "it has decided");
    assert_eq!(stays.news(), [""; 0]);
    // A mistake concerns its section, is said once, and what held before holds.
    put(&text("a", "never = 7\n"));
    wait(|| country(&stays) == "DE");
    assert!(is_banned(&stays));
    let news = stays.news();
    assert_eq!(news.len(), 1, "{news:?}");
    assert!(
        news[0].contains("tcpwrap.toml: line 5, column 9: not a list of networks"),
        "{news:?}"
    );
    assert!(is_banned(&stays) && stays.news().is_empty());
    // One that begins now is not told.
    assert!(State::at(path, true).banned(client).is_err());
    // Another list, in which nobody is.
    put(&text("b", "").replace("/bans'", "/others'"));
    wait(|| !is_banned(&stays));
    stays.ban(ban("192.0.2.8")).unwrap();
    assert!(
        fs::read_to_string(directory.path().join("others"))
            .unwrap()
            .contains("192.0.2.8")
    );
    // Gone, all is as it is by itself.
    fs::remove_file(path).unwrap();
    wait(|| stays.config().geo.as_ref().is_ok_and(|geo| geo.country.is_none()));
    assert_eq!(stays.news(), [""; 0]);
}
