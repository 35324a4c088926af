//! Namespaces in which a benchmark may write what tables, services and logs it likes.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{env, io};

const INSIDE: &str = "TCPWRAP_BENCH_INSIDE";

/// Mounts of our own, an `/etc` of our own, and an interface to talk over.
const PREPARE: &str = "set -e
mount --make-rprivate /
ip link set lo up
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/upper /mnt/work
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work overlay /etc
";

/// Is this program in namespaces of its own?
pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Starts this program anew with these arguments, in namespaces for mounts, the network and what else is named, as
/// `unshare` names them, when the shell has run `more`. Returns where that cannot be done.
///
/// # Errors
/// The reason, always.
pub fn enter<A: AsRef<OsStr>>(
    namespaces: &[&str],
    more: &str,
    arguments: impl IntoIterator<Item = A>,
) -> io::Result<std::convert::Infallible> {
    Err(Command::new("unshare")
        .args(["--mount", "--net"])
        .args(namespaces)
        .args(["sh", "-c", &format!("{PREPARE}{more}exec \"$@\""), "sh"])
        .arg(env::current_exe()?)
        .args(arguments)
        .env(INSIDE, "1")
        .exec())
}
