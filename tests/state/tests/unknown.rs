//! At real doors nothing runs, nothing is sent and nobody is banned by a rule that is not known to match.

use std::fs;
use std::path::Path;

use state_tests::{configure, doors::Doors, succeed};
use support::{Machine, alone_for, wait_until};

const CLIENT: &str = "198.51.100.7";
const RAN: &str = "/srv/ran";

/// Replaces the tables of all doors, each at once.
fn tables(machine: &Machine, allow: &str, deny: &str) {
    for directory in ["/etc", "/srv/rules"] {
        for (name, text) in [("hosts.allow", allow), ("hosts.deny", deny)] {
            let new = machine.put(format!("{directory}/{name}.new"), text);
            fs::rename(new, format!("{directory}/{name}")).unwrap();
        }
    }
}

#[test]
fn nothing_is_done_by_a_rule_that_is_not_known_to_match() {
    alone_for(300, |machine| {
        configure(machine);
        for service in ["server", "service", "sshd"] {
            machine.put(format!("/srv/banners/{service}"), "a banner\n");
        }
        let doors = Doors::open(machine);
        // There is no database here, and no such zone.
        let clients = [
            "{country=DE}",
            "ALL EXCEPT {asn=64496}",
            "{time=0800-1800/No/Where}",
            "{country=DEU}",
        ];
        let acts = [
            format!("spawn /usr/bin/touch {RAN}"),
            "banners /srv/banners".to_owned(),
            "ban 1h".to_owned(),
            format!("ban 1h : spawn /usr/bin/touch {RAN} : banners /srv/banners"),
        ];
        for client in clients {
            for act in &acts {
                for last in ["", " : deny", " : allow"] {
                    for is_allow in [true, false] {
                        let rule = format!("ALL: {client} : {act}{last}\n");
                        match is_allow {
                            true => tables(machine, &rule, ""),
                            false => tables(machine, "", &rule),
                        }
                        let greetings = doors.greetings(CLIENT);
                        assert!(!Path::new(RAN).exists(), "{rule}");
                        assert!(
                            !greetings.iter().any(|said| said.contains("banner")),
                            "{rule}: {greetings:?}"
                        );
                    }
                }
            }
        }
        assert_eq!(succeed(&["bans"]), "");
        // The same of a client that matches is done.
        tables(machine, &format!("ALL: ALL : {} : deny\n", acts[3]), "");
        doors.greetings(CLIENT);
        wait_until("the command", || Path::new(RAN).exists().then_some(()));
        wait_until("the ban", || succeed(&["bans"]).contains(CLIENT).then_some(()));
    });
}
