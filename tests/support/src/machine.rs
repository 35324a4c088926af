//! The private machine a test runs on.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Log, run, wait_until};

/// Makes `/etc`, `/run`, `/srv`, `/usr/local` and `/dev` the test's own: `/etc` and `/usr/local` begin as
/// copies of the real ones, without rule files and name servers; the others are empty but for the usual devices.
const PREPARE: &str = "
set -e
mount --make-rprivate /
ip link set lo up
# In no domain: names that are not found would be looked for there too.
echo machine >/proc/sys/kernel/hostname
mount -t tmpfs -o mode=755 tmpfs /mnt
for directory in etc usr/local; do
    mkdir -p /mnt/upper/$directory /mnt/work/$directory
    mount -t overlay -o lowerdir=/$directory,upperdir=/mnt/upper/$directory,workdir=/mnt/work/$directory \
        overlay /$directory
done
rm -rf /etc/resolv.conf /etc/hosts.allow /etc/hosts.deny /etc/inetd.conf /etc/xinetd.conf /etc/xinetd.d \
    /etc/tcpwrap.toml
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /srv
mkdir /mnt/dev
mount -t tmpfs -o mode=755 tmpfs /mnt/dev
for device in null zero full random urandom tty; do
    touch /mnt/dev/$device
    mount --bind /dev/$device /mnt/dev/$device
done
mkdir /mnt/dev/pts /mnt/dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts /mnt/dev/pts
ln -s pts/ptmx /mnt/dev/ptmx
ln -s /proc/self/fd /mnt/dev/fd
mount --move /mnt/dev /dev
# Who comes thousands of times is not out of ports, however fast the machine is. Old kernels have one number for all networks.
echo 4096 2>/dev/null >/proc/sys/net/ipv4/tcp_max_tw_buckets || :
";

/// A machine of the test's own. Made by [`alone`](crate::alone).
#[derive(Debug)]
pub struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        run(Command::new("sh").args(["-c", PREPARE]));
        let directory = tempfile::tempdir().expect("a temporary directory");
        // Daemons and commands that run as somebody else come here too.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        let machine = Machine { directory };
        machine.put("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
        machine.put(
            "/etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\nservices: files\n",
        );
        machine
    }

    /// A directory for the test's files, gone when it ends. Everybody may read it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file in one of the directories that are private, making directories as needed.
    pub fn put(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = path.as_ref();
        fs::create_dir_all(path.parent().expect("a file's path")).expect("a directory");
        fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path.to_path_buf()
    }

    /// Writes an executable file, a script say.
    pub fn put_program(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.put(path, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        path
    }

    /// Gives this machine an address on its loopback interface, `192.0.2.1/24` or `2001:db8::1/64`.
    pub fn address(&self, address: &str) {
        add_address(&mut Command::new("ip"), address, "lo");
    }

    /// Another machine with an `/etc/hosts`, `/dev/log` and files in common with this one but a network
    /// of its own, reached through a cable: `ours` and `theirs` are the addresses of its ends, with
    /// prefix lengths.
    pub fn neighbour(&self, name: &str, ours: &[&str], theirs: &[&str]) -> Neighbour {
        run(Command::new("ip").args(["netns", "add", name]));
        let cable = format!("to-{name}");
        let far = ["type", "veth", "peer", "name", "eth0", "netns", name];
        run(Command::new("ip").args(["link", "add", &cable]).args(far));
        let neighbour = Neighbour {
            name: name.to_owned(),
        };
        for address in ours {
            add_address(&mut Command::new("ip"), address, &cable);
        }
        for address in theirs {
            add_address(Command::new("ip").args(["-n", name]), address, "eth0");
        }
        run(Command::new("ip").args(["link", "set", &cable, "up"]));
        run(Command::new("ip").args(["-n", name, "link", "set", "lo", "up"]));
        run(Command::new("ip").args(["-n", name, "link", "set", "eth0", "up"]));
        neighbour
    }

    /// A router at 10.9.0.2, which sends packets where they want to go, back here among others; this machine, 10.9.0.1,
    /// takes them in.
    pub fn router(&self) -> Neighbour {
        let router = self.neighbour("router", &["10.9.0.1/24"], &["10.9.0.2/24"]);
        for (setting, value) in [
            ("all/accept_source_route", "1"),
            ("to-router/accept_source_route", "1"),
            ("to-router/accept_local", "1"),
            ("all/rp_filter", "0"),
            ("to-router/rp_filter", "0"),
        ] {
            self.put(format!("/proc/sys/net/ipv4/conf/{setting}"), value);
        }
        let settings = "cd /proc/sys/net/ipv4; for setting in ip_forward conf/*/accept_source_route; do
            echo 1 > $setting; done";
        run(router.command("sh").args(["-c", settings]));
        router
    }

    /// What a server at 10.9.0.1 says first to a client that has its packets go by way of the [`router`](Self::router).
    pub fn said_by_way_of_the_router(&self, port: u16) -> String {
        // IP_OPTIONS, at the level of IP: a loose route.
        let script = format!(
            "use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0) or die;
            setsockopt($s, 0, 4, pack('C*', 131, 7, 4, 10, 9, 0, 2, 1)) or die $!;
            connect($s, pack_sockaddr_in({port}, inet_aton('10.9.0.1'))) or die $!;
            print scalar <$s>"
        );
        let client = run(Command::new("perl").args(["-e", &script]));
        String::from_utf8_lossy(&client.stdout).into_owned()
    }

    /// Receives what is sent to `/dev/log` from now on.
    pub fn log(&self) -> Log {
        Log::at(Path::new("/dev/log"))
    }

    /// Waits until something accepts TCP connections there. It sees one connection come and go.
    pub fn wait_for_port(&self, address: &str) {
        let address: SocketAddr = address.parse().expect("ADDRESS:PORT");
        wait_until(&format!("a listener on {address}"), || {
            TcpStream::connect(address).ok()
        });
    }
}

/// Another machine at the end of a cable. Made by [`Machine::neighbour`].
#[derive(Debug)]
pub struct Neighbour {
    name: String,
}

impl Neighbour {
    /// A command that will run there.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        // Unlike `ip netns exec`, this keeps the mounts, `/etc` among them, as they are.
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg("--")
            .arg(program);
        command
    }
}

fn add_address(ip: &mut Command, address: &str, interface: &str) {
    ip.args(["address", "add", address, "dev", interface]);
    if address.contains(':') {
        // No wait for duplicate address detection.
        ip.arg("nodad");
    }
    run(ip);
}
