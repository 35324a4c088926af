//! Which daemons this host starts for its clients, by which super server, and who guards them.
//!
//! Rules name daemons by process name. Whether a name means anything on a host is written in
//! inetd.conf(5), in xinetd.conf(5) and in systemd.socket(5) units; the modules here read the three into
//! [`Launch`]es, and [`Services`] adds what the file system says about the programs. Nothing is started
//! and nothing is changed. Not for daemons that run by themselves, except for [`program`].

pub mod inetd;
mod programs;
pub mod systemd;
pub mod xinetd;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hosts_access::{Diagnostic, Kind, Place, source};

pub use programs::{PROGRAM_DIRECTORIES, REAL_DAEMON_DIR, base_name, program};

/// The super server that starts a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Starter {
    /// Any of the inetd family, configured by an `inetd.conf`.
    Inetd,
    /// xinetd
    Xinetd,
    /// systemd, through a socket unit.
    Systemd,
}

/// One program that a super server starts, as its configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Who starts it.
    pub starter: Starter,
    /// The line that names the program.
    pub place: Place,
    /// The program: `tcpd` where the service is wrapped. Nothing where the super server itself serves.
    pub program: Option<Vec<u8>>,
    /// Its `argv[0]`, where one is given.
    pub name: Option<Vec<u8>>,
    /// The name under which the super server itself asks libwrap, if it does (xinetd).
    pub asked_as: Option<Vec<u8>>,
    /// It is an RPC service over TCP, whose clients tcpd cannot see.
    pub rpc_stream: bool,
    /// Where the super server listens for its clients.
    pub listens: Vec<Listen>,
    /// The program is given the socket itself, to accept its clients or read its datagrams from.
    pub waits: bool,
    /// `LD_LIBRARY_PATH`, where its unit sets it.
    pub library_path: Option<Vec<u8>>,
}

/// A port at which a super server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Connections, rather than datagrams.
    pub is_stream: bool,
    /// The port, by its number or name.
    pub port: Vec<u8>,
}

/// What configuration files say, before any program is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The programs started, in the order of the files.
    pub launches: Vec<Launch>,
    /// What is wrong with the files.
    pub problems: Vec<Diagnostic>,
    /// The files read, and who reads them.
    pub files: Vec<(Starter, PathBuf)>,
}

impl Listing {
    fn problem(&mut self, file: &Arc<Path>, line: u32, text: impl Into<Vec<u8>>) {
        let place = Place {
            file: Arc::clone(file),
            line,
        };
        self.problems
            .push(Diagnostic::new(Kind::Warning, Some(place), text));
    }
}

/// Who asks the tables before the daemon serves a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// Nobody, as far as can be seen.
    Nobody,
    /// The daemon or its super server, through libwrap.
    Libwrap,
    /// tcpd
    Tcpd,
}

/// A daemon that a super server starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The process name, by which rules name it.
    pub daemon: Vec<u8>,
    /// The program; where tcpd stands before it, still the daemon's own. Nothing where the super server
    /// itself serves.
    pub program: Option<Vec<u8>>,
    /// Who guards it.
    pub guard: Guard,
    /// Who starts it.
    pub starter: Starter,
    /// The line that says so.
    pub place: Place,
    /// Where its clients come to.
    pub listens: Vec<Listen>,
    /// See [`Launch::waits`].
    pub waits: bool,
}

impl Service {
    /// Does the program accept its clients itself? Then whatever is asked before it is started is asked once, about a
    /// client that is not known yet, and not for each.
    pub fn accepts_itself(&self) -> bool {
        self.waits && self.listens.iter().any(|listen| listen.is_stream)
    }
}

/// The daemons this host's super servers start, and what is wrong with their configuration.
///
/// ```
/// use system::services::{Guard, Services, inetd};
/// let conf = b"x stream tcp nowait root /usr/sbin/tcpd /bin/cat\ny stream tcp nowait root /bin/ls ls\n";
/// let services = Services::new(inetd::parse("inetd.conf".as_ref(), conf), &|_, _| false);
/// assert_eq!(services.guard(b"cat"), Some(Guard::Tcpd));
/// assert_eq!(services.guard(b"ls"), Some(Guard::Nobody));
/// assert_eq!(services.guard(b"sshd"), None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// The daemons, in the order of the files.
    pub services: Vec<Service>,
    /// What is wrong with the files, and with the programs they name.
    pub problems: Vec<Diagnostic>,
    /// The files read, and who reads them.
    pub files: Vec<(Starter, PathBuf)>,
}

impl Services {
    /// Looks at the programs of a listing. `asks` tells whether a program, started so, asks libwrap.
    pub fn new(listing: Listing, asks: &dyn Fn(&Path, &Launch) -> bool) -> Self {
        let mut services = Services {
            services: Vec::new(),
            problems: listing.problems,
            files: listing.files,
        };
        for launch in listing.launches {
            services.add(launch, asks);
        }
        services.sort_problems();
        services
    }

    /// Everything this host is configured to start: `inetd_conf`, or the first of [`inetd::PLACES`] there
    /// is, `/etc/inetd.d`, xinetd's files and the enabled socket units. `asks` as for [`new`](Self::new).
    ///
    /// # Errors
    /// Where `inetd_conf` is given and cannot be read. All else that cannot be read is a problem.
    pub fn of_this_host(
        inetd_conf: Option<&Path>,
        asks: &dyn Fn(&Path, &Launch) -> bool,
    ) -> io::Result<Self> {
        let mut listing = Listing::default();
        match inetd_conf {
            Some(path) => listing.append(inetd::parse(path, &source::bytes(path)?)),
            None => {
                if let Some(path) = inetd::PLACES.iter().map(Path::new).find(|path| path.exists()) {
                    listing.add_inetd(path);
                }
            }
        }
        for path in inetd::drop_ins(Path::new(inetd::DROP_IN_DIRECTORY)) {
            listing.add_inetd(&path);
        }
        listing.append(xinetd::read(Path::new(xinetd::CONFIGURATION)));
        listing.append(systemd::read(systemd::UNIT_DIRECTORIES.map(Path::new).as_slice()));
        Ok(Services::new(listing, asks))
    }

    /// The entries that start `daemon`, ASCII case apart.
    pub fn named<'s>(&'s self, daemon: &'s [u8]) -> impl Iterator<Item = &'s Service> {
        self.services
            .iter()
            .filter(move |service| service.daemon.eq_ignore_ascii_case(daemon))
    }

    /// Who guards `daemon`: the weakest guard among its entries. Nothing where no super server starts it.
    pub fn guard(&self, daemon: &[u8]) -> Option<Guard> {
        self.named(daemon).map(|service| service.guard).min()
    }

    /// In the order in which a reader of the files meets them.
    fn sort_problems(&mut self) {
        let files = &self.files;
        self.problems.sort_by_key(|problem| {
            problem.place.as_ref().map(|place| {
                let file = files.iter().position(|(_, file)| **file == *place.file);
                (file, place.line)
            })
        });
    }

    fn add(&mut self, launch: Launch, asks: &dyn Fn(&Path, &Launch) -> bool) {
        let Some(program) = launch.program.clone() else {
            let guard = match launch.asked_as {
                Some(_) => Guard::Libwrap,
                None => Guard::Nobody,
            };
            let name = launch.asked_as.clone().or_else(|| launch.name.clone());
            return self.push(&launch, name.unwrap_or_default(), None, guard);
        };
        let mut problems = Vec::new();
        let argv0 = launch.name.as_deref().unwrap_or(&program);
        let name = base_name(argv0);
        let found = programs::inspect(&program, &mut problems);
        let is_tcpd = base_name(&program) == b"tcpd";
        if is_tcpd && found.is_some_and(|facts| facts.set_id) {
            problems.push([&program[..], b": must not be set-user-id or set-group-id"].concat());
        }
        if is_tcpd && launch.rpc_stream {
            let text = b": tcpd cannot see the clients of an RPC service over TCP";
            problems.push([name, text].concat());
        }
        let mut names = vec![name];
        let (daemon, guard);
        if is_tcpd {
            daemon = programs::as_tcpd_resolves(argv0);
            guard = Guard::Tcpd;
            if name == b"tcpd" {
                problems.push(b"tcpd is told to run itself: its argv[0] must name the daemon".to_vec());
            } else {
                programs::inspect(&daemon, &mut problems);
            }
        } else {
            daemon = program.clone();
            names.push(base_name(&program));
            guard = match &launch.asked_as {
                Some(name) => {
                    names = vec![name];
                    Guard::Libwrap
                }
                None if found.is_some() && asks(Path::new(OsStr::from_bytes(&program)), &launch) => {
                    Guard::Libwrap
                }
                None => Guard::Nobody,
            };
        }
        names.dedup();
        if let Some(name) = names.iter().find(|name| programs::is_insecure(name)) {
            problems.push([name, &b": not a service to offer, wrapped or not"[..]].concat());
        }
        for text in problems {
            self.problems
                .push(Diagnostic::new(Kind::Warning, Some(launch.place.clone()), text));
        }
        for name in names {
            self.push(&launch, name.to_vec(), Some(daemon.clone()), guard);
        }
    }

    fn push(&mut self, launch: &Launch, daemon: Vec<u8>, program: Option<Vec<u8>>, guard: Guard) {
        self.services.push(Service {
            daemon,
            program,
            guard,
            starter: launch.starter,
            place: launch.place.clone(),
            listens: launch.listens.clone(),
            waits: launch.waits,
        });
    }
}

impl Listing {
    fn append(&mut self, other: Listing) {
        self.launches.extend(other.launches);
        self.problems.extend(other.problems);
        self.files.extend(other.files);
    }

    /// Reads an `inetd.conf` that is there; one that cannot be read is a problem.
    fn add_inetd(&mut self, path: &Path) {
        match source::bytes(path) {
            Ok(text) => self.append(inetd::parse(path, &text)),
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let reason = hosts_access::decide::reason(error);
        let text = [
            path.as_os_str().as_encoded_bytes(),
            b": cannot be read: ",
            reason.as_bytes(),
        ];
        self.problems
            .push(Diagnostic::new(Kind::Warning, None, text.concat()));
    }
}

/// The words of a line.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}
