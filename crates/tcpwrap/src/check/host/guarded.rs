//! Which daemons are here, and which of them ask the tables.

use std::path::PathBuf;

use analysis::check::{Code, host as codes, quoted};
use hosts_access::Diagnostic;
use system::services::{Guard, Services, base_name, program, uses_libwrap};

/// What is known of this machine's daemons.
pub(super) struct Guards {
    services: Services,
    /// Programs that `tcpwrap run` guards, by process or by unit.
    run: Vec<Vec<u8>>,
}

impl Guards {
    pub(super) fn of_this_host() -> Self {
        Guards {
            services: Services::of_this_host(None).unwrap_or_default(),
            run: run_by_tcpwrap(),
        }
    }

    /// What is wrong with a daemon's name on this machine.
    pub(super) fn judge(&self, name: &[u8]) -> Option<(&'static Code, String)> {
        // Names that sshd itself asks about when it forwards.
        if name.starts_with(b"sshdfwd-") || name.starts_with(b"sshfwd-") {
            return self.judge(b"sshd");
        }
        if self.run.iter().any(|n| n.eq_ignore_ascii_case(name)) {
            return None;
        }
        let shown = quoted(name);
        match self.services.guard(name) {
            Some(Guard::Tcpd | Guard::Libwrap) => return None,
            Some(Guard::Nobody) => {
                let message = format!(
                    "{shown} is started without tcpd and does not use libwrap, so nothing obeys this"
                );
                return Some((&codes::UNGUARDED, message));
            }
            None => {}
        }
        match find(name) {
            None => Some((
                &codes::NO_PROGRAM,
                format!("no program or service here is called {shown}"),
            )),
            Some(path) if uses_libwrap(&path) || loads_libwrap(&path) => None,
            Some(path) => Some((
                &codes::UNGUARDED,
                format!(
                    "{} does not use libwrap and is not run under `tcpwrap run`, so nothing obeys this",
                    path.display()
                ),
            )),
        }
    }

    /// What is wrong with the files that say what is started.
    pub(super) fn problems(&self) -> &[Diagnostic] {
        &self.services.problems
    }
}

fn find(name: &[u8]) -> Option<PathBuf> {
    program(name).or_else(|| program(&[b"in.", name].concat()))
}

/// A script that starts the program proper is not looked into; a library it names may be.
fn loads_libwrap(path: &std::path::Path) -> bool {
    path.canonicalize()
        .is_ok_and(|real| real != path && uses_libwrap(&real))
}

/// The base names of programs under `tcpwrap run`: those running now, and those of units set up so.
fn run_by_tcpwrap() -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_process = entry
            .file_name()
            .to_string_lossy()
            .bytes()
            .all(|b| b.is_ascii_digit());
        if is_process && let Ok(line) = std::fs::read(entry.path().join("cmdline")) {
            let words: Vec<&[u8]> = line.split(|b| *b == 0).filter(|w| !w.is_empty()).collect();
            names.extend(guarded_name(&words));
        }
    }
    for directory in system::services::systemd::UNIT_DIRECTORIES {
        units(std::path::Path::new(directory), 0, &mut names);
    }
    names
}

/// Units and their drop-ins.
fn units(directory: &std::path::Path, depth: usize, names: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if depth == 0 && name.ends_with(".service.d") {
            units(&path, 1, names);
        } else if (name.ends_with(".service") || depth == 1 && name.ends_with(".conf"))
            && let Ok(text) = std::fs::read(&path)
        {
            for line in text
                .split(|b| *b == b'\n')
                .filter_map(|l| l.strip_prefix(b"ExecStart="))
            {
                let words: Vec<&[u8]> = line
                    .split(u8::is_ascii_whitespace)
                    .filter(|w| !w.is_empty())
                    .collect();
                names.extend(guarded_name(&words));
            }
        }
    }
}

/// The daemon's name in `tcpwrap run [--name NAME] … -- PROGRAM …`.
fn guarded_name(words: &[&[u8]]) -> Option<Vec<u8>> {
    let [command, b"run", rest @ ..] = words else {
        return None;
    };
    if base_name(command) != b"tcpwrap" {
        return None;
    }
    let end = rest.iter().position(|w| *w == b"--")?;
    let mut options = rest[..end].iter();
    while let Some(word) = options.next() {
        if *word == b"--name" {
            return options.next().map(|name| name.to_vec());
        }
        if let Some(name) = word.strip_prefix(b"--name=") {
            return Some(name.to_vec());
        }
    }
    rest.get(end + 1).map(|program| base_name(program).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_under_run() {
        let name = |text: &str| guarded_name(&text.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        assert_eq!(
            name("/usr/bin/tcpwrap run -- /usr/sbin/nginx -g x"),
            Some(b"nginx".to_vec())
        );
        assert_eq!(name("tcpwrap run --name web -- nginx"), Some(b"web".to_vec()));
        assert_eq!(name("tcpwrap run --name=web -- nginx"), Some(b"web".to_vec()));
        assert_eq!(name("tcpwrap check -- nginx"), None);
    }
}
