//! `cargo xtask bench [NAME]`: the programs of the package `benches`, in release form.

use std::fs;

use crate::shell::{Result, cargo, root, run};

/// Runs one benchmark, or all of them in the order of their names.
pub fn run_benches(name: Option<&str>, arguments: &[String]) -> Result<()> {
    let directory = root().join("benches/src/bin");
    let entries = fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    if let Some(name) = name {
        if !names.iter().any(|known| known == name) {
            return Err(format!("no benchmark {name}; there are: {}", names.join(", ")));
        }
        names = vec![name.to_owned()];
    }
    for name in names {
        println!("== {name}");
        let mut command = cargo();
        command.args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "benches",
            "--bin",
            &name,
            "--",
        ]);
        run(command.args(arguments))?;
    }
    Ok(())
}
