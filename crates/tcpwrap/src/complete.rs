//! Completion of command lines: `COMPLETE=bash tcpwrap` prints what a shell is to load, as `cargo xtask dist` does
//! for the packages, and the shell then asks `tcpwrap` itself, which knows the bans and the units there are.

use std::ffi::OsStr;

use clap::CommandFactory;
use clap_complete::{CompleteEnv, CompletionCandidate};
use state::stamp;

/// Answers a shell, where one asks, and ends.
pub fn answer() {
    CompleteEnv::with_factory(crate::Cli::command)
        .bin("tcpwrap")
        .completer("tcpwrap")
        .complete();
}

/// The networks that are banned, as they are written.
pub fn bans(begun: &OsStr) -> Vec<CompletionCandidate> {
    let begun = begun.to_string_lossy();
    let Ok(config) = crate::ban::configured() else {
        return Vec::new();
    };
    let Ok(contents) = state::bans::contents(&config.file) else {
        return Vec::new();
    };
    let now = stamp::now();
    let holds = contents.bans.iter().filter(|ban| !ban.expiry.is_over(now));
    holds
        .map(|ban| (ban.network.to_string(), &ban.origin))
        .filter(|(network, _)| network.starts_with(&*begun))
        .map(|(network, origin)| CompletionCandidate::new(network).help(Some(origin.clone().into())))
        .collect()
}
