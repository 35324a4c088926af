//! Our side: the engine, telling what it does in the driver's words.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hosts_access::host::expand;
use hosts_access::{
    Cause, Diagnostic, Effect, Fact, Host, Kind, Known, Outcome, Place, Policy, Request, Side, Tables,
    Verdict,
};

use crate::case::{Case, line};

/// Which of the engine's two ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Tables scanned once.
    Scan,
    /// A compiled policy.
    Policy,
}

/// Writes the case's files to `directory` and lets the engine decide.
///
/// # Panics
/// Where the files cannot be written.
pub fn ask(case: &Case, directory: &Path, way: Way) -> Vec<String> {
    write_files(case, directory);
    let lines = RefCell::new(Vec::new());
    let mut host = CaseHost {
        case,
        lines: &lines,
        timeout: 10,
    };
    let mut request = Request::new(case.daemon.as_str())
        .verbose(case.verbose)
        .process("4711")
        .resident(case.resident);
    if !case.lookup {
        request = request
            .known_address(Side::Client, case.client_address.as_str())
            .known_address(Side::Server, case.server_address.as_str());
        // An empty name or user means one not looked up yet.
        if !case.client_name.is_empty() {
            request = request.known_name(Side::Client, case.client_name.as_str());
        }
        if !case.server_name.is_empty() {
            request = request.known_name(Side::Server, case.server_name.as_str());
        }
        if !case.user.is_empty() {
            request = request.known_user(case.user.as_str());
        }
    }
    let tables = Tables::in_directory(directory);
    let decision = match way {
        Way::Scan => tables.decide(&mut request, &mut host),
        Way::Policy => Policy::new(tables).decide(&mut request, &mut host),
    };
    let say = |word: &str, text: &[u8]| lines.borrow_mut().push(line(word, text));
    // After a twist the process is the command's.
    if decision.verdict != Verdict::Delegated {
        say("verdict", if decision.verdict.is_granted() { b"1" } else { b"0" });
        let severity = decision.severity.map(|s| s.0);
        say(
            "severity",
            format!("{} {}", severity.unwrap_or(6), severity.unwrap_or(4)).as_bytes(),
        );
        let banners = decision.effects.iter().filter_map(|effect| match effect {
            Effect::Banner { text, .. } => Some(text.as_slice()),
            _ => None,
        });
        let banner = banners.collect::<Vec<_>>().concat();
        if !banner.is_empty() {
            say("banner", &banner);
        }
        if !case.expand.is_empty() {
            let text = expand(&case.expand, &mut request, &mut host);
            say("expanded", &text);
        }
    }
    say("end", b"0");
    lines.into_inner()
}

fn write_files(case: &Case, directory: &Path) {
    let path = directory.to_string_lossy();
    let write = |name: &str, text: Option<Vec<u8>>| {
        let file = directory.join(name);
        let _ = std::fs::remove_file(&file);
        if let Some(text) = text {
            std::fs::write(file, text).expect("a case's files can be written");
        }
    };
    write(
        "hosts.allow",
        case.allow.as_ref().map(|text| case.text(text, &path)),
    );
    write(
        "hosts.deny",
        case.deny.as_ref().map(|text| case.text(text, &path)),
    );
    write("list", Some(case.text(&case.list, &path)));
    write(&format!("banners/{}", case.daemon), case.banner.clone());
}

struct CaseHost<'c> {
    case: &'c Case,
    lines: &'c RefCell<Vec<String>>,
    /// Seconds to wait for an ident reply.
    timeout: u32,
}

impl CaseHost<'_> {
    fn say(&self, word: &str, text: impl AsRef<[u8]>) {
        self.lines.borrow_mut().push(line(word, text.as_ref()));
    }
}

impl Host for CaseHost<'_> {
    fn address(&mut self, side: Side, _at: Option<&Place>) -> Vec<u8> {
        match side {
            Side::Client => self.case.client_address.clone().into(),
            Side::Server => self.case.server_address.clone().into(),
        }
    }

    fn name(&mut self, side: Side, _address: &[u8], _at: Option<&Place>) -> Vec<u8> {
        let (what, name) = match side {
            Side::Client => ("client name", &self.case.client_name),
            Side::Server => ("server name", &self.case.server_name),
        };
        self.say("lookup", what);
        name.clone().into()
    }

    fn port(&mut self, side: Side) -> Option<u16> {
        let server = self.case.server_port?;
        Some(if side == Side::Client { 1042 } else { server })
    }

    fn user(&mut self, _at: Option<&Place>) -> Vec<u8> {
        if self.case.server_port.is_none() {
            // Nowhere to ask.
            return hosts_access::UNKNOWN.to_vec();
        }
        self.say("lookup", "user");
        self.say("timeout", self.timeout.to_string());
        self.case.user.clone().into()
    }

    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        group == b"group" && host == b"host.example.org"
    }

    fn fact(&mut self, _fact: &Fact, _client: Option<IpAddr>, _at: Option<&Place>) -> Known {
        Err(Cause::new("the reference has no such question"))
    }

    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>> {
        let path = Path::new(OsStr::from_bytes(directory));
        let banner = std::fs::read(path.join(OsStr::from_bytes(daemon))).ok();
        if banner.is_none() && !path.is_dir() {
            let text = [directory, b": No such file or directory"].concat();
            self.log(&Diagnostic::new(Kind::Warning, at.cloned(), text));
        }
        banner
    }

    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome {
        match effect {
            Effect::Spawn(command) => self.say("spawn", command),
            Effect::Twist(command) => self.say("twist", command),
            Effect::Aclexec(command) => {
                self.say("aclexec", command);
                if command.starts_with(b"kill") {
                    let text = "process N exited with signal 9";
                    self.log(&Diagnostic::new(Kind::Warning, at.cloned(), text));
                }
                return if command.starts_with(b"true") {
                    Outcome::Done
                } else {
                    Outcome::Failed
                };
            }
            Effect::Keepalive => self.say("socket", "keepalive"),
            Effect::Linger(seconds) => self.say("socket", format!("linger {seconds}")),
            Effect::Nice(number) => self.say("nice", number.to_string()),
            Effect::Umask(mask) => self.say("umask", format!("{mask:03o}")),
            Effect::Setenv { name, value } => {
                self.say("setenv", name);
                self.say("value", value);
            }
            Effect::User { user, group } => self.say(
                "user",
                [user.as_slice(), b".", group.as_deref().unwrap_or_default()].concat(),
            ),
            Effect::Group(group) => self.say("group", group),
            // Sent banners are shown with the verdict.
            Effect::Banner { .. } => {}
            Effect::IdentTimeout(seconds) => self.timeout = *seconds,
            Effect::Ban(_) => panic!("the reference bans nobody"),
        }
        Outcome::Done
    }

    fn log(&mut self, diagnostic: &Diagnostic) {
        let level = match diagnostic.kind {
            Kind::Error | Kind::Warning => "log 3",
            Kind::Info => "log 6",
            Kind::Debug => "log 7",
        };
        self.say(level, diagnostic.line());
    }
}
