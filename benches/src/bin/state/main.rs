//! What decisions remember and are told: each question, a whole decision, a whole process. Run it as root with
//! `cargo xtask bench state [-- DATABASE]`; DATABASE is one of countries in which records have `country_code`. Whole
//! processes need `cargo xtask dist` and Debian's libwrap0-dev, and the script to compare with needs mmdb-bin.
//!
//! All of it in a mount namespace with `/etc`, `/run` and `/srv` of its own.

#![forbid(unsafe_code)]

mod decisions;
mod processes;
mod questions;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const INSIDE: &str = "TCPWRAP_BENCH_INSIDE";

const PREPARE: &str = "set -e
mount --make-rprivate /
ip link set lo up
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/upper /mnt/work
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work overlay /etc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /srv
exec \"$@\"";

fn main() -> Result<(), String> {
    let problem = |error: std::io::Error| error.to_string();
    if let [_, repeat, times] = &env::args().collect::<Vec<_>>()[..]
        && repeat == decisions::REPEAT
    {
        return decisions::repeat(times);
    }
    let database = env::args_os().nth(1).map(PathBuf::from);
    if env::var_os(INSIDE).is_none() {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "sh", "-c", PREPARE, "sh"]);
        command
            .arg(env::current_exe().map_err(problem)?)
            .args(database)
            .env(INSIDE, "1");
        return Err(command.exec().to_string());
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
