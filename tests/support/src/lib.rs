//! What tests of real programs share: a machine of their own ([`alone`], [`Machine`]), daemons that die
//! with the test ([`Daemon`]), a name server ([`name_server`]), systemd ([`Systemd`]), what goes to the system log ([`Log`]), and where
//! programs are ([`program`], [`packaged`]).
//!
//! Not for tests of the pure engine, which needs none of this. Needs root, Linux and util-linux.
//!
//! ```no_run
//! #[test]
//! fn a_denied_client_is_logged() {
//!     support::alone(|machine| {
//!         machine.address("192.0.2.1/24");
//!         machine.put("/etc/hosts.deny", "ALL: ALL\n");
//!         let log = machine.log();
//!         let inetd = support::Daemon::start(std::process::Command::new("inetd").arg("-i"));
//!         machine.wait_for_port("192.0.2.1:79");
//!         // …
//!         log.wait_for("refused connect from");
//!         drop(inetd);
//!     });
//! }
//! ```

#![forbid(unsafe_code)]

mod alone;
mod daemon;
mod dns;
mod log;
mod machine;
mod programs;
mod systemd;

pub use alone::{alone, alone_for};
pub use daemon::Daemon;
pub use dns::{name_server, name_server_at};
pub use log::{Entry, Log};
pub use machine::{Machine, Neighbour};
pub use programs::{NO_NETGROUPS, library, packaged, program, reference_knows_netgroups, run, target};
pub use systemd::Systemd;

use std::time::{Duration, Instant};

/// How long tests wait for what must happen. No test depends on it: it is there to end those that would wait for ever.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `ready` returns something; panics, saying `what`, after [`PATIENCE`].
pub fn wait_until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
