//! `cargo xtask dist`: what is to be installed, laid out as below `/`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::libwrap;
use crate::shell::{Result, cargo, read, root, run, target};

/// How to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quickly, for tests. Goes to `target/debug/dist`.
    Dev,
    /// For users. Goes to `target/dist`.
    Release,
}

impl Profile {
    fn directory(self) -> PathBuf {
        match self {
            Profile::Dev => target().join("debug/dist"),
            Profile::Release => target().join("dist"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Release => "release",
        }
    }
}

/// Where the programs of a package go.
const PROGRAMS: [(&str, &str); 2] = [("tcpd", "usr/sbin"), ("tcpwrap", "usr/bin")];

/// As [`build`], by a process of its own whose compilers are told to keep the names of directories out of what
/// they make. Other flags mean that everything is compiled anew, so this has a target directory of its own.
pub fn build_reproducible(profile: Profile) -> Result<PathBuf> {
    if profile == Profile::Dev {
        return build(profile);
    }
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cargo"));
    let maps = [
        (root().display().to_string(), "/usr/src/tcpwrap"),
        (home.unwrap_or_default(), "/usr/src/cargo"),
    ];
    let flags = |option: &str| {
        let flags: Vec<_> = maps
            .iter()
            .map(|(from, to)| format!("{option}={from}={to}"))
            .collect();
        flags.join(" ")
    };
    let into = target().join("packages");
    let made = read(
        cargo()
            .args(["xtask", "dist"])
            .env("CARGO_TARGET_DIR", &into)
            .env("RUSTFLAGS", flags("--remap-path-prefix"))
            .env("CFLAGS", flags("-ffile-prefix-map"))
            .env("SOURCE_DATE_EPOCH", time()?),
    )?;
    made.lines()
        .last()
        .map(PathBuf::from)
        .ok_or_else(|| "cargo xtask dist named no directory".to_owned())
}

/// When the newest entry of `debian/changelog` was written, in seconds since 1970: the time of what is in packages.
pub fn time() -> Result<String> {
    let changelog = root().join("debian/changelog");
    let text = fs::read_to_string(&changelog).map_err(|error| format!("{}: {error}", changelog.display()))?;
    let date = text
        .lines()
        .find_map(|line| Some(line.strip_prefix(" -- ")?.split_once("  ")?.1.to_owned()));
    let date = date.ok_or_else(|| format!("{}: no date", changelog.display()))?;
    read(Command::new("date").args(["-u", "+%s", "-d", &date])).map(|seconds| seconds.trim().to_owned())
}

/// Builds everything and lays it out, in a directory that begins empty; returns the directory.
pub fn build(profile: Profile) -> Result<PathBuf> {
    let into = profile.directory();
    if into.exists() {
        fs::remove_dir_all(&into).map_err(|error| format!("{}: {error}", into.display()))?;
    }
    programs(profile, &into)?;
    completions(&into)?;
    libwrap::build(profile, &into)?;
    manual_pages(&into)?;
    // What is installed as it is, programs among it.
    run(Command::new("cp")
        .args(["-R", "--preserve=mode", "--no-target-directory"])
        .arg(root().join("dist/root"))
        .arg(&into))?;
    documents(&into.join("usr/share/doc/tcpwrap"))?;
    Ok(into)
}

/// Builds the programs, and takes those that cargo says it made.
fn programs(profile: Profile, into: &Path) -> Result<()> {
    let mut command = cargo();
    command.args([
        "build",
        "--profile",
        profile.name(),
        "--bins",
        "--message-format=json-render-diagnostics",
    ]);
    for (package, _) in PROGRAMS {
        command.args(["--package", package]);
    }
    let mut copied = 0;
    for line in read(&mut command)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let Some(program) = message["executable"].as_str().map(Path::new) else {
            continue;
        };
        let id = message["package_id"].as_str().unwrap_or_default();
        let to = PROGRAMS
            .iter()
            .find(|(package, _)| id.contains(&format!("/{package}#")));
        if let (Some((_, directory)), Some(name)) = (to, program.file_name()) {
            copy(program, &into.join(directory).join(name), 0o755)?;
            copied += 1;
        }
    }
    if copied == 0 {
        Err("cargo built no programs".to_owned())
    } else {
        Ok(())
    }
}

/// What shells load to complete command lines, as the program itself says it.
fn completions(into: &Path) -> Result<()> {
    for (shell, place) in [
        ("bash", "bash-completion/completions/tcpwrap"),
        ("zsh", "zsh/site-functions/_tcpwrap"),
        ("fish", "fish/vendor_completions.d/tcpwrap.fish"),
    ] {
        let script = read(Command::new(into.join("usr/bin/tcpwrap")).env("COMPLETE", shell))?;
        let to = into.join("usr/share").join(place);
        fs::create_dir_all(to.parent().unwrap_or(&to))
            .and_then(|()| fs::write(&to, script))
            .map_err(|error| format!("{}: {error}", to.display()))?;
    }
    Ok(())
}

/// `NAME.SECTION` goes to `manSECTION`.
fn manual_pages(into: &Path) -> Result<()> {
    for page in files(&root().join("dist/man"))? {
        let section = page
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let name = page.file_name().unwrap_or_default();
        copy(
            &page,
            &into.join(format!("usr/share/man/man{section}")).join(name),
            0o644,
        )?;
    }
    Ok(())
}

/// The documents, the units and the examples, laid out as in the sources so that their links hold.
fn documents(to: &Path) -> Result<()> {
    for document in files(&root())? {
        let name = document.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".md") || name.starts_with("LICENSE") {
            copy(&document, &to.join(&*name), 0o644)?;
        }
    }
    for directory in ["docs", "dist", "examples"] {
        copy_tree(&root().join(directory), &to.join(directory))?;
    }
    Ok(())
}

/// Copies a directory with all below it, other than what has a place of its own.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        copy(&file, &to.join(file.file_name().unwrap_or_default()), 0o644)?;
    }
    for directory in entries(from)?.into_iter().filter(|path| path.is_dir()) {
        let name = directory.file_name().unwrap_or_default();
        if !["man", "tools", "root"].contains(&&*name.to_string_lossy()) {
            copy_tree(&directory, &to.join(name))?;
        }
    }
    Ok(())
}

/// The files of a directory, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = entries(directory)?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// What is in a directory.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Copies one file, making directories as needed.
pub fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let copied = fs::create_dir_all(to.parent().unwrap_or(to))
        .and_then(|()| fs::copy(from, to))
        .and_then(|_| fs::set_permissions(to, fs::Permissions::from_mode(mode)));
    copied.map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}
