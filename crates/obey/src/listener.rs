//! Who waits for clients on this machine, and what asks the tables before they are served.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hosts_access::Place;
use system::services::{Guard, Service, Starter, base_name, inetd, xinetd};

use crate::known::{self, Switch};
use crate::linkage::How;
use crate::machine::{By, Machine, NAMES_TABLES, decides};
use crate::process::{self, Holders, Mapped, Process, all, in_root};
use crate::run;
use crate::socket::{Protocol, Socket, listening, service_port};

/// A socket that waits for clients, and who serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The socket.
    pub socket: Socket,
    /// The number of its network namespace; nothing where this user may not know.
    pub network: Option<u64>,
    /// Who holds it; nothing where that cannot be seen.
    pub process: Option<Process>,
    /// How many processes hold it.
    pub holders: usize,
    /// The program that serves, where that is not the process's own.
    pub program: Option<PathBuf>,
    /// The daemon's name in the rules.
    pub daemon: Vec<u8>,
    /// What makes it obey.
    pub obeys: Obeys,
    /// The process has another `/etc` than this one, as in a container, or other tables in it, so these count for it.
    pub is_elsewhere: bool,
}

/// What asks the tables for a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obeys {
    /// The program, with this libwrap; nothing where it is built in.
    Libwrap(Library),
    /// tcpd, started by a super server.
    Tcpd(Starter, Option<Place>),
    /// The super server.
    SuperServer(Starter, Option<Place>),
    /// The guard of `tcpwrap run`, with this process id.
    Run(u32),
    /// `tcpwrap run`, whose guard has ended: nobody is let in.
    GuardGone,
    /// It has libwrap, and whether it asks depends on this.
    Perhaps(String),
    /// It has libwrap, and does not use it, for this reason.
    Off(String),
    /// Nothing.
    Nothing,
    /// This user may not see it.
    Hidden,
}

/// A libwrap in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Library {
    /// Its file; nothing where it is part of the program.
    pub path: Option<PathBuf>,
    /// Its version, where it is this project's.
    pub version: Option<String>,
    /// The libraries or helpers on the way to it.
    pub through: Vec<PathBuf>,
    /// Another file has been put in its place since the program was started.
    pub is_replaced: bool,
    /// Only the names of both tables in the program speak for it.
    pub is_guessed: bool,
}

impl Obeys {
    /// Is it certain that nothing asks?
    pub fn is_bare(&self) -> bool {
        matches!(self, Obeys::Nothing | Obeys::Off(_))
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Listeners {
    /// Everything that waits for clients, by port.
    pub all: Vec<Listener>,
    /// The guards of `tcpwrap run`.
    pub guards: Vec<run::Guard>,
    /// How many processes there are whose sockets this user may not see.
    pub hidden: usize,
}

/// What is looked at once for all listeners.
struct Survey<'m> {
    machine: &'m Machine,
    holders: Holders,
    processes: HashMap<u32, Process>,
    /// The libwrap that processes have loaded; nothing inside where this user may not know.
    mapped: RefCell<HashMap<u32, Option<Option<Mapped>>>>,
    /// The libwrap that is part of a program which runs, by the program's device and inode.
    built_in: RefCell<HashMap<(u64, u64), Option<Library>>>,
    guards: Vec<run::Guard>,
}

/// The listeners of this network, or of every network on this machine that this user may see.
///
/// # Errors
/// Where `/proc/net` cannot be read.
pub fn listeners(machine: &Machine, every_network: bool) -> io::Result<Listeners> {
    let own = Process::namespace(std::process::id(), "net");
    let mut networks: BTreeMap<Option<u64>, PathBuf> = BTreeMap::new();
    networks.insert(own, PathBuf::from("/proc/self/net"));
    if every_network {
        for id in all() {
            if let Some(number) = Process::namespace(id, "net") {
                let net = || PathBuf::from(format!("/proc/{id}/net"));
                networks.entry(Some(number)).or_insert_with(net);
            }
        }
    }
    let mut sockets = Vec::new();
    for (network, net) in networks {
        match listening(&net) {
            Ok(found) => sockets.extend(found.into_iter().map(|socket| (network, socket))),
            Err(error) if network == own => return Err(error),
            // Its last process has ended.
            Err(_) => {}
        }
    }
    // After the sockets, so that a program which began to listen meanwhile is not missed as their holder.
    let ids = all();
    let holders = Holders::among(&ids);
    let mut survey = Survey {
        machine,
        holders,
        processes: HashMap::new(),
        mapped: RefCell::default(),
        built_in: RefCell::default(),
        guards: Vec::new(),
    };
    survey.find_guards(&ids);
    let mut all: Vec<Listener> = sockets
        .into_iter()
        .map(|(network, socket)| survey.listener(network, socket))
        .collect();
    all.sort_by_key(|listener| {
        let socket = &listener.socket;
        (
            socket.address.port(),
            socket.protocol,
            socket.address,
            listener.network,
        )
    });
    Ok(Listeners {
        all,
        hidden: survey.holders.hidden.len(),
        guards: survey.guards,
    })
}

impl Survey<'_> {
    /// Guards are few among many processes, and known by the name that the kernel shows.
    fn find_guards(&mut self, ids: &[u32]) {
        for id in ids {
            let name = std::fs::read(format!("/proc/{id}/comm")).unwrap_or_default();
            if name.starts_with(b"tcpwrap")
                && let Ok(process) = Process::read(*id)
            {
                self.guards.extend(run::Guard::of(&process));
            }
        }
    }

    fn process(&mut self, id: u32) -> Option<Process> {
        if let Some(known) = self.processes.get(&id) {
            return Some(known.clone());
        }
        let process = Process::read(id).ok()?;
        self.processes.insert(id, process.clone());
        Some(process)
    }

    fn listener(&mut self, network: Option<u64>, socket: Socket) -> Listener {
        let holders = self.holders.of.get(&socket.inode).cloned().unwrap_or_default();
        let guards: Vec<u32> = self.guards.iter().map(|guard| guard.process.id).collect();
        let serving: Vec<u32> = holders
            .iter()
            .copied()
            .filter(|id| !guards.contains(id))
            .collect();
        // What systemd has passed on is served by who got it.
        let first = serving
            .iter()
            .copied()
            .find(|id| *id != 1)
            .or_else(|| serving.first().copied());
        let process = first.and_then(|id| self.process(id));
        let mut listener = Listener {
            socket,
            network,
            holders: serving.len(),
            program: None,
            daemon: Vec::new(),
            obeys: Obeys::Hidden,
            is_elsewhere: process.as_ref().is_some_and(|process| is_elsewhere(process.id)),
            process,
        };
        let Some(process) = listener.process.clone() else {
            // Whose it is would be seen, were it not the kernel's own, such as the NFS server's.
            if self.holders.hidden.is_empty() && process::sees_all() {
                listener.obeys = Obeys::Nothing;
            }
            return listener;
        };
        listener.daemon = own_name(&process);
        if self.by_super_server(&process, &mut listener) || self.by_run(&process, &holders, &mut listener) {
            return listener;
        }
        self.by_itself(&process, &mut listener);
        self.look_at_others(&process, &serving, &mut listener);
        listener
    }

    /// Whoever else holds the socket can accept its clients as well.
    fn look_at_others(&mut self, first: &Process, serving: &[u32], listener: &mut Listener) {
        let Obeys::Libwrap(_) = listener.obeys else {
            return;
        };
        let others: Vec<Process> = serving
            .iter()
            .filter(|id| ![1, first.id].contains(id))
            .filter_map(|id| self.process(*id))
            .filter(|other| other.program != first.program)
            .collect();
        // The processes that serve a program with helpers are programs of their own.
        let is_its_own = |other: &Process| {
            let known = first.program.as_deref();
            let known = known.and_then(|path| known::of(path.as_os_str().as_bytes()));
            known.is_some_and(known::Known::has_helpers)
                && process::lineage(other).any(|above| above == first.id)
        };
        let bare = others.iter().find(|other| {
            let mut its = listener.clone();
            self.by_itself(other, &mut its);
            its.obeys.is_bare() && !is_its_own(other)
        });
        if let Some(bare) = bare {
            listener.obeys = Obeys::Perhaps(holds_it_too(bare));
        }
    }

    /// A socket that a super server holds.
    fn by_super_server(&self, process: &Process, listener: &mut Listener) -> bool {
        let starter = match &own_name(process)[..] {
            b"inetd" => Starter::Inetd,
            b"xinetd" => Starter::Xinetd,
            // Whatever it is called: in an image it may be something else that reads units.
            _ if process.id == 1 => Starter::Systemd,
            _ => return false,
        };
        if let Some(why) = reads_another_configuration(process, starter, listener.is_elsewhere) {
            listener.obeys = Obeys::Perhaps(why);
            return true;
        }
        let services = &self.machine.services().services;
        let found = services
            .iter()
            .find(|service| service.starter == starter && is_at(service, &listener.socket));
        let Some(service) = found else {
            // inetd and xinetd serve some things themselves, and ask for none of them.
            listener.obeys = match (starter, &own_name(process)[..]) {
                (Starter::Inetd | Starter::Xinetd, _) => Obeys::Nothing,
                (_, b"systemd" | b"init") => {
                    Obeys::Perhaps("no enabled socket unit names this port".to_owned())
                }
                _ => return false,
            };
            return true;
        };
        listener.daemon.clone_from(&service.daemon);
        listener.program = service
            .program
            .as_deref()
            .map(|path| PathBuf::from(OsStr::from_bytes(path)));
        let place = Some(service.place.clone());
        listener.obeys = match (self.machine.guard_of(service), &listener.program) {
            (Guard::Tcpd, _) => Obeys::Tcpd(starter, place),
            (Guard::Libwrap, Some(program)) if starter == Starter::Systemd => {
                self.on_disk(&program.clone(), &[], listener)
            }
            (Guard::Libwrap, _) => Obeys::SuperServer(starter, place),
            (Guard::Nobody, _) => Obeys::Nothing,
        };
        true
    }

    /// A program under `tcpwrap run`.
    fn by_run(&self, process: &Process, holders: &[u32], listener: &mut Listener) -> bool {
        let program = program_of(process);
        let found = self
            .guards
            .iter()
            .find(|guard| holders.contains(&guard.process.id) || guard.guards(process, &program));
        if let Some(guard) = found {
            if let Some(label) = &guard.label {
                listener.daemon.clone_from(&label.name);
            }
            listener.obeys = match listener.socket.protocol {
                Protocol::Tcp => match self.beyond(guard, holders) {
                    Some(beyond) => Obeys::Perhaps(holds_it_too(&beyond)),
                    None => Obeys::Run(guard.process.id),
                },
                Protocol::Udp => Obeys::Nothing,
            };
            return true;
        }
        let unit = process.unit().map(String::from_utf8_lossy);
        let attached = self
            .machine
            .attached()
            .iter()
            .find(|attached| Some(attached.unit.as_str()) == unit.as_deref());
        if let Some(attached) = attached.filter(|_| process.is_filtered && self.is_bare_of_guard(process)) {
            listener.daemon.clone_from(&attached.command.name);
            listener.obeys = match listener.socket.protocol {
                Protocol::Tcp => Obeys::GuardGone,
                Protocol::Udp => Obeys::Nothing,
            };
            return true;
        }
        false
    }

    /// A process that has the socket of a guarded program and is not under its guard.
    fn beyond(&self, guard: &run::Guard, holders: &[u32]) -> Option<Process> {
        let is_guard = |id: &u32| *id == 1 || self.guards.iter().any(|guard| guard.process.id == *id);
        let others = holders.iter().filter(|id| !is_guard(id));
        let mut others = others.filter_map(|id| Process::read(*id).ok());
        others.find(|other| !guard.may_guard(other))
    }

    fn is_bare_of_guard(&self, process: &Process) -> bool {
        self.guards
            .iter()
            .all(|guard| guard.process.group != process.group)
    }

    /// The libwrap that a process has loaded, read once for all that it listens at.
    fn mapped(&self, process: &Process) -> Option<Option<Mapped>> {
        let mut mapped = self.mapped.borrow_mut();
        mapped
            .entry(process.id)
            .or_insert_with(|| process.libwrap().ok())
            .clone()
    }

    /// A program that serves by itself.
    fn by_itself(&self, process: &Process, listener: &mut Listener) {
        let mapped = self.mapped(process);
        let Some(program) = process.program.clone() else {
            listener.obeys = Obeys::Hidden;
            return;
        };
        let mut asks = known::asks_since(&program, &process.arguments, process.started());
        if listener.is_elsewhere
            && known::of(program.as_os_str().as_bytes()).is_some_and(known::Known::is_configured)
        {
            let why = "its configuration is in another file system than this one's".to_owned();
            asks.iter_mut()
                .filter(|asks| asks.switch == Switch::On)
                .for_each(|asks| asks.switch = Switch::Unknown(why.clone()));
        }
        let port = listener.socket.address.port();
        let found = asks
            .iter()
            .find(|asks| asks.port == Some(port))
            .or_else(|| asks.iter().find(|asks| asks.port.is_none()));
        if let Some(found) = found {
            listener.daemon.clone_from(&found.name);
        }
        let library = match mapped {
            Some(Some(mapped)) => {
                let at = in_root(process.id, &mapped.path);
                Some(Library {
                    version: self.machine.linker().version(&at).filter(|_| !mapped.is_replaced),
                    path: Some(mapped.path),
                    is_replaced: mapped.is_replaced,
                    ..Library::default()
                })
            }
            Some(None) if listener.is_elsewhere => self.built_in(process),
            // It has loaded none; what asks may be a helper that is started for each client.
            Some(None) => match self.machine.by(&program) {
                Some(By::Helper(_, helper, linkage)) => Some(Library {
                    path: linkage.library,
                    version: linkage.version,
                    through: vec![helper],
                    ..Library::default()
                }),
                Some(By::Libwrap(_, linkage)) if linkage.how != How::Needed => self.built_in(process),
                _ => None,
            },
            None => {
                listener.obeys = self.on_disk(&program, &process.arguments, listener);
                return;
            }
        };
        let Some(mut library) =
            library.filter(|_| known::never_asks(program.as_os_str().as_bytes()).is_none())
        else {
            listener.obeys = Obeys::Nothing;
            return;
        };
        if library.through.is_empty() && library.path.is_some() {
            // The program that runs, which may be another than the file of that name is here and now.
            let own = match listener.is_elsewhere || process.is_replaced {
                true => PathBuf::from(format!("/proc/{}/exe", process.id)),
                false => program.clone(),
            };
            match self.machine.linker().linkage(&own, &[]).filter(decides) {
                Some(linkage) => library.through = linkage.through,
                None if !is_known_to_load(&program) => {
                    let why = "libwrap is loaded into it, and nothing shows that it asks";
                    listener.obeys = Obeys::Perhaps(why.to_owned());
                    return;
                }
                None => {}
            }
        }
        listener.obeys = self.switched(&program, found.map(|asks| &asks.switch), library, listener);
    }

    /// Libwrap as a part of the program that runs.
    fn built_in(&self, process: &Process) -> Option<Library> {
        let program = PathBuf::from(format!("/proc/{}/exe", process.id));
        let facts = std::fs::metadata(&program).ok()?;
        let library = || {
            let linkage = self.machine.linker().linkage(&program, &[])?;
            matches!(linkage.how, How::Contained | How::NamesTables).then(|| Library {
                version: linkage.version,
                is_guessed: linkage.how == How::NamesTables,
                ..Library::default()
            })
        };
        let mut known = self.built_in.borrow_mut();
        known
            .entry((facts.dev(), facts.ino()))
            .or_insert_with(library)
            .clone()
    }

    /// A program that has not been started, or cannot be looked into.
    fn on_disk(&self, program: &Path, arguments: &[Vec<u8>], listener: &Listener) -> Obeys {
        let (linkage, helper) = match self.machine.by(program) {
            Some(By::Libwrap(_, linkage)) => (linkage, None),
            Some(By::Helper(_, helper, linkage)) => (linkage, Some(helper)),
            _ => return Obeys::Nothing,
        };
        let library = Library {
            path: linkage.library,
            version: linkage.version,
            through: linkage.through.into_iter().chain(helper).collect(),
            is_replaced: false,
            is_guessed: linkage.how == How::NamesTables,
        };
        let asks = known::asks(program, arguments);
        let found = asks
            .iter()
            .find(|asks| asks.name == listener.daemon)
            .or(asks.first());
        self.switched(program, found.map(|asks| &asks.switch), library, listener)
    }

    /// What a program that has libwrap does with it.
    fn switched(
        &self,
        program: &Path,
        switch: Option<&Switch>,
        library: Library,
        listener: &Listener,
    ) -> Obeys {
        let file = program.as_os_str().as_bytes();
        let known = known::of(file);
        let is_datagram = listener.socket.protocol == Protocol::Udp;
        match switch {
            Some(Switch::Off(why)) => Obeys::Off(why.clone()),
            Some(Switch::Unknown(why)) => Obeys::Perhaps(why.clone()),
            None => Obeys::Off("its configuration names no service at this port".to_owned()),
            Some(Switch::On) => match known {
                Some(known) if is_datagram && !known.datagrams => Obeys::Nothing,
                None if is_datagram => {
                    Obeys::Perhaps("whether it asks about datagrams is not known".to_owned())
                }
                None if known::is_interpreter(file) => {
                    Obeys::Perhaps("the program it interprets chooses whether and as whom it asks".to_owned())
                }
                None if !library.through.is_empty() => {
                    let library = library.through[library.through.len() - 1].display();
                    Obeys::Perhaps(format!("the library {library} asks, in some of its functions"))
                }
                _ if library.is_guessed => Obeys::Perhaps(NAMES_TABLES.to_owned()),
                _ => Obeys::Libwrap(library),
            },
        }
    }
}

/// Does a program that is not linked with libwrap load something that asks for it, as far as is known?
fn is_known_to_load(program: &Path) -> bool {
    let file = program.as_os_str().as_bytes();
    known::of(file).is_some() || known::is_interpreter(file)
}

/// Why the files that were read say nothing of this super server.
fn reads_another_configuration(process: &Process, starter: Starter, is_elsewhere: bool) -> Option<String> {
    let arguments = process.arguments.get(1..).unwrap_or_default();
    let named = match starter {
        Starter::Systemd => None,
        Starter::Inetd => arguments.last().filter(|last| last.starts_with(b"/")),
        Starter::Xinetd => {
            let at = arguments.iter().position(|argument| argument == b"-f");
            at.and_then(|at| arguments.get(at + 1))
        }
    };
    let usual = match starter {
        Starter::Systemd => &[][..],
        Starter::Inetd => &inetd::PLACES[..],
        Starter::Xinetd => &[xinetd::CONFIGURATION][..],
    };
    let named = named.filter(|named| usual.iter().all(|usual| usual.as_bytes() != &named[..]));
    match named {
        Some(named) => Some(format!(
            "it reads another configuration, {}",
            String::from_utf8_lossy(named)
        )),
        None => (is_elsewhere && starter != Starter::Systemd)
            .then(|| "its configuration is in another file system than this one's".to_owned()),
    }
}

fn holds_it_too(process: &Process) -> String {
    let name = match &process.program {
        Some(program) => program.display().to_string(),
        None => String::from_utf8_lossy(&process.name).into_owned(),
    };
    format!(
        "process {}, {name}, holds this socket too, and nothing makes it obey",
        process.id
    )
}

/// Does the service get its clients from this socket?
fn is_at(service: &Service, socket: &Socket) -> bool {
    service.listens.iter().any(|listen| {
        let is_stream = socket.protocol == Protocol::Tcp;
        let port = str::from_utf8(&listen.port)
            .ok()
            .and_then(|port| service_port(port, socket.protocol.as_str()));
        listen.is_stream == is_stream && port == Some(socket.address.port())
    })
}

/// The program of a process, or what it calls itself.
fn program_of(process: &Process) -> Vec<u8> {
    match &process.program {
        Some(program) => program.as_os_str().as_bytes().to_vec(),
        None => own_name(process),
    }
}

/// What a process is called: its program, or, where that cannot be seen, what it says of itself. A title that it has
/// given itself, as `sshd: /usr/sbin/sshd [listener]`, begins with its name.
fn own_name(process: &Process) -> Vec<u8> {
    if let Some(program) = &process.program {
        return base_name(program.as_os_str().as_bytes()).to_vec();
    }
    let title = process.arguments.first().map_or(&process.name[..], Vec::as_slice);
    let end = memchr::memmem::find(title, b": ").unwrap_or(title.len());
    let first = title[..end]
        .split(|byte| *byte == b' ')
        .next()
        .unwrap_or_default();
    base_name(first.strip_suffix(b":").unwrap_or(first)).to_vec()
}

/// Has the process another `/etc` than this one, or other tables in it, or none?
pub fn is_elsewhere(id: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // Nothing where there is no such file; an error where that cannot be known.
    let place = |path: &Path| match std::fs::metadata(path) {
        Ok(facts) => Ok(Some((facts.dev(), facts.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.kind()),
    };
    let differs = |path: &str| {
        let its = place(&in_root(id, Path::new(path)));
        its.is_ok() && its != place(Path::new(path))
    };
    let paths = ["/etc", hosts_access::ALLOW_TABLE, hosts_access::DENY_TABLE];
    // A table may be replaced between two looks.
    std::fs::metadata(format!("/proc/{id}/root")).is_ok() && (0..2).all(|_| paths.into_iter().any(differs))
}
