//! xinetd.conf(5), the files it includes, and the directories it includes.
//!
//! xinetd asks libwrap itself, under the daemon's name, unless a service says `flags = NOLIBWRAP`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hosts_access::Place;

use super::{Launch, Listing, Starter, base_name, words};

/// Where xinetd's configuration begins.
pub const CONFIGURATION: &str = "/etc/xinetd.conf";

/// How deep `include` and `includedir` may nest.
const MAX_DEPTH: usize = 16;

/// Reads a configuration with everything it includes. A missing one is empty.
pub fn read(path: &Path) -> Listing {
    let mut reader = Reader::default();
    match std::fs::read(path) {
        Ok(text) => reader.file(path, &text, 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => reader.listing.unreadable(path, &error),
    }
    reader.finish()
}

/// Reads the text of one file; what it includes is read from the file system.
pub fn parse(path: &Path, text: &[u8]) -> Listing {
    let mut reader = Reader::default();
    reader.file(path, text, 0);
    reader.finish()
}

/// A `service` or `defaults` block.
#[derive(Debug, Default)]
struct Block {
    /// The service's name; nothing for `defaults`.
    service: Option<Vec<u8>>,
    line: u32,
    attributes: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// The line of the `server` attribute.
    server_line: Option<u32>,
}

impl Block {
    fn values(&self, attribute: &str) -> &[Vec<u8>] {
        self.attributes
            .get(attribute.as_bytes())
            .map_or(&[], Vec::as_slice)
    }

    fn first(&self, attribute: &str) -> Option<&[u8]> {
        self.values(attribute).first().map(Vec::as_slice)
    }

    fn has(&self, attribute: &str, value: &str) -> bool {
        self.values(attribute)
            .iter()
            .any(|v| v.eq_ignore_ascii_case(value.as_bytes()))
    }

    /// The name by which `enabled` and `disabled` lists know the service.
    fn id(&self) -> &[u8] {
        self.first("id").or(self.service.as_deref()).unwrap_or_default()
    }

    fn set(&mut self, assignment: &Assignment<'_>) {
        let attribute = assignment.attribute.to_ascii_lowercase();
        let values = &assignment.values;
        let known = self.attributes.entry(attribute.clone()).or_default();
        match assignment.operator {
            b"-=" => known.retain(|v| !values.iter().any(|other| other.eq_ignore_ascii_case(v))),
            // The arguments of a program are one value, whatever the operator.
            b"+=" if attribute != b"server_args" => known.extend(values.iter().map(|v| v.to_vec())),
            _ => *known = values.iter().map(|v| v.to_vec()).collect(),
        }
    }
}

#[derive(Debug, Default)]
struct Reader {
    listing: Listing,
    services: Vec<(Arc<Path>, Block)>,
    enabled: Option<Vec<Vec<u8>>>,
    disabled: Vec<Vec<u8>>,
}

impl Reader {
    fn file(&mut self, path: &Path, text: &[u8], depth: usize) {
        let file: Arc<Path> = Arc::from(path);
        self.listing.files.push((Starter::Xinetd, path.to_path_buf()));
        // The block being read, and whether its `{` has been seen.
        let mut open: Option<(Block, bool)> = None;
        let mut last = 0;
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            last = number;
            let mut fields: Vec<_> = words(line).collect();
            if fields.first().is_none_or(|word| word.starts_with(b"#")) {
                continue;
            }
            let Some((block, begun)) = &mut open else {
                // `service x {` is read as if the brace stood on the next line.
                let brace = fields.len() > 1 && fields.last() == Some(&&b"{"[..]);
                if brace {
                    fields.pop();
                }
                if let Some(service) = self.directive(&file, number, &fields, depth) {
                    let block = Block {
                        service,
                        line: number,
                        ..Block::default()
                    };
                    open = Some((block, brace));
                }
                continue;
            };
            match fields[..] {
                [b"{"] if !*begun => *begun = true,
                [b"}"] if *begun => {
                    if let Some((block, _)) = open.take() {
                        self.close(&file, block);
                    }
                }
                [b"service" | b"defaults", ..] => {
                    let begins = block.line;
                    self.listing
                        .problem(&file, begins, "this block has no closing \"}\"");
                    open = self
                        .directive(&file, number, &fields, depth)
                        .map(|service| Block {
                            service,
                            line: number,
                            ..Block::default()
                        })
                        .map(|block| (block, false));
                }
                _ if !*begun => {
                    self.listing
                        .problem(&file, number, "\"{\" expected after the name of the block")
                }
                _ => match assignment(line) {
                    Some(assignment) => {
                        if assignment.attribute.eq_ignore_ascii_case(b"server") {
                            block.server_line = Some(number);
                        }
                        block.set(&assignment);
                    }
                    None => {
                        let text = "not an attribute: \"=\", \"+=\" or \"-=\" expected";
                        self.listing.problem(&file, number, text);
                    }
                },
            }
        }
        if let Some((block, _)) = open {
            let line = if block.line > 0 { block.line } else { last };
            self.listing
                .problem(&file, line, "this block has no closing \"}\"");
        }
    }

    /// A line outside blocks. The start of a block: its service, or nothing for `defaults`.
    fn directive(
        &mut self,
        file: &Arc<Path>,
        line: u32,
        fields: &[&[u8]],
        depth: usize,
    ) -> Option<Option<Vec<u8>>> {
        match fields {
            [b"service", name] => return Some(Some(name.to_vec())),
            [b"defaults"] => return Some(None),
            [b"include" | b"includedir", _] if depth >= MAX_DEPTH => {
                self.listing.problem(file, line, "included too deeply");
            }
            [b"include", path] => self.include(file, line, Path::new(OsStr::from_bytes(path)), depth),
            [b"includedir", path] => {
                match directory(Path::new(OsStr::from_bytes(path))) {
                    Ok(files) => files
                        .iter()
                        .for_each(|path| self.include(file, line, path, depth)),
                    Err(error) => self.cannot_include(file, line, path, &error),
                };
            }
            _ => self
                .listing
                .problem(file, line, "neither a block nor an include directive"),
        }
        None
    }

    fn include(&mut self, file: &Arc<Path>, line: u32, path: &Path, depth: usize) {
        // Reading nothing twice bounds the work, however the files include each other.
        if self.listing.files.iter().any(|(_, read)| read == path) {
            let text = [path.as_os_str().as_bytes(), b": included already"].concat();
            return self.listing.problem(file, line, text);
        }
        // Only regular files: a FIFO in the directory must not hold the reader up.
        let text = std::fs::metadata(path).and_then(|facts| {
            if facts.is_file() {
                std::fs::read(path)
            } else {
                Err(io::Error::other("not a regular file"))
            }
        });
        match text {
            Ok(text) => self.file(path, &text, depth + 1),
            Err(error) => self.cannot_include(file, line, path.as_os_str().as_bytes(), &error),
        }
    }

    fn cannot_include(&mut self, file: &Arc<Path>, line: u32, path: &[u8], error: &io::Error) {
        let reason = hosts_access::decide::reason(error);
        let text = [path, b": cannot be included: ", reason.as_bytes()].concat();
        self.listing.problem(file, line, text);
    }

    /// A block is complete.
    fn close(&mut self, file: &Arc<Path>, block: Block) {
        if block.service.is_some() {
            self.services.push((Arc::clone(file), block));
            return;
        }
        if block.attributes.contains_key(&b"enabled"[..]) {
            self.enabled
                .get_or_insert_default()
                .extend_from_slice(block.values("enabled"));
        }
        self.disabled.extend_from_slice(block.values("disabled"));
    }

    fn finish(mut self) -> Listing {
        for (file, block) in std::mem::take(&mut self.services) {
            let id = block.id();
            let off = block.has("disable", "yes")
                || block.has("flags", "DISABLE")
                || self.disabled.iter().any(|d| d == id)
                || self
                    .enabled
                    .as_ref()
                    .is_some_and(|on| !on.iter().any(|e| e == id));
            if !off {
                self.service(&file, &block);
            }
        }
        self.listing
    }

    fn service(&mut self, file: &Arc<Path>, block: &Block) {
        let inside = block.has("type", "INTERNAL") || block.attributes.contains_key(&b"redirect"[..]);
        let Some(program) = block.first("server") else {
            if !inside {
                self.listing
                    .problem(file, block.line, "the service names no server program");
            }
            return;
        };
        let rpc_stream = block.has("type", "RPC") && block.has("socket_type", "stream");
        let name = if block.has("flags", "NAMEINARGS") {
            block.first("server_args")
        } else {
            Some(program)
        };
        let asks = !block.has("flags", "NOLIBWRAP") && !rpc_stream && base_name(program) != b"tcpd";
        let asked_as = asks.then(|| {
            let own = block.first("libwrap").or(name).unwrap_or(program);
            base_name(own).to_vec()
        });
        self.listing.launches.push(Launch {
            starter: Starter::Xinetd,
            place: Place {
                file: Arc::clone(file),
                line: block.server_line.unwrap_or(block.line),
            },
            program: program.to_vec(),
            name: name.map(<[u8]>::to_vec),
            asked_as,
            rpc_stream,
        });
    }
}

/// `attribute = value ...`
#[derive(Debug)]
struct Assignment<'l> {
    attribute: &'l [u8],
    operator: &'l [u8],
    values: Vec<&'l [u8]>,
}

/// Reads an assignment, with or without blanks around the operator.
fn assignment(line: &[u8]) -> Option<Assignment<'_>> {
    let equals = memchr::memchr(b'=', line)?;
    let start = match line[..equals].last() {
        Some(b'+' | b'-') => equals - 1,
        _ => equals,
    };
    let mut name = words(&line[..start]);
    let attribute = name.next()?;
    if name.next().is_some() {
        return None;
    }
    Some(Assignment {
        attribute,
        operator: &line[start..=equals],
        values: words(&line[equals + 1..]).collect(),
    })
}

/// The files that xinetd reads in an included directory: no dot in the name, no `~` at its end.
fn directory(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_bytes();
        if !name.contains(&b'.') && !name.ends_with(b"~") && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &[u8] = b"\
# comment
defaults
{
	disabled = gone
	log_type = SYSLOG daemon
}
service ftp
{
	flags = NAMEINARGS
	flags += NOLIBWRAP
	server = /usr/sbin/tcpd
	server_args = /usr/sbin/in.ftpd -l
}
service telnet {
	server=/usr/sbin/in.telnetd
}
service named
{
	libwrap = other
	server = /usr/sbin/in.named
}
service gone
{
	server = /x
}
service off
{
	disable = yes
	server = /x
}
service time
{
	type = INTERNAL
}
";

    #[test]
    fn services_that_are_on_are_found() {
        let listing = parse("x".as_ref(), CONFIGURATION);
        assert_eq!(listing.problems, []);
        let launches: Vec<_> = listing
            .launches
            .iter()
            .map(|l| (l.place.line, l.name.as_deref().unwrap(), l.asked_as.as_deref()))
            .collect();
        assert_eq!(
            launches,
            [
                (11, &b"/usr/sbin/in.ftpd"[..], None),
                (15, b"/usr/sbin/in.telnetd", Some(&b"in.telnetd"[..])),
                (20, b"/usr/sbin/in.named", Some(b"other")),
            ]
        );
    }

    #[test]
    fn only_listed_services_are_on_where_there_is_a_list() {
        let text =
            b"defaults\n{\n enabled = a\n}\nservice a\n{\n server = /a\n}\nservice b\n{\n server = /b\n}\n";
        assert_eq!(parse("x".as_ref(), text).launches.len(), 1);
    }

    #[test]
    fn mistakes_are_reported_where_they_stand() {
        let text = b"service a\nserver = /a\n{\nnonsense\n}\nwhat\ninclude /nonexistent/file\nservice b\n{\n";
        let problems: Vec<_> = parse("x".as_ref(), text)
            .problems
            .iter()
            .map(|p| p.place.as_ref().unwrap().line)
            .collect();
        assert_eq!(problems, [2, 4, 6, 7, 8, 1]);
    }

    #[test]
    fn a_file_that_includes_itself_ends() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = format!("include {}\n", file.path().display());
        std::fs::write(file.path(), &line).unwrap();
        let listing = read(file.path());
        assert_eq!(listing.files.len(), 1);
        assert_eq!(listing.problems.len(), 1);
    }
}
