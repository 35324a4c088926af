//! What a maintainer runs: `cargo xtask test`, `bench`, `audit`, `dist`, `deb`, `rpm`, `install`.
//!
//! Nothing that users run lives here.

#![forbid(unsafe_code)]

mod audit;
mod bench;
mod deb;
mod dist;
#[cfg(test)]
mod documents;
mod install;
mod libwrap;
mod packages;
mod rpm;
mod shell;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use dist::Profile;
use shell::Result;

/// What a maintainer of tcpwrap runs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the tests need, build what they run, and run them all.
    Test {
        /// Passed on to the test runner, as `-p compat-tests`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the benchmarks beside the reference.
    Bench {
        /// One benchmark only.
        name: Option<String>,
        /// Passed on to the benchmark.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// See how strong the engine's tests are: mutants, and Miri where there is one. Takes hours.
    Audit {
        /// Of the engine's files only these, as `index/keys.rs`.
        files: Vec<String>,
        /// Passed on to cargo-mutants.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Build everything there is to install, in release form, under target/dist.
    Dist,
    /// Build the Debian packages under target/packages/deb.
    Deb {
        /// Quickly, for tests.
        #[arg(long)]
        dev: bool,
    },
    /// Build packages for Fedora and RHEL under target/packages/rpm.
    Rpm {
        /// Quickly, for tests.
        #[arg(long)]
        dev: bool,
    },
    /// Build everything and install it, by PREFIX=/usr/local, LIBDIR=PREFIX/lib and DESTDIR=.
    Install {
        /// As `PREFIX=/opt/tcpwrap`.
        variables: Vec<String>,
    },
}

fn profile(dev: bool) -> Profile {
    if dev { Profile::Dev } else { Profile::Release }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Test { arguments } => test::run_tests(&arguments),
        Task::Bench { name, arguments } => bench::run_benches(name.as_deref(), &arguments),
        Task::Audit { files, arguments } => audit::audit(&files, &arguments),
        Task::Dist => dist::build(Profile::Release).map(|into| println!("{}", into.display())),
        Task::Deb { dev } => deb::build(profile(dev)).map(|into| println!("{}", into.display())),
        Task::Rpm { dev } => rpm::build(profile(dev)).map(|into| println!("{}", into.display())),
        Task::Install { variables } => install::install(&install::Places::parse(&variables)?),
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}
