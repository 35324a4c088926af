//! The two libraries that programs are run on in turn, and what they are built and inspected with.
//!
//! Needs root and the packages in `packages.txt`; our library is built by `cargo xtask test`.

#![forbid(unsafe_code)]

mod visits;

pub use visits::{Service, visit};

use std::path::{Path, PathBuf};
use std::process::Command;

use support::run;

/// Whose libwrap.so.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Debian's.
    Reference,
    /// Ours.
    Ours,
}

/// Both, the reference first.
pub const BOTH: [Whose; 2] = [Whose::Reference, Whose::Ours];

impl Whose {
    /// The directory its libraries, shared and static, are in.
    pub fn directory(self) -> PathBuf {
        match self {
            // Where Debian puts it depends on the machine: the compiler knows.
            Whose::Reference => {
                let found = said(Command::new("cc").arg("-print-file-name=libwrap.so.0"));
                let path = Path::new(found.trim())
                    .canonicalize()
                    .expect("libwrap0 is installed");
                path.parent().expect("a file's path").to_path_buf()
            }
            Whose::Ours => {
                let path = support::library("usr/lib/libwrap.so.0");
                path.parent().expect("a file's path").to_path_buf()
            }
        }
    }

    /// The shared library.
    pub fn shared(self) -> PathBuf {
        self.directory().join("libwrap.so.0")
    }

    /// The directory of its header.
    pub fn include(self) -> PathBuf {
        match self {
            Whose::Reference => "/usr/include".into(),
            Whose::Ours => {
                let path = support::library("usr/include/tcpd.h");
                path.parent().expect("a file's path").to_path_buf()
            }
        }
    }

    /// A program that will run on this library.
    pub fn command(self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env("LD_LIBRARY_PATH", self.directory());
        command
    }
}

/// A C or C++ source of this package.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("c").join(name)
}

/// What a command writes to its standard output. It must succeed.
///
/// # Panics
///
/// When it does not.
#[track_caller]
pub fn said(command: &mut Command) -> String {
    String::from_utf8_lossy(&run(command).stdout).into_owned()
}

/// A C program of this package, built to run on either library.
///
/// # Panics
///
/// When it cannot be built.
pub fn build(directory: &Path, name: &str) -> PathBuf {
    let program = directory.join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-DINET6", "-O1", "-g", "-Wall", "-Werror", "-pthread", "-I"]);
    compiler
        .arg(Whose::Ours.include())
        .arg(source(&format!("{name}.c")));
    compiler.arg("-o").arg(&program);
    run(compiler.arg("-L").arg(Whose::Ours.directory()).arg("-lwrap"));
    program
}
