//! Runs the body of a test in namespaces of its own.
//!
//! Tests share one process and its threads, and namespaces belong to processes; so the test program
//! starts itself again for the one test, inside `unshare`.

use std::any::type_name_of_val;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use crate::Machine;

/// The name of the test whose body this process runs.
const INSIDE: &str = "TCPWRAP_TEST_ALONE";

/// How the program inside says that the body ran to its end; a program that ran no test exits with 0.
const PASSED: i32 = 42;

/// What is the same wherever tests run: how many descriptors a process has, how files come to be, and the priority, from which
/// tests of `nice` count.
const USUAL: &str =
    "renice -n 0 -p $$ >/dev/null; ulimit -S -n 1024; ulimit -S -c 0; umask 022; unset TZ; exec \"$@\"";

/// Seconds after which a test is killed.
const LIMIT: u64 = 550;

/// Runs the body of the calling test on a [`Machine`] of its own: private network, host name, mounts and process
/// ids. Everything it starts ends with it, also when it is killed.
///
/// Call it once, from the test function itself, with a closure. What the test does before the call is done
/// inside too, what it does after it only outside.
///
/// # Panics
///
/// When the body does, when this process is not root, and after some minutes.
#[track_caller]
pub fn alone(test: impl FnOnce(&Machine)) {
    alone_for(LIMIT, test);
}

/// [`alone`] for a test that may take so many seconds.
///
/// # Panics
///
/// As [`alone`] does.
#[track_caller]
pub fn alone_for(seconds: u64, test: impl FnOnce(&Machine)) {
    let name = test_name(type_name_of_val(&test));
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        let passed = catch_unwind(AssertUnwindSafe(|| test(&Machine::new()))).is_ok();
        std::process::exit(if passed { PASSED } else { 1 });
    }
    let program = std::env::current_exe().expect("a test program has a path");
    let done = Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .args(["sh", "-c", USUAL, "sh"])
        .args(["timeout", "--foreground", "--signal=KILL"])
        .arg(seconds.to_string())
        .args(["setpriv", "--pdeathsig", "KILL"])
        .args([
            "unshare",
            "--mount",
            "--net",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        // Older unshares leave signals ignored, and so may who runs the tests.
        .args(["env", "--default-signal"])
        .arg(program)
        .args([
            name,
            "--exact",
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(INSIDE, name)
        .output()
        .expect("setpriv runs");
    let printed = String::from_utf8_lossy(&done.stdout);
    let complaints = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.code() == Some(PASSED),
        "{name} ({})\n{printed}{complaints}",
        done.status
    );
    print!("{printed}");
}

/// The name of a test, as the test program lists it, from the type of a closure in it.
fn test_name(closure: &str) -> &str {
    let path = closure.split("::{{closure}}").next().unwrap_or(closure);
    path.split_once("::").map_or(path, |(_program, path)| path)
}
