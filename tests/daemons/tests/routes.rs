//! Clients that choose the route of their packets, and daemons that ask libwrap about them.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use daemons_tests::{Whose, build};
use support::Daemon;

const PORT: u16 = 7000;

/// Real packets by way of a router, to listeners of both families. Debian's library serves them.
#[test]
fn a_client_that_chose_its_route_gets_nothing() {
    support::alone(|machine| {
        let log = machine.log();
        let _router = machine.router();
        let program = build(machine.directory(), "routes");
        for (address, client) in [("0.0.0.0", "10.9.0.1"), ("::", "::ffff:10.9.0.1")] {
            let listener = TcpListener::bind((address, PORT)).expect("a listener");
            let mut command = Whose::Ours.command(&program);
            let daemon = Daemon::start(command.stdin(OwnedFd::from(listener)));
            drop(command);
            let direct = TcpStream::connect(("10.9.0.1", PORT)).expect("a handshake");
            let mut said = String::new();
            BufReader::new(direct).read_line(&mut said).expect("an answer");
            assert_eq!(said, "served\n", "{}", daemon.output());
            assert_eq!(machine.said_by_way_of_the_router(PORT), "", "{}", daemon.output());
            log.wait_for(&format!(
                "refused connect from {client} with IP source routing options"
            ));
        }
    });
}
