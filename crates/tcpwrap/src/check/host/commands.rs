//! The programs that shell commands begin with. Not a shell: what it cannot tell without running the
//! command, it leaves alone.

use std::ffi::OsStr;
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

/// The first word of each simple command, quotes taken off; words the shell would change are left out.
pub(super) fn programs(command: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut word: Vec<u8> = Vec::new();
    let (mut is_first, mut is_plain, mut in_word) = (true, true, false);
    let mut quote = None;
    let mut skip_next = false;
    let mut bytes = command.iter().copied().peekable();
    let mut end_word = |word: &mut Vec<u8>, is_plain: &mut bool, is_first: &mut bool, skip: &mut bool| {
        let text = std::mem::take(word);
        let plain = std::mem::replace(is_plain, true);
        if std::mem::take(skip) || !*is_first {
            return;
        }
        // `NAME=value` stands before the command.
        if memchr_eq(&text) {
            return;
        }
        let is_prefix = matches!(
            text.as_slice(),
            b"exec" | b"command" | b"!" | b"if" | b"then" | b"else" | b"do"
        );
        *is_first = is_prefix;
        if plain && !text.is_empty() && !is_prefix {
            found.push(text);
        }
    };
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(b'\''), b'\'') | (Some(b'"'), b'"') => quote = None,
            (Some(b'\''), _) => word.push(byte),
            (_, b'$' | b'`' | b'%' | b'*' | b'?') => {
                is_plain = false;
                in_word = true;
                if byte == b'`' {
                    // What stands inside is a command of its own, of which nothing is known here.
                    for inner in bytes.by_ref() {
                        if inner == b'`' {
                            break;
                        }
                    }
                } else if byte == b'$' && bytes.peek() == Some(&b'(') {
                    let mut depth = 0;
                    for inner in bytes.by_ref() {
                        match inner {
                            b'(' => depth += 1,
                            b')' => depth -= 1,
                            _ => {}
                        }
                        if depth == 0 {
                            break;
                        }
                    }
                }
            }
            (_, b'\\') => {
                word.extend(bytes.next());
                in_word = true;
            }
            (Some(_), _) => word.push(byte),
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                in_word = true;
            }
            (None, b' ' | b'\t' | b'\n') => {
                if in_word {
                    end_word(&mut word, &mut is_plain, &mut is_first, &mut skip_next);
                    in_word = false;
                }
            }
            (None, b'|' | b';' | b'&' | b'(' | b')') => {
                if in_word {
                    end_word(&mut word, &mut is_plain, &mut is_first, &mut skip_next);
                    in_word = false;
                }
                is_first = true;
            }
            (None, b'<' | b'>') => {
                // `2>` and `>&1`: neither is a command.
                if in_word && word.iter().all(u8::is_ascii_digit) {
                    word.clear();
                } else if in_word {
                    end_word(&mut word, &mut is_plain, &mut is_first, &mut skip_next);
                }
                in_word = false;
                while matches!(bytes.peek(), Some(b'>' | b'<' | b'&')) {
                    bytes.next();
                }
                skip_next = true;
            }
            (None, _) => {
                word.push(byte);
                in_word = true;
            }
        }
    }
    if in_word {
        end_word(&mut word, &mut is_plain, &mut is_first, &mut skip_next);
    }
    found
}

fn memchr_eq(word: &[u8]) -> bool {
    word.iter()
        .position(|b| *b == b'=')
        .is_some_and(|at| at > 0 && word[..at].iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_'))
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
