//! The reference library, driven by a small C program.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program `reference.c`, built against the system's libwrap.
pub struct Reference {
    program: PathBuf,
}

impl Reference {
    /// Builds it in `directory`. Needs `cc` and the package `libwrap0-dev`.
    pub fn build(directory: &Path) -> Result<Self, String> {
        let program = directory.join("reference");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference.c");
        let status = Command::new("cc")
            .arg("-O2")
            .arg("-o")
            .arg(&program)
            .arg(source)
            .arg("-lwrap")
            .status();
        match status {
            Ok(status) if status.success() => Ok(Reference { program }),
            Ok(status) => Err(format!("cc: {status}: is libwrap0-dev installed?")),
            Err(error) => Err(format!("cc: {error}")),
        }
    }

    /// Nanoseconds a decision, with the tables of `directory`, over `clients`.
    pub fn nanoseconds(
        &self,
        directory: &Path,
        name: &str,
        rounds: usize,
        clients: &[String],
    ) -> Result<f64, String> {
        let output = Command::new(&self.program)
            .arg(directory.join("hosts.allow"))
            .arg(directory.join("hosts.deny"))
            .args(["sshd", name, &rounds.to_string()])
            .args(clients)
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.split_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .ok_or_else(|| format!("no figure: {text}"))
    }
}
