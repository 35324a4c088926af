//! The programs that shell commands begin with. Not a shell: what it cannot tell without running the
//! command, it leaves alone.

use std::ffi::OsStr;
use std::iter::Peekable;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use analysis::check::{Code, host as codes, quoted};

use super::changeable;

/// What the shell does by itself.
const BUILTINS: &[&[u8]] = &[
    b"!",
    b".",
    b":",
    b"[",
    b"alias",
    b"break",
    b"case",
    b"cd",
    b"command",
    b"continue",
    b"do",
    b"done",
    b"echo",
    b"elif",
    b"else",
    b"esac",
    b"eval",
    b"exec",
    b"exit",
    b"export",
    b"false",
    b"fi",
    b"for",
    b"getopts",
    b"if",
    b"in",
    b"kill",
    b"local",
    b"printf",
    b"pwd",
    b"read",
    b"readonly",
    b"return",
    b"set",
    b"shift",
    b"test",
    b"then",
    b"times",
    b"trap",
    b"true",
    b"type",
    b"ulimit",
    b"umask",
    b"unset",
    b"until",
    b"wait",
    b"while",
    b"{",
    b"}",
];

/// A command as it is read, word by word.
struct Words {
    /// What was found: see [`programs`].
    programs: Vec<Vec<u8>>,
    word: Vec<u8>,
    in_word: bool,
    /// Is the word the first one of a simple command?
    is_first: bool,
    /// Does the shell leave the word as it is?
    is_plain: bool,
    /// Is the next word the file of a redirection?
    skips_next: bool,
}

impl Words {
    /// Ends the word, where one has begun.
    fn end(&mut self) {
        if !mem::take(&mut self.in_word) {
            return;
        }
        let text = mem::take(&mut self.word);
        let is_plain = mem::replace(&mut self.is_plain, true);
        if mem::take(&mut self.skips_next) || !self.is_first || is_assignment(&text) {
            return;
        }
        self.is_first = matches!(
            text.as_slice(),
            b"exec" | b"command" | b"!" | b"if" | b"then" | b"else" | b"do"
        );
        if is_plain && !text.is_empty() && !self.is_first {
            self.programs.push(text);
        }
    }
}

/// The first word of each simple command, quotes taken off; words the shell would change are left out.
pub(super) fn programs(command: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Words {
        programs: Vec::new(),
        word: Vec::new(),
        in_word: false,
        is_first: true,
        is_plain: true,
        skips_next: false,
    };
    let mut quote = None;
    let mut bytes = command.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(b'\''), b'\'') | (Some(b'"'), b'"') => quote = None,
            (Some(b'\''), _) => words.word.push(byte),
            (_, b'$' | b'`' | b'%' | b'*' | b'?') => {
                words.is_plain = false;
                words.in_word = true;
                pass_substitution(byte, &mut bytes);
            }
            (_, b'\\') => {
                words.word.extend(bytes.next());
                words.in_word = true;
            }
            (Some(_), _) => words.word.push(byte),
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                words.in_word = true;
            }
            (None, b' ' | b'\t' | b'\n') => words.end(),
            (None, b'|' | b';' | b'&' | b'(' | b')') => {
                words.end();
                words.is_first = true;
            }
            (None, b'<' | b'>') => {
                // `2>` and `>&1`: neither is a command.
                if words.in_word && words.word.iter().all(u8::is_ascii_digit) {
                    words.word.clear();
                    words.in_word = false;
                }
                words.end();
                while matches!(bytes.peek(), Some(b'>' | b'<' | b'&')) {
                    bytes.next();
                }
                words.skips_next = true;
            }
            (None, _) => {
                words.word.push(byte);
                words.in_word = true;
            }
        }
    }
    words.end();
    words.programs
}

/// Passes over a command within the command, which this byte begins: nothing of it is known here.
fn pass_substitution(byte: u8, bytes: &mut Peekable<impl Iterator<Item = u8>>) {
    if byte == b'`' {
        bytes.find(|inner| *inner == b'`');
    } else if byte == b'$' && bytes.peek() == Some(&b'(') {
        let mut depth = 0;
        bytes.find(|inner| {
            match inner {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
    }
}

/// `NAME=value`, which stands before a command?
fn is_assignment(word: &[u8]) -> bool {
    let Some((name, _)) = word.iter().position(|b| *b == b'=').map(|at| word.split_at(at)) else {
        return false;
    };
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// What is wrong with a program, if anything is.
pub(super) fn judge(program: &[u8]) -> Option<(&'static Code, String)> {
    let shown = quoted(program);
    let path = if program.contains(&b'/') {
        PathBuf::from(OsStr::from_bytes(program))
    } else if BUILTINS.contains(&program) {
        return None;
    } else {
        match search(program) {
            Some(path) => path,
            None => {
                return Some((
                    &codes::NO_COMMAND,
                    format!("there is no program {shown} in the usual directories"),
                ));
            }
        }
    };
    let Ok(metadata) = std::fs::metadata(&path) else {
        return Some((&codes::NO_COMMAND, format!("{shown} does not exist")));
    };
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Some((
            &codes::NO_COMMAND,
            format!("{shown} is no program that can be run"),
        ));
    }
    changeable(&path).map(|who| {
        (
            &codes::WRITABLE_COMMAND,
            format!("{shown} can be changed by {who}"),
        )
    })
}

/// Daemons are started with a path of this kind; a command that relies on more may fail.
fn search(program: &[u8]) -> Option<PathBuf> {
    [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ]
    .iter()
    .map(|directory| Path::new(directory).join(OsStr::from_bytes(program)))
    .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_commands() {
        let find = |text: &str| -> Vec<String> {
            programs(text.as_bytes())
                .into_iter()
                .map(|p| String::from_utf8(p).unwrap())
                .collect()
        };
        assert_eq!(
            find("(/usr/sbin/safe_finger -l @%h | /usr/bin/mail -s %d-%h root) &"),
            ["/usr/sbin/safe_finger", "/usr/bin/mail"]
        );
        assert_eq!(find("echo \"$(date) x; y\" >> /var/log/s 2>&1"), ["echo"]);
        assert_eq!(
            find("LANG=C exec /bin/x; '/bin/a b' && y"),
            ["/bin/x", "/bin/a b", "y"]
        );
        assert_eq!(find("$PROGRAM x | `which z` y"), Vec::<String>::new());
        assert_eq!(find("/etc/banner.%d"), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_there() {
        assert_eq!(judge(b"/no/such/program").unwrap().0.id, "W503");
        assert_eq!(judge(b"/etc/passwd").unwrap().0.id, "W503");
        assert!(judge(b"echo").is_none());
        assert!(judge(b"/bin/sh").is_none());
    }
}
