//! The documents show what the program prints: each block that begins with `$ tcpwrap`, and each picture in
//! `docs/img`, is held against a run of the command it shows, from the root of the repository.
//!
//! After a change of the output: edit the blocks as the failure says, and run docs/tools/pictures.sh.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What a command line prints on standard output. How long a lookup took is another each time.
fn output(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[0], "tcpwrap", "{command}");
    let output = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
        .args(&words[1..])
        .current_dir(root())
        .output()
        .unwrap();
    without_times(&String::from_utf8(output.stdout).unwrap())
}

fn without_times(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| match line.rsplit_once(" (") {
        Some((line, time)) if time.ends_with(" ms)") => format!("{line} (time)"),
        _ => line.trim_end().to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The blocks of a document, indented or fenced, that show a command and what it prints.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block = String::new();
    let mut fenced = false;
    for line in text.lines().chain([""]) {
        let fence = line.trim_start().starts_with("```");
        let indented = line.strip_prefix("    ").filter(|_| !fenced);
        match indented {
            _ if fenced && !fence => block.push_str(line),
            Some(line) => block.push_str(line),
            // A blank line may stand inside an indented block; one at its end does no harm.
            None if line.is_empty() && !block.is_empty() && !fenced => {}
            None => {
                blocks.push(std::mem::take(&mut block));
                fenced ^= fence;
                continue;
            }
        }
        block.push('\n');
    }
    blocks.push(block);
    blocks.retain(|block| block.starts_with("$ tcpwrap "));
    blocks
}

fn holds(shown: &str, place: &Path) {
    let (command, printed) = shown.split_once('\n').unwrap_or((shown, ""));
    let command = command.trim_start_matches("$ ");
    let really = output(command);
    assert!(
        without_times(printed) == really,
        "{}: `{command}` prints\n{really}\nand not\n{printed}",
        place.display()
    );
}

fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect()
}

#[test]
fn documents_show_what_is_printed() {
    let mut count = 0;
    for path in [".", "docs", "dist"].iter().flat_map(|d| files(d, "md")) {
        for block in blocks(&fs::read_to_string(&path).unwrap()) {
            holds(&block, &path);
            count += 1;
        }
    }
    assert!(count > 0, "no document shows anything");
}

#[test]
fn pictures_show_what_is_printed() {
    let pictures = files("docs/img", "svg");
    assert!(!pictures.is_empty());
    for path in pictures {
        holds(&terminal(&fs::read_to_string(&path).unwrap()), &path);
    }
}

/// The commands of docs/recipes.md, on an example and on what is wrong with it.
#[test]
fn the_recipes_do_what_they_say() {
    let recipes = fs::read_to_string(root().join("docs/recipes.md")).unwrap();
    let scene = tempfile::tempdir().unwrap();
    let rules = scene.path().join("rules");
    fs::create_dir(&rules).unwrap();
    for file in ["hosts.allow", "hosts.deny", "hosts.test.toml"] {
        fs::copy(root().join("examples/container").join(file), rules.join(file)).unwrap();
    }
    let status = |command: &str| {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[0], "tcpwrap", "{command}");
        let mut tcpwrap = Command::new(env!("CARGO_BIN_EXE_tcpwrap"));
        tcpwrap
            .args(&words[1..])
            .current_dir(scene.path())
            .output()
            .unwrap()
            .status
            .code()
    };
    // Ansible's copy has a name that tells nothing.
    let validate: Vec<&str> = recipes
        .lines()
        .filter_map(|line| line.trim().strip_prefix("validate: "))
        .collect();
    assert_eq!(validate.len(), 2);
    for (command, good) in validate.iter().zip(["sshd: 192.0.2.1\n", "ALL: ALL\n"]) {
        fs::write(scene.path().join("tmp8x2source"), good).unwrap();
        assert_eq!(
            status(&command.replace("%s", "tmp8x2source")),
            Some(0),
            "{command}"
        );
        fs::write(scene.path().join("tmp8x2source"), "sshd 192.0.2.1\n").unwrap();
        assert_eq!(
            status(&command.replace("%s", "tmp8x2source")),
            Some(1),
            "{command}"
        );
    }
    // The job in CI; what its last command compares with is the same here.
    let job = recipes
        .lines()
        .filter_map(|line| line.strip_prefix("    tcpwrap "));
    let job: Vec<&str> = job.map(|line| line.split(" #").next().unwrap().trim()).collect();
    assert_eq!(job.len(), 4, "{job:?}");
    let run = |command: &str| status(&format!("tcpwrap {}", command.replace("main/rules", "rules")));
    for command in &job {
        assert_eq!(run(command), Some(0), "{command}");
    }
    assert!(scene.path().join("results.xml").exists());
    fs::write(rules.join("hosts.allow"), "nginx :ALL\nsshd: 10.0.0.1 # all\n").unwrap();
    for command in &job[..3] {
        assert_eq!(run(command), Some(1), "{command}");
    }
}

/// The text in a picture, which docs/tools/term2svg.py has drawn: each piece at its line and column.
fn terminal(picture: &str) -> String {
    let mut rows: Vec<String> = Vec::new();
    for piece in picture.lines().filter_map(|line| line.strip_prefix("<text ")) {
        let (attributes, text) = piece.split_once('>').unwrap();
        let number = |name: &str| -> f64 {
            let (_, rest) = attributes.split_once(&format!("{name}=\"")).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let row = ((number("y") - 27.5) / 18.0).round() as usize;
        let column = ((number("x") - 14.0) / 8.4).round() as usize;
        rows.resize((row + 1).max(rows.len()), String::new());
        let gap = column - rows[row].chars().count();
        rows[row].push_str(&" ".repeat(gap));
        rows[row].push_str(&unescaped(text.strip_suffix("</text>").unwrap()));
    }
    rows.join("\n")
}

fn unescaped(text: &str) -> String {
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"");
    text.replace("&#x27;", "'").replace("&amp;", "&")
}
