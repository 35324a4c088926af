//! systemd itself, as the first process of a machine within the test's.

use std::path::PathBuf;
use std::process::Command;

use crate::{Daemon, Machine, packaged, run, wait_until};

/// In a group of its own, with a hierarchy of groups below it and processes of its own; all else is the machine's.
const BOOT: &str = "
set -e
echo $$ > \"$1/cgroup.procs\"
exec unshare --cgroup --pid --mount --fork --kill-child --mount-proc sh -c '
    set -e
    mount --make-rprivate /
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    export container=test SYSTEMD_UNIT_PATH=/etc/systemd/system
    exec \"$0\" --system --unit=test.target' \"$2\"
";

/// A systemd that runs units of `/etc/systemd/system`. It ends with this.
#[derive(Debug)]
pub struct Systemd {
    group: PathBuf,
    /// Ended before the group is removed.
    daemon: Option<Daemon>,
}

impl Systemd {
    /// Has these units started, which must be on the machine by now.
    ///
    /// # Panics
    /// When systemd cannot be started, or no group be made for it.
    pub fn start(machine: &Machine, units: &[&str]) -> Self {
        let all = PathBuf::from("/mnt/cgroup");
        std::fs::create_dir_all(&all).expect("ours");
        run(Command::new("mount").args(["-t", "cgroup2", "cgroup2"]).arg(&all));
        let group = all.join(format!(
            "tcpwrap-test-{:016x}",
            std::process::id() as u64 + unique()
        ));
        std::fs::create_dir(&group).expect("groups can be made");
        let wants = units.join(" ");
        machine.put(
            "/etc/systemd/system/test.target",
            format!("[Unit]\nDefaultDependencies=no\nWants={wants}\nAfter={wants}\n"),
        );
        std::fs::File::create("/dev/console").expect("ours");
        let daemon = Daemon::start(
            Command::new("sh")
                .args(["-c", BOOT, "sh"])
                .arg(&group)
                .arg(packaged("systemd")),
        );
        Systemd {
            group,
            daemon: Some(daemon),
        }
    }

    /// A command that will run where systemd is the first process.
    ///
    /// # Panics
    /// When systemd does not come to run.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let first = wait_until("systemd", || {
            let text = std::fs::read_to_string(self.group.join("init.scope/cgroup.procs")).ok()?;
            text.lines().next().map(str::to_owned)
        });
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &first, "--pid", "--mount", "--"])
            .arg(program);
        command
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        drop(self.daemon.take());
        // Its processes end a moment later, and groups within come first.
        wait_until("the end of all processes of systemd", || {
            let _ = Command::new("find")
                .arg(&self.group)
                .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
                .output();
            (!self.group.exists()).then_some(())
        });
    }
}

/// Process ids of tests are their own; groups are the machine's.
fn unique() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
