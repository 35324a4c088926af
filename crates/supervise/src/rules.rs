//! Rules that cannot hold for a server that is already running.
//!
//! `setenv`, `umask`, `nice`, `user` and `group` (hosts_options(5)) act on the process that becomes the
//! service. A guarded server is a process of its own. Such a rule is reported before any client meets it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use hosts_access::source::{self, Contents, Lines};
use hosts_access::syntax::list::{is_except, tokens};
use hosts_access::syntax::option::{ActsOn, Keyword, keyword_and_value, option_fields};
use hosts_access::syntax::pattern::{DaemonPattern, Service, StringPattern};
use hosts_access::syntax::{LineKind, fields, line_kind};
use hosts_access::{Diagnostic, Effect, Kind, Place, TableKind, Tables};

/// Is there nothing by this name? What is there and cannot be read is another matter, and the engine's.
pub(crate) fn is_gone(path: &Path) -> bool {
    let gone = |error: std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    std::fs::metadata(path).is_err_and(gone)
}

/// What is said of such an option.
pub(crate) fn cannot_act(option: &str) -> Vec<u8> {
    format!("option \"{option}\" cannot act on a program that is running").into_bytes()
}

/// The option of an effect that is about the process that becomes the service.
pub(crate) fn is_about_the_process(effect: &Effect) -> Option<&'static str> {
    let option = effect.option();
    (option.acts_on() == ActsOn::Process).then(|| option.as_str())
}

/// The rules that may match this daemon and hold such an option.
pub(crate) fn unfit(tables: &Tables, daemon: &[u8]) -> Vec<Diagnostic> {
    [TableKind::Allow, TableKind::Deny]
        .into_iter()
        .flat_map(|table| unfit_in(tables.path(table), daemon))
        .collect()
}

fn unfit_in(path: &Path, daemon: &[u8]) -> Vec<Diagnostic> {
    // What cannot be read has no rules; the engine says so when it decides.
    let (Contents::Text(text), _) = source::read(path) else {
        return Vec::new();
    };
    let path: Arc<Path> = Arc::from(path);
    let mut found = Vec::new();
    let mut lines = Lines::new(&text);
    while let Some(line) = lines.next() {
        let rule = Some(line.text)
            .filter(|text| line_kind(text) == LineKind::Rule)
            .and_then(fields);
        let Some((rule, options)) = rule.and_then(|rule| Some((rule, rule.options?))) else {
            continue;
        };
        let mut daemons = tokens(rule.daemons).take_while(|token| !is_except(token));
        if !daemons.any(|token| may_match(&DaemonPattern::parse(token), daemon)) {
            continue;
        }
        for field in option_fields(options) {
            if let Some(keyword) = Keyword::parse(keyword_and_value(&field).0)
                && keyword.acts_on() == ActsOn::Process
            {
                let place = Place {
                    file: Arc::clone(&path),
                    line: line.last,
                };
                let text = cannot_act(keyword.as_str());
                found.push(Diagnostic::new(Kind::Error, Some(place), text));
            }
        }
    }
    found
}

/// May the pattern match? Only a plain name that is another one surely does not.
fn may_match(pattern: &DaemonPattern<'_>, daemon: &[u8]) -> bool {
    match pattern.service {
        Service::Name(StringPattern::Exact(name)) => name.eq_ignore_ascii_case(daemon),
        Service::Name(_) | Service::Port(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_act_on_the_process_are_found_where_they_may_match() {
        let directory = tempfile::tempdir().unwrap();
        let text = "# umask\nsshd, www: ALL: umask 022\nftpd: ALL: umask 022\nALL: 192.0.2.1: keepalive: \\\n nice\n";
        std::fs::write(directory.path().join("hosts.allow"), text).unwrap();
        std::fs::write(directory.path().join("hosts.deny"), "80: ALL: user nobody\n").unwrap();
        let found = unfit(&Tables::in_directory(directory.path()), b"WWW");
        let found: Vec<_> = found
            .iter()
            .map(|found| {
                let place = found.place.as_ref().unwrap();
                let name = place.file.file_name().unwrap().to_str().unwrap().to_owned();
                (
                    name,
                    place.line,
                    String::from_utf8_lossy(&found.text).into_owned(),
                )
            })
            .collect();
        let expected = [
            ("hosts.allow", 2, "umask"),
            ("hosts.allow", 5, "nice"),
            ("hosts.deny", 1, "user"),
        ];
        assert_eq!(found.len(), expected.len());
        for (found, (file, line, option)) in found.iter().zip(expected) {
            assert_eq!((found.0.as_str(), found.1), (file, line));
            assert!(found.2.contains(&format!("{option:?}")), "{}", found.2);
        }
    }
}
