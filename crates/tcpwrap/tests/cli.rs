//! What all subcommands have in common: help, manual pages, and an output that goes nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Commands that print something, and the exit status of each.
const PRINTING: [(&str, i32); 12] = [
    ("check examples/mistakes", 1),
    ("check --json examples/mistakes", 1),
    ("check --format sarif examples/mistakes", 1),
    ("check --dry-run examples/mistakes", 0),
    ("check --explain W201", 0),
    ("explain --no-dns --rules examples/mistakes sshd 192.0.2.7", 0),
    (
        "explain --no-dns --json --rules examples/mistakes sshd 192.0.2.7",
        0,
    ),
    ("diff examples/mostly-closed examples/widened", 1),
    ("diff --json examples/mostly-closed examples/widened", 1),
    ("test examples/mostly-closed/hosts.test.toml", 0),
    ("test --json examples/mostly-closed/hosts.test.toml", 0),
    ("fmt --check crates/tcpwrap/tests/check/mistakes", 1),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn tcpwrap(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpwrap"));
    command.args(arguments.split(' ')).current_dir(root());
    command
}

/// What `tcpwrap --help` and `tcpwrap COMMAND --help` print.
fn help(arguments: &str) -> String {
    let output = tcpwrap(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn subcommands() -> Vec<String> {
    let help = help("--help");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands.map_while(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<_> = names.filter(|name| *name != "help").map(str::to_owned).collect();
    assert!(names.len() > 8, "{help}");
    names
}

#[test]
fn help_says_how_each_subcommand_exits() {
    for subcommand in subcommands() {
        let help = help(&format!("{subcommand} --help"));
        assert!(help.contains("EXIT STATUS:"), "{help}");
    }
}

/// The long options that a help text explains.
fn helped(help: &str) -> BTreeSet<String> {
    let options = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let short = line.strip_prefix('-').and_then(|line| line.get(1..));
        let long = short.and_then(|rest| rest.strip_prefix(", ")).unwrap_or(line);
        let option = long
            .strip_prefix("--")?
            .split(|c: char| c.is_whitespace() || c == '[')
            .next()?;
        Some(option.to_owned())
    });
    options.collect()
}

/// The long options that a manual page explains.
fn documented(page: &str) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    let is_list = |line: &&str| line.starts_with(".It ") || line.starts_with(".Op ");
    for line in page.lines().filter(is_list) {
        let words: Vec<&str> = line.split(' ').collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "Fl") {
            options.extend(pair[1].strip_prefix('-').map(str::to_owned));
        }
        for three in words.windows(3).filter(|three| three[..2] == ["Fl", "Fl"]) {
            options.insert(three[2].to_owned());
        }
    }
    options
}

#[test]
fn each_subcommand_has_a_manual_page_with_its_options_and_no_others() {
    let page = |name: &str| {
        let path = root().join(format!("dist/man/{name}.1"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        match text.strip_prefix(".so man1/") {
            Some(other) => fs::read_to_string(root().join("dist/man").join(other.trim_end())).unwrap(),
            None => text,
        }
    };
    let shared = documented(&page("tcpwrap"));
    assert!(shared.contains("rules") && shared.contains("quiet"), "{shared:?}");
    // A page may be that of several commands.
    let mut options_of_page: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for subcommand in subcommands() {
        let mut helped = helped(&help(&format!("{subcommand} --help")));
        assert!(helped.remove("help"));
        let documented = documented(&page(&format!("tcpwrap-{subcommand}")));
        let missing: Vec<_> = helped
            .iter()
            .filter(|option| !documented.contains(*option) && !shared.contains(*option))
            .collect();
        assert!(
            missing.is_empty(),
            "{missing:?} of {subcommand} are in no manual page"
        );
        let of_page = options_of_page.entry(page(&format!("tcpwrap-{subcommand}")));
        of_page.or_default().extend(helped);
        assert!(
            page("tcpwrap").contains(&subcommand),
            "tcpwrap(1) does not name {subcommand}"
        );
    }
    for (page, helped) in options_of_page {
        let others: Vec<_> = documented(&page).difference(&helped).cloned().collect();
        assert!(others.is_empty(), "{others:?} are no options\n{page}");
    }
}

#[test]
fn nothing_is_coloured_but_on_a_terminal() {
    for (arguments, _) in PRINTING {
        let Output { stdout, stderr, .. } = tcpwrap(arguments).output().unwrap();
        assert!(!stdout.is_empty(), "{arguments}");
        assert!(![stdout, stderr].concat().contains(&0x1b), "{arguments}");
    }
}

#[test]
fn colour_is_given_where_it_is_asked_for() {
    for arguments in [
        "check examples/mistakes",
        "diff examples/mostly-closed examples/widened",
    ] {
        let output = tcpwrap(&format!("--color always {arguments}")).output().unwrap();
        assert!(output.stdout.contains(&0x1b), "{arguments}");
        let output = tcpwrap(&format!("{arguments} --color never")).output().unwrap();
        assert!(!output.stdout.contains(&0x1b), "{arguments}");
    }
}

#[test]
fn quiet_commands_answer_by_their_status() {
    for (arguments, status) in PRINTING {
        let output = tcpwrap(&format!("--quiet {arguments}")).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments}");
        // What is asked for as data is data.
        let is_data = ["--json", "sarif", "--dry-run", "--explain", "fmt"];
        let is_data = is_data.iter().any(|word| arguments.contains(word));
        assert_eq!(!output.stdout.is_empty(), is_data, "{arguments}");
        assert!(output.stderr.is_empty(), "{arguments}");
    }
    let output = tcpwrap("-q explain --exit-code --no-dns sshd 10.0.0.300")
        .output()
        .unwrap();
    assert!(!output.stderr.is_empty());
}

/// On a terminal, which script(1) provides, what takes long is said to go on.
#[test]
fn what_takes_long_is_said_to_go_on() {
    let mut command = Command::new("script");
    // Its input comes from elsewhere, and not soon.
    let checks = format!(
        "sleep 1000 | {} check --table allow -",
        env!("CARGO_BIN_EXE_tcpwrap")
    );
    command.args(["-qec", &checks, "/dev/null"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    let mut out = child.stdout.take().unwrap();
    while !String::from_utf8_lossy(&said).contains("tcpwrap: checking ... 2 s") {
        let mut some = [0; 256];
        let length = out.read(&mut some).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&said));
        said.extend(&some[..length]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_closed_pipe_changes_no_exit_status() {
    for (arguments, status) in PRINTING {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = tcpwrap(arguments).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments}: {output:?}");
        assert!(
            !String::from_utf8_lossy(&output.stderr).contains("panicked"),
            "{arguments}"
        );
    }
    // Both ends gone, as in `2>&1 | head`.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = tcpwrap("check --dry-run examples/mistakes");
    let second = writer.try_clone().unwrap();
    let status = command.stdout(writer).stderr(second).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    for (arguments, _) in PRINTING {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = tcpwrap(arguments).stdout(Stdio::from(full)).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("No space left on device"), "{arguments}: {told}");
    }
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let scene = tempfile::tempdir().unwrap();
    fs::create_dir(scene.path().join("empty")).unwrap();
    for (arguments, told) in [
        ("check nofile", "nofile: No such file or directory"),
        ("check --rules nodir", "nodir: no such directory"),
        ("check --allow nofile", "nofile: no such file"),
        (
            "check --explain W999",
            "there is no code W999; findings show theirs in brackets, as [W201]",
        ),
        (
            "check empty",
            "neither empty/hosts.allow nor empty/hosts.deny exists",
        ),
        ("fmt nofile", "nofile: no such file"),
        ("fmt --rules nodir", "nodir: no such directory"),
        ("fmt --deny nofile", "nofile: no such file"),
        ("edit --rules nodir", "nodir: no such directory"),
        (
            "explain --rules empty sshd 192.0.2.7",
            "empty: neither hosts.allow nor hosts.deny in it",
        ),
        (
            "explain sshd 10.0.0.0/8",
            "10.0.0.0/8: a client is one host: give an address of that network",
        ),
        ("explain sshd 10.0.0.300", "10.0.0.300: no possible address"),
        ("test", "no hosts.test.toml in this directory: name a test file"),
        ("diff nodir empty", "nodir: no such file or directory"),
        (
            "diff",
            "name the new tables: a directory, a file, --new-allow or --new-deny",
        ),
    ] {
        let output = tcpwrap(arguments).current_dir(scene.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said, format!("tcpwrap: {told}\n"), "{arguments}");
        assert_eq!(output.status.code(), Some(2), "{arguments}");
    }
}

/// What bash offers for a command line, by the script that packages install.
fn offered(words: &str) -> String {
    let directory = Path::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .parent()
        .expect("a directory");
    let path = std::env::var("PATH").expect("PATH");
    let script = format!(
        "source <(COMPLETE=bash tcpwrap)\nCOMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _clap_complete_tcpwrap tcpwrap \"${{COMP_WORDS[COMP_CWORD]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let done = Command::new("bash")
        .args(["-c", &script])
        .env("PATH", format!("{}:{path}", directory.display()))
        .output()
        .expect("bash runs");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn shells_complete_commands_and_options() {
    assert_eq!(offered("tcpwrap exp").trim(), "explain");
    assert!(offered("tcpwrap check --for").contains("--format"));
    for shell in ["zsh", "fish"] {
        let script = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
            .env("COMPLETE", shell)
            .output()
            .expect("tcpwrap runs");
        assert!(script.status.success());
        assert!(String::from_utf8_lossy(&script.stdout).contains("tcpwrap"));
    }
}
