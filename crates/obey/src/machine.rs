//! This machine: what obeys a rule that names a daemon, and what obeys no rule.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hosts_access::{Diagnostic, Place};
use system::services::{Guard, PROGRAM_DIRECTORIES, Services, Starter, base_name, program};

use crate::elf;
use crate::known::{self, Asks, Switch};
use crate::linkage::{self, How, Linkage, Linker};
use crate::process::{self, Process};
use crate::run::{self, Attached};

/// Who asks the tables under a daemon's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The guard of `tcpwrap run`, with this process id.
    Run(u32),
    /// The guard of `tcpwrap run`, when this unit is started.
    Unit(String),
    /// tcpd, started by a super server.
    Tcpd(Starter, Place),
    /// The super server itself.
    SuperServer(Starter, Place),
    /// The program, through libwrap.
    Libwrap(PathBuf, Linkage),
    /// The program, through another program or module that it uses, which has libwrap.
    Helper(PathBuf, PathBuf, Linkage),
}

/// What becomes of a rule that names a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This asks under that name.
    Obeyed(By),
    /// The program has libwrap, and whether it asks is not certain: here is what it depends on.
    Perhaps(PathBuf, String),
    /// The program has libwrap and does not use it: here is why.
    Off(PathBuf, String),
    /// The program asks, but under these names.
    OtherName(PathBuf, Vec<Vec<u8>>),
    /// A super server starts it, and nothing asks.
    Bare(Starter, Place),
    /// The program is here, and nothing asks for it.
    Unguarded(PathBuf),
    /// Nothing here goes by that name.
    Unknown,
}

/// A program that may ask under other names than its own.
#[derive(Debug)]
struct Candidate {
    program: PathBuf,
    arguments: Vec<Vec<u8>>,
    asks: Vec<Asks>,
}

/// What is known of this machine.
#[derive(Debug)]
pub struct Machine {
    pub(crate) services: Services,
    pub(crate) linker: Linker,
    processes: OnceCell<Vec<Process>>,
    candidates: OnceCell<Vec<Candidate>>,
    /// By what programs ask, as far as that was asked for.
    found: RefCell<HashMap<PathBuf, Option<By>>>,
    attached: OnceCell<Vec<Attached>>,
}

impl Machine {
    /// Reads what super servers are configured to start: `inetd_conf`, or the usual file.
    ///
    /// # Errors
    /// Where `inetd_conf` is given and cannot be read.
    pub fn of_this_host(inetd_conf: Option<&Path>) -> io::Result<Self> {
        let linker = Linker::of_this_host();
        let services = Services::of_this_host(inetd_conf, &|program, launch| {
            let path = launch.library_path.as_deref().unwrap_or_default();
            let arguments: Vec<Vec<u8>> = launch.name.iter().cloned().collect();
            let asks = asks_itself(&linker, program, &linkage::directories(path, program));
            asks && !is_off(&known::asks(program, &arguments))
        })?;
        Ok(Machine {
            services,
            linker,
            processes: OnceCell::new(),
            candidates: OnceCell::new(),
            found: RefCell::default(),
            attached: OnceCell::new(),
        })
    }

    /// What super servers are configured to start.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// Follows programs to libwrap.
    pub fn linker(&self) -> &Linker {
        &self.linker
    }

    /// What is wrong with the files that say what is started.
    pub fn problems(&self) -> &[Diagnostic] {
        &self.services.problems
    }

    /// The processes of this machine, as they were when they were first asked for.
    pub fn processes(&self) -> &[Process] {
        self.processes.get_or_init(|| {
            process::all()
                .into_iter()
                .filter_map(|id| Process::read(id).ok())
                .collect()
        })
    }

    /// The guards of `tcpwrap run`.
    pub fn guards(&self) -> impl Iterator<Item = run::Guard> {
        self.processes().iter().filter_map(run::Guard::of)
    }

    /// The units set up for `tcpwrap run`.
    pub fn attached(&self) -> &[Attached] {
        self.attached.get_or_init(run::attached)
    }

    /// Does the unit run its program without a guard, as it does until it is started anew?
    fn runs_bare(&self, attached: &Attached) -> bool {
        let program = attached.command.program.as_deref().unwrap_or_default();
        self.processes().iter().any(|process| {
            let file = process.program.as_deref().map(|path| path.as_os_str().as_bytes());
            process.unit() == Some(attached.unit.as_bytes())
                && file.is_some_and(|file| base_name(file) == base_name(program))
                && !process.is_filtered
        })
    }

    /// What obeys rules for this daemon.
    pub fn daemon(&self, name: &[u8]) -> Answer {
        let is_it = |known: &[u8]| known.eq_ignore_ascii_case(name);
        let guards = |guard: &run::Guard| guard.label.as_ref().is_some_and(|label| is_it(&label.name));
        if let Some(guard) = self.guards().find(guards) {
            return Answer::Obeyed(By::Run(guard.process.id));
        }
        if let Some(attached) = self
            .attached()
            .iter()
            .find(|attached| is_it(&attached.command.name) && !self.runs_bare(attached))
        {
            return Answer::Obeyed(By::Unit(attached.unit.clone()));
        }
        // The weakest of several counts.
        let service = self
            .services
            .named(name)
            .min_by_key(|service| self.guard_of(service));
        if let Some(service) = service {
            let (starter, place) = (service.starter, service.place.clone());
            return match (self.guard_of(service), &service.program) {
                (Guard::Tcpd, _) => Answer::Obeyed(By::Tcpd(starter, place)),
                (Guard::Libwrap, Some(program)) if starter == Starter::Systemd => {
                    self.program(name, Path::new(OsStr::from_bytes(program)), &[])
                }
                (Guard::Libwrap, _) => Answer::Obeyed(By::SuperServer(starter, place)),
                (Guard::Nobody, _) => Answer::Bare(starter, place),
            };
        }
        self.by_its_own(name)
    }

    /// A daemon that no super server starts.
    fn by_its_own(&self, name: &[u8]) -> Answer {
        // Whoever asks under the name is enough, and most do under their own.
        if let Some(program) = program(name)
            && let found @ Answer::Obeyed(_) = self.program(name, &program, &[])
        {
            return found;
        }
        let is_it = |asks: &Asks| asks.name.eq_ignore_ascii_case(name);
        let asking = self
            .candidates()
            .iter()
            .filter(|candidate| candidate.asks.iter().any(is_it));
        let mut uncertain = None;
        for Candidate {
            program, arguments, ..
        } in asking
        {
            match self.program(name, program, arguments) {
                found @ Answer::Obeyed(_) => return found,
                found => uncertain = uncertain.or(Some(found)),
            }
        }
        let installed = || program(name).or_else(|| program(&[b"in.", name].concat()));
        match (uncertain, installed()) {
            (Some(found), _) => found,
            (None, Some(program)) => self.program(name, &program, &[]),
            (None, None) => self.running(name).unwrap_or(Answer::Unknown),
        }
    }

    /// A program that runs, wherever it is installed.
    fn running(&self, name: &[u8]) -> Option<Answer> {
        self.processes().iter().find_map(|process| {
            let program = process.program.as_deref()?;
            let own = base_name(program.as_os_str().as_bytes());
            own.eq_ignore_ascii_case(name)
                .then(|| self.program(name, program, &process.arguments))
        })
    }

    /// The programs of the table, those that run first.
    fn candidates(&self) -> &[Candidate] {
        self.candidates.get_or_init(|| {
            let running = self.processes().iter().filter_map(|process| {
                let program = process.program.clone()?;
                known::of(program.as_os_str().as_bytes())?;
                Some((program, process.arguments.clone()))
            });
            let installed = known::installed().map(|(_, program)| (program, Vec::new()));
            let all = running.chain(installed);
            all.map(|(program, arguments)| Candidate {
                asks: known::asks(&program, &arguments),
                program,
                arguments,
            })
            .collect()
        })
    }

    /// Does this program ask under this name?
    pub fn program(&self, name: &[u8], program: &Path, arguments: &[Vec<u8>]) -> Answer {
        let path = program.to_path_buf();
        let Some(by) = self.by(program) else {
            return Answer::Unguarded(path);
        };
        let asks = known::asks(program, arguments);
        let is_it = |asks: &&Asks| asks.name.eq_ignore_ascii_case(name);
        let Some(found) = asks.iter().find(is_it) else {
            let names = asks.iter().filter(|asks| !matches!(asks.switch, Switch::Off(_)));
            let mut names: Vec<Vec<u8>> = names.map(|asks| asks.name.clone()).collect();
            names.dedup();
            return match (names.is_empty(), asks.first()) {
                (
                    true,
                    Some(Asks {
                        switch: Switch::Off(why),
                        ..
                    }),
                ) => Answer::Off(path, why.clone()),
                (true, _) => Answer::Unguarded(path),
                (false, _) => Answer::OtherName(path, names),
            };
        };
        match &found.switch {
            Switch::Off(why) => Answer::Off(path, why.clone()),
            Switch::Unknown(why) => Answer::Perhaps(path, why.clone()),
            Switch::On => match uncertain(&by) {
                Some(why) => Answer::Perhaps(path, why),
                None => Answer::Obeyed(by),
            },
        }
    }

    /// By what a program can ask, whether or not it is switched on.
    pub fn by(&self, program: &Path) -> Option<By> {
        if let Some(known) = self.found.borrow().get(program) {
            return known.clone();
        }
        let by = self.find(program);
        self.found.borrow_mut().insert(program.to_path_buf(), by.clone());
        by
    }

    fn find(&self, program: &Path) -> Option<By> {
        let file = program.as_os_str().as_bytes();
        if known::never_asks(file).is_some() {
            return None;
        }
        // The file that is run, where this is a link to it.
        if let Some(linkage) = self.linker.linkage(program, &[]).filter(can_ask) {
            return Some(By::Libwrap(program.to_path_buf(), linkage));
        }
        let mut helpers = known::of(file)?.helpers();
        helpers.find_map(|helper| {
            // Another build of the program has helpers of its own, elsewhere.
            let directory = helper.parent()?.as_os_str().as_bytes();
            let [is_its] = elf::holds(program, [directory]).ok()?;
            let linkage = self
                .linker
                .linkage(helper, &[])
                .filter(|linkage| is_its && can_ask(linkage))?;
            Some(By::Helper(program.to_path_buf(), helper.to_path_buf(), linkage))
        })
    }

    /// What is uncertain about a program that has libwrap, whatever its configuration says.
    pub fn uncertainty(&self, program: &Path) -> Option<String> {
        uncertain(&self.by(program)?)
    }

    /// Who guards what a super server starts. Debian's inetd may ask by itself.
    pub(crate) fn guard_of(&self, service: &system::services::Service) -> Guard {
        match (service.guard, service.starter) {
            // What is asked once, and not for each client, guards none of them.
            (Guard::Tcpd, _) | (Guard::Libwrap, Starter::Inetd | Starter::Xinetd)
                if service.accepts_itself() =>
            {
                Guard::Nobody
            }
            (Guard::Nobody, Starter::Inetd) if !service.waits && self.inetd_asks() => Guard::Libwrap,
            (guard, _) => guard,
        }
    }

    fn inetd_asks(&self) -> bool {
        self.processes().iter().any(|process| {
            let Some(program) = process.program.as_deref() else {
                return false;
            };
            base_name(program.as_os_str().as_bytes()) == b"inetd"
                && self.by(program).is_some()
                && !is_off(&known::asks(program, &process.arguments))
        })
    }
}

fn asks_itself(linker: &Linker, program: &Path, library_path: &[PathBuf]) -> bool {
    known::never_asks(program.as_os_str().as_bytes()).is_none()
        && linker
            .linkage(program, library_path)
            .is_some_and(|linkage| can_ask(&linkage))
}

fn is_off(asks: &[Asks]) -> bool {
    !asks.is_empty() && asks.iter().all(|asks| matches!(asks.switch, Switch::Off(_)))
}

/// Does it call what decides? To prepare a request alone decides nothing.
fn can_ask(linkage: &Linkage) -> bool {
    linkage.how != How::Missing && decides(linkage)
}

/// The same of a program that has found its libwrap.
pub(crate) fn decides(linkage: &Linkage) -> bool {
    match linkage.how {
        How::NamesTables | How::LoadsLater => true,
        How::Needed | How::Contained | How::Missing => {
            linkage.calls.iter().any(|call| *call != "request_init")
        }
    }
}

/// What is uncertain about a program in which nothing else is found.
pub(crate) const NAMES_TABLES: &str = "it names both tables, so something like libwrap seems to be built in";

/// What is uncertain about that.
fn uncertain(by: &By) -> Option<String> {
    let By::Libwrap(program, linkage) = by else {
        return None;
    };
    let is_known = known::of(program.as_os_str().as_bytes()).is_some();
    match linkage.how {
        How::LoadsLater => {
            Some("it can load libwrap, and only its configuration says whether it does".to_owned())
        }
        How::NamesTables => Some(NAMES_TABLES.to_owned()),
        _ if !linkage.through.is_empty() && !is_known => {
            let library = linkage.through.last()?.display();
            Some(format!("the library {library} asks, in some of its functions"))
        }
        _ => None,
    }
}

/// Where programs that serve are looked for, when nothing else is named.
pub fn program_directories() -> impl Iterator<Item = &'static Path> {
    let more = [
        "/usr/lib/openssh",
        "/usr/lib/dovecot",
        "/usr/lib/proftpd",
        "/usr/lib/cyrus/bin",
        "/usr/local/libexec",
    ];
    let all = PROGRAM_DIRECTORIES.into_iter().chain(more).map(Path::new);
    let mut seen = Vec::new();
    all.filter(move |path| {
        path.canonicalize().is_ok_and(|real| {
            let is_new = !seen.contains(&real);
            seen.push(real);
            is_new
        })
    })
}
