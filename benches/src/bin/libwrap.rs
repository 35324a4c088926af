//! libwrap.so.0 beside the reference's: the same program on both in turn, resident and deciding once.
//!
//! `cargo xtask dist`, then `cargo xtask bench libwrap`; another library's directory can be given. Needs Debian's
//! `libwrap0-dev` and `cc`. Each figure is the best of several runs in turn.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use benches::tables::{self, STRANGER};
use hosts_access::index_file;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SIZES: [usize; 3] = [10, 100_000, 1_000_000];

/// Deny tables, by kind and size.
fn table(kind: &str, size: usize, directory: &Path) -> Result<String> {
    Ok(match kind {
        "addresses" => tables::addresses(size).0,
        "mixed" => tables::mixed(size).0,
        _ => {
            let list = directory.join("list");
            let (_, addresses) = tables::addresses(size);
            fs::write(&list, addresses.join("\n") + "\n")?;
            format!("sshd: {}\n", list.display())
        }
    })
}

fn main() -> Result<()> {
    let beside = env::current_exe()?.with_file_name("../dist/usr/lib");
    let ours = env::args_os()
        .nth(1)
        .map_or(beside, PathBuf::from)
        .canonicalize()?;
    let found = Command::new("cc").arg("-print-file-name=libwrap.so.0").output()?;
    let found = PathBuf::from(String::from_utf8(found.stdout)?.trim());
    let reference = found
        .canonicalize()?
        .parent()
        .ok_or("no directory")?
        .to_path_buf();
    let libraries = [reference, ours];
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("reference");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference.c");
    let built = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(source)
        .arg("-lwrap")
        .status()?;
    if !built.success() {
        return Err("cc cannot build reference.c: is libwrap0-dev installed?".into());
    }
    files(&libraries)?;
    let bench = Bench {
        program,
        directory: directory.path(),
        libraries,
    };
    println!("\n{:<28}{:>16}{:>16}{:>12}", "", "reference", "ours", "ratio");
    for size in SIZES {
        for kind in ["addresses", "mixed"] {
            bench.compare(kind, size)?;
        }
    }
    bench.compare("/file", 1_000_000)?;
    bench.with_index("addresses", 1_000_000)?;
    bench.with_index("/file", 100_000)
}

/// Sizes, needs and the time to load.
fn files(libraries: &[PathBuf; 2]) -> Result<()> {
    for directory in libraries {
        let path = directory.join("libwrap.so.0");
        println!(
            "{}: {} bytes; needs, all told:",
            path.display(),
            path.metadata()?.len()
        );
        let needs = Command::new("ldd").arg(&path).output()?;
        let needs = String::from_utf8(needs.stdout)?;
        let names = needs.lines().filter_map(|line| line.split_whitespace().next());
        println!("    {}", names.collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

struct Bench<'d> {
    program: PathBuf,
    directory: &'d Path,
    libraries: [PathBuf; 2],
}

impl Bench<'_> {
    fn compare(&self, kind: &str, size: usize) -> Result<()> {
        fs::write(self.directory.join("hosts.allow"), "")?;
        let text = table(kind, size, self.directory)?;
        fs::write(self.directory.join("hosts.deny"), text)?;
        let runs = if size > 1000 { 8 } else { 200 };
        let mut cold = [f64::INFINITY; 2];
        for _ in 0..runs {
            for (best, library) in cold.iter_mut().zip(&self.libraries) {
                let start = Instant::now();
                self.run(library, 1)?;
                *best = best.min(start.elapsed().as_secs_f64() * 1e9);
            }
        }
        // Few decisions of the reference take long enough, and all are alike. What the first decisions and
        // compiling cost ours is left out by taking the difference of two totals.
        let (rounds, runs) = if size > 1000 {
            ([2, 300_000], 5)
        } else {
            ([20_000, 50_000], 12)
        };
        let [reference, ours] = &self.libraries;
        let mut theirs = f64::INFINITY;
        let mut totals = [f64::INFINITY; 2];
        for _ in 0..runs {
            theirs = theirs.min(self.run(reference, rounds[0])?);
            for (best, rounds) in totals.iter_mut().zip([2, 2 + rounds[1]]) {
                *best = best.min(self.run(ours, rounds)? * f64::from(rounds));
            }
        }
        let warm = [theirs, (totals[1] - totals[0]) / f64::from(rounds[1])];
        for (what, [reference, ours]) in [("cold", cold), ("warm", warm)] {
            let ratio = reference / ours;
            println!(
                "{:<28}{:>13.1} us{:>13.1} us{ratio:>12.2}",
                format!("{what} {size} {kind}"),
                reference / 1e3,
                ours / 1e3
            );
        }
        Ok(())
    }

    /// A whole process that decides once, with an index beside the table or the list that it names, and with empty
    /// tables.
    fn with_index(&self, kind: &str, size: usize) -> Result<()> {
        let [deny, list] = ["hosts.deny", "list"].map(|name| self.directory.join(name));
        let ours = &self.libraries[1];
        let mut best = [f64::INFINITY; 2];
        let text = table(kind, size, self.directory)?;
        for (best, text) in best.iter_mut().zip([text, String::new()]) {
            fs::write(&deny, text)?;
            let start = Instant::now();
            let (path, image) = match kind {
                "/file" => (&list, index_file::compile_list(&list)?),
                _ => (&deny, index_file::compile(&deny)?),
            };
            if let Some(image) = image {
                fs::write(index_file::path_of(path), image.bytes)?;
                println!(
                    "{:<28}{:>16.0} ms",
                    format!("index of {size} {kind}"),
                    start.elapsed().as_secs_f64() * 1e3
                );
            }
            for _ in 0..400 {
                let start = Instant::now();
                self.run(ours, 1)?;
                *best = best.min(start.elapsed().as_secs_f64() * 1e9);
            }
        }
        let [long, empty] = best;
        println!(
            "{:<28}{:>13.1} us{:>13.1} us{:>12.2}",
            format!("cold {size} {kind}: index, empty"),
            long / 1e3,
            empty / 1e3,
            long / empty
        );
        Ok(())
    }

    /// Nanoseconds a decision, as the program says.
    fn run(&self, library: &Path, rounds: u32) -> Result<f64> {
        let output = Command::new(&self.program)
            .arg(self.directory.join("hosts.allow"))
            .arg(self.directory.join("hosts.deny"))
            .args(["sshd", "unknown", &rounds.to_string(), STRANGER])
            .env("LD_LIBRARY_PATH", library)
            .stderr(Stdio::inherit())
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let figure = text.split_whitespace().next().ok_or("no figure")?;
        Ok(figure.parse()?)
    }
}
