//! The C side: `driver.c` on some libwrap.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::case::Case;
use crate::cc;

/// The driver's program, in the target directory.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

/// Builds it where it is missing or older than its sources.
fn build() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = here.join("driver.c");
    let test = std::env::current_exe().expect("a test program has a path");
    let target = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let program = target.join("compat-driver");
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    if modified(&program) > modified(&source).max(modified(&here.join("replace.h"))) {
        return program;
    }
    // Tests run beside each other: build under another name, then put it in place.
    let fresh = target.join(format!("compat-driver-{}", std::process::id()));
    cc::build(&source, &fresh);
    std::fs::rename(&fresh, &program).expect("a program in the target directory");
    program
}

/// The driver, at work in a directory of its own.
pub struct Driver {
    program: &'static Path,
    directory: PathBuf,
    library: Option<PathBuf>,
}

impl Driver {
    /// The driver on the system's libwrap, to work in `directory`.
    ///
    /// # Panics
    /// Where it cannot be built: the suite needs a C compiler and `libwrap0-dev`.
    pub fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory.join("banners")).expect("the banner directory can be made");
        Driver {
            program: program(),
            directory: directory.to_path_buf(),
            library: None,
        }
    }

    /// Runs on the libwrap.so.0 in `library` rather than the system's.
    pub fn on(mut self, library: &Path) -> Self {
        self.library = Some(library.to_path_buf());
        self
    }

    /// What it says to each case.
    ///
    /// # Panics
    /// Where the driver does not answer every case.
    pub fn ask(&self, cases: &[Case]) -> Vec<Vec<String>> {
        let directory = self.directory.to_string_lossy().into_owned();
        let questions = self.directory.join("cases");
        let mut file = File::create(&questions).expect("the cases can be written");
        for case in cases {
            file.write_all(&encode(case, &directory))
                .expect("the cases can be written");
        }
        drop(file);
        let mut command = Command::new(self.program);
        command
            .arg(&self.directory)
            .stdin(File::open(&questions).expect("the cases can be read"));
        if let Some(library) = &self.library {
            command.env("LD_LIBRARY_PATH", library);
        }
        let output = command.output().expect("the driver runs");
        assert!(
            output.status.success(),
            "driver: {} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut answers = vec![Vec::new()];
        for line in text.lines() {
            let ends = line.starts_with("end ");
            answers.last_mut().expect("never empty").push(line.to_owned());
            if ends {
                answers.push(Vec::new());
            }
        }
        answers.pop();
        assert_eq!(answers.len(), cases.len(), "an answer to each case");
        answers
    }
}

fn encode(case: &Case, directory: &str) -> Vec<u8> {
    let table = |text: &Option<Vec<u8>>| match text {
        Some(text) => case.text(text, directory),
        None => b"-".to_vec(),
    };
    let fields: [Vec<u8>; 15] = [
        table(&case.allow),
        table(&case.deny),
        case.text(&case.list, directory),
        case.daemon.clone().into_bytes(),
        case.client_address.clone().into_bytes(),
        case.client_name.clone().into_bytes(),
        case.user.clone().into_bytes(),
        case.server_address.clone().into_bytes(),
        case.server_name.clone().into_bytes(),
        case.server_port
            .map_or("-".into(), |port| port.to_string())
            .into_bytes(),
        (if case.lookup { "1" } else { "0" }).into(),
        case.verbose.to_string().into_bytes(),
        case.expand.clone(),
        case.banner.clone().unwrap_or_else(|| b"-".to_vec()),
        (if case.resident { "1" } else { "0" }).into(),
    ];
    let mut out = Vec::new();
    for field in fields {
        out.extend_from_slice(format!("{}:", field.len()).as_bytes());
        out.extend_from_slice(&field);
        out.push(b',');
    }
    out
}

/// Does the reference lack what the case is about? See [`support::reference_knows_netgroups`].
pub fn has_no_say(answer: &[String]) -> bool {
    answer.iter().any(|line| line.ends_with(support::NO_NETGROUPS))
}

/// An answer without what is known and allowed to differ in every case: the number of the line without
/// a newline at its end (deviation 19), the ids of processes, and the log line of a twist, which is the
/// program's to write here.
pub fn comparable(answer: &[String]) -> Vec<String> {
    let is_twist = |line: &&String| {
        let logged = line.strip_prefix("log ").and_then(|rest| rest.split_once(' '));
        logged.is_some_and(|(_, text)| text.starts_with("twist "))
    };
    let plain = |line: &String| {
        if line.ends_with("missing newline or line too long")
            || line.ends_with("all the subsequent rules will be ignored")
        {
            without_number(line, ", line ")
        } else if line.contains(": process ") && line.contains(" exited with signal ") {
            without_number(line, ": process ")
        } else {
            line.clone()
        }
    };
    answer.iter().filter(|line| !is_twist(line)).map(plain).collect()
}

/// A line with `N` for the number after these words.
fn without_number(line: &str, words: &str) -> String {
    match line.split_once(words) {
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == 'N');
            format!("{before}{words}N{after}")
        }
        None => line.to_owned(),
    }
}
