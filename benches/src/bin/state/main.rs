//! What decisions remember and are told: each question, a whole decision, a whole process. Run it as root with
//! `cargo xtask bench state [-- DATABASE]`; DATABASE is one of countries in which records have `country_code`. Whole
//! processes need `cargo xtask dist` and Debian's libwrap0-dev, and the script to compare with needs mmdb-bin.
//!
//! All of it in a mount namespace with `/etc`, `/run` and `/srv` of its own.

#![forbid(unsafe_code)]

mod decisions;
mod processes;
mod questions;

use std::path::{Path, PathBuf};
use std::{env, fs};

use benches::apart;

const PREPARE: &str = "mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /srv
";

fn main() -> Result<(), String> {
    let problem = |error: std::io::Error| error.to_string();
    if let [_, repeat, times] = &env::args().collect::<Vec<_>>()[..]
        && repeat == decisions::REPEAT
    {
        return decisions::repeat(times);
    }
    let database = env::args_os().nth(1).map(PathBuf::from);
    if !apart::is_inside() {
        match apart::enter(&[], PREPARE, database).map_err(problem)? {}
    }
    let mut configuration = "[bans]\nfile = '/srv/bans'\n".to_owned();
    if let Some(database) = &database {
        // On a disk or not, it is in memory.
        fs::copy(database, "/srv/countries").map_err(problem)?;
        configuration.push_str("[geo]\ncountry = '/srv/countries'\n");
    }
    fs::write("/etc/tcpwrap.toml", configuration).map_err(problem)?;
    questions::run(Path::new("/srv"), database.as_deref())?;
    decisions::run(database.is_some())?;
    processes::run(database.is_some())
}
