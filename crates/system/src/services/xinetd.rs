//! xinetd.conf(5), the files it includes, and the directories it includes.
//!
//! xinetd asks libwrap itself, under the daemon's name, unless a service says `flags = NOLIBWRAP`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hosts_access::{Place, source};

use super::{Launch, Listen, Listing, Starter, base_name};

/// Where xinetd's configuration begins.
pub const CONFIGURATION: &str = "/etc/xinetd.conf";

/// How deep `include` and `includedir` may nest.
const MAX_DEPTH: usize = 16;

/// The flags there are. A service with any other does not start.
const FLAGS: [&str; 12] = [
    "INTERCEPT",
    "NORETRY",
    "IDONLY",
    "NAMEINARGS",
    "NODELAY",
    "KEEPALIVE",
    "NOLIBWRAP",
    "SENSOR",
    "IPv4",
    "IPv6",
    "LABELED",
    "REUSE",
];

/// Reads a configuration with everything it includes. A missing one is empty.
pub fn read(path: &Path) -> Listing {
    let mut reader = Reader::default();
    match source::bytes(path) {
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
    /// It has a mistake for which xinetd does not start the service.
    broken: bool,
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
        has(self.values(attribute), value.as_bytes())
    }

    /// The name by which `enabled` and `disabled` lists know the service.
    fn id(&self) -> &[u8] {
        self.first("id").or(self.service.as_deref()).unwrap_or_default()
    }

    /// Takes an assignment over. The error is what is wrong with it.
    fn set(&mut self, assignment: &Assignment<'_>) -> Result<(), Vec<u8>> {
        let Assignment {
            attribute,
            operator,
            values,
        } = assignment;
        let attribute = attribute.to_ascii_lowercase();
        let problem = |text: &str| Err([&attribute[..], b": ", text.as_bytes()].concat());
        let known = match &attribute[..] {
            b"enabled" | b"disabled" if self.service.is_none() => {
                let known = self.attributes.entry(attribute).or_default();
                known.extend(values.iter().map(|value| value.to_vec()));
                return Ok(());
            }
            b"server" | b"disable" | b"libwrap" | b"id" | b"socket_type" | b"port" | b"wait"
                if values.len() != 1 =>
            {
                return problem("takes one value; this line is passed over");
            }
            b"server" | b"disable" | b"libwrap" | b"id" | b"socket_type" | b"port" | b"wait" => values,
            b"server_args" | b"flags" | b"type" | b"redirect" => values,
            // What does not say which daemon runs is xinetd's to judge.
            _ => return Ok(()),
        };
        if *operator != b"=" {
            return problem("takes \"=\" only; this line is passed over");
        }
        if self.attributes.contains_key(&attribute) {
            return problem("set already; this line is passed over");
        }
        let flag = |value: &&[u8]| {
            FLAGS
                .iter()
                .any(|flag| flag.as_bytes().eq_ignore_ascii_case(value))
        };
        let good = match &attribute[..] {
            b"disable" => [&b"yes"[..], b"no"]
                .iter()
                .any(|word| word.eq_ignore_ascii_case(known[0])),
            b"flags" => known.iter().all(flag),
            b"server_args" => !known.is_empty(),
            _ => true,
        };
        let values = known.iter().map(|value| value.to_vec()).collect();
        if !good || known.iter().any(|value| value.contains(&b'\r')) {
            self.broken = true;
            return problem("bad value; the service does not start");
        }
        self.attributes.insert(attribute, values);
        Ok(())
    }
}

fn has(values: &[Vec<u8>], value: &[u8]) -> bool {
    values.iter().any(|known| known.eq_ignore_ascii_case(value))
}

/// Where in a file the reader is.
#[derive(Debug)]
enum State {
    /// Outside blocks.
    Outside,
    /// After the first line of a block, before its `{`.
    Named(Block),
    /// In a block.
    Inside(Block),
    /// After a mistake, before the next `}`.
    Skipping,
}

#[derive(Debug, Default)]
struct Reader {
    listing: Listing,
    services: Vec<(Arc<Path>, Block)>,
    defaults: Option<Block>,
}

impl Reader {
    fn file(&mut self, path: &Path, text: &[u8], depth: usize) {
        let file: Arc<Path> = Arc::from(path);
        self.listing.files.push((Starter::Xinetd, path.to_path_buf()));
        let mut state = State::Outside;
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let trimmed = line.trim_ascii();
            if trimmed.is_empty() || trimmed.starts_with(b"#") {
                continue;
            }
            state = match state {
                State::Outside => self.directive(&file, number, line, depth),
                State::Named(block) if trimmed == b"{" => State::Inside(block),
                State::Named(_) => {
                    let text = "\"{\" expected, alone on its line; the block is passed over";
                    self.listing.problem(&file, number, text);
                    after_mistake(trimmed)
                }
                State::Inside(block) if trimmed == b"}" => {
                    self.close(&file, block);
                    State::Outside
                }
                State::Inside(block) => self.attribute(&file, number, line, block),
                State::Skipping => after_mistake(trimmed),
            };
        }
        if let State::Named(block) | State::Inside(block) = state {
            let text = "no \"}\" ends this block; it is passed over";
            self.listing.problem(&file, block.line, text);
        }
    }

    /// A line outside blocks.
    fn directive(&mut self, file: &Arc<Path>, line: u32, text: &[u8], depth: usize) -> State {
        let mut words = words(text);
        let keyword = words.next().unwrap_or_default().to_ascii_lowercase();
        let block = |service| {
            State::Named(Block {
                service,
                line,
                ..Block::default()
            })
        };
        match (&keyword[..], words.next()) {
            (b"service", Some(name)) => return block(Some(name.to_vec())),
            (b"defaults", _) => return block(None),
            (b"include" | b"includedir", Some(_)) if depth >= MAX_DEPTH => {
                self.listing.problem(file, line, "included too deeply");
            }
            (b"include", Some(path)) => self.include(file, line, Path::new(OsStr::from_bytes(path)), depth),
            (b"includedir", Some(path)) => match directory(Path::new(OsStr::from_bytes(path))) {
                Ok(files) => files
                    .iter()
                    .for_each(|path| self.include(file, line, path, depth)),
                Err(error) => self.cannot_include(file, line, path, &error),
            },
            _ => {
                let problem =
                    "neither a block nor an include directive; all up to the next \"}\" is passed over";
                self.listing.problem(file, line, problem);
                return after_mistake(text);
            }
        }
        State::Outside
    }

    /// A line in a block.
    fn attribute(&mut self, file: &Arc<Path>, line: u32, text: &[u8], mut block: Block) -> State {
        let Some(assignment) = assignment(text) else {
            let text =
                "not an attribute: a name, a blank, and \"=\", \"+=\" or \"-=\"; the block is passed over";
            self.listing.problem(file, line, text);
            return State::Skipping;
        };
        if assignment.attribute.eq_ignore_ascii_case(b"server") {
            block.server_line.get_or_insert(line);
        }
        if let Err(problem) = block.set(&assignment) {
            self.listing.problem(file, line, problem);
        }
        State::Inside(block)
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
                source::bytes(path)
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
        } else if self.defaults.is_some() {
            let text = "a second defaults block is passed over";
            self.listing.problem(file, block.line, text);
        } else {
            self.defaults = Some(block);
        }
    }

    fn finish(mut self) -> Listing {
        let defaults = self.defaults.take().unwrap_or_default();
        let listed = defaults.attributes.contains_key(&b"enabled"[..]);
        for (file, block) in std::mem::take(&mut self.services) {
            let off = block.broken
                || block.has("disable", "yes")
                || has(defaults.values("disabled"), block.id())
                || (listed && !has(defaults.values("enabled"), block.id()));
            if !off {
                self.service(&file, &block);
            }
        }
        self.listing
    }

    fn service(&mut self, file: &Arc<Path>, block: &Block) {
        let program = block.first("server");
        let serves_itself = block.has("type", "INTERNAL") || block.attributes.contains_key(&b"redirect"[..]);
        if program.is_none() && !serves_itself {
            let text = "no server is named; the service does not start";
            return self.listing.problem(file, block.line, text);
        }
        let named = block.has("flags", "NAMEINARGS");
        let name = match (program, block.first("server_args")) {
            (None, _) => block.service.as_deref().unwrap_or_default(),
            (Some(_), Some(first)) if named => first,
            (Some(_), None) if named => {
                let text = "NAMEINARGS without server_args; the service does not start";
                return self.listing.problem(file, block.line, text);
            }
            (Some(program), _) => program,
        };
        let rpc_stream = block.has("type", "RPC") && block.has("socket_type", "stream");
        let asks = !block.has("flags", "NOLIBWRAP") && !rpc_stream;
        let asked_as = asks.then(|| match block.first("libwrap") {
            Some(own) => own.to_vec(),
            None => base_name(name).to_vec(),
        });
        self.listing.launches.push(Launch {
            starter: Starter::Xinetd,
            place: Place {
                file: Arc::clone(file),
                line: block.server_line.unwrap_or(block.line),
            },
            program: program.map(<[u8]>::to_vec),
            name: Some(name.to_vec()),
            asked_as,
            rpc_stream,
            listens: vec![Listen {
                is_stream: !block.has("socket_type", "dgram"),
                port: block
                    .first("port")
                    .or(block.service.as_deref())
                    .unwrap_or_default()
                    .to_vec(),
            }],
            waits: block.has("wait", "yes"),
            library_path: None,
        });
    }
}

/// After a mistake xinetd passes everything over up to the next `}`.
fn after_mistake(line: &[u8]) -> State {
    if line.trim_ascii() == b"}" {
        State::Outside
    } else {
        State::Skipping
    }
}

/// The words of a line. To xinetd, a CR is part of a word.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t' | 0x0b | 0x0c))
        .filter(|word| !word.is_empty())
}

/// `attribute = value ...`
#[derive(Debug)]
struct Assignment<'l> {
    attribute: &'l [u8],
    operator: &'l [u8],
    values: Vec<&'l [u8]>,
}

/// Reads an assignment. Only after the operator may the blank be missing.
fn assignment(line: &[u8]) -> Option<Assignment<'_>> {
    let mut words = words(line);
    let (attribute, second) = (words.next()?, words.next()?);
    let operator = [&b"="[..], b"+=", b"-="]
        .into_iter()
        .find(|operator| second.starts_with(operator))?;
    let glued = Some(&second[operator.len()..]).filter(|value| !value.is_empty());
    if attribute.contains(&b'=') {
        return None;
    }
    Some(Assignment {
        attribute,
        operator,
        values: glued.into_iter().chain(words).collect(),
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
	flags = NAMEINARGS NOLIBWRAP
	server = /usr/sbin/tcpd
	server_args = /usr/sbin/in.ftpd -l
}
Service telnet
{
	SERVER =/usr/sbin/in.telnetd
	server = /x
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
	id = time-stream
}
";

    #[test]
    fn services_that_are_on_are_found() {
        let listing = parse("x".as_ref(), CONFIGURATION);
        assert_eq!(listing.problems.len(), 1);
        let launches: Vec<_> = listing
            .launches
            .iter()
            .map(|l| (l.place.line, l.name.as_deref().unwrap(), l.asked_as.as_deref()))
            .collect();
        assert_eq!(
            launches,
            [
                (10, &b"/usr/sbin/in.ftpd"[..], None),
                (15, b"/usr/sbin/in.telnetd", Some(&b"in.telnetd"[..])),
                (21, b"/usr/sbin/in.named", Some(b"other")),
                (32, b"time", Some(b"time")),
            ]
        );
    }

    /// The lines of the problems, and the servers of the services that start.
    fn read_back(text: &str) -> (Vec<u32>, Vec<String>) {
        let listing = parse("x".as_ref(), text.as_bytes());
        let lines = listing.problems.iter().map(|p| p.place.as_ref().unwrap().line);
        let programs = listing.launches.iter().map(|l| l.program.clone().unwrap());
        let programs = programs.map(|program| String::from_utf8(program).unwrap());
        (lines.collect(), programs.collect())
    }

    #[test]
    fn only_listed_services_are_on_where_there_is_a_list() {
        let services = "service a\n{\n server = /a\n}\nservice b\n{\n id = c\n server = /b\n}\n";
        let with = |list: &str| read_back(&format!("{services}defaults\n{{\n {list}\n}}\n")).1;
        assert_eq!(with("enabled = A"), ["/a"]);
        assert_eq!(with("enabled = c"), ["/b"]);
        assert_eq!(with("disabled = a"), ["/b"]);
        assert_eq!(with("disabled = b"), ["/a", "/b"]);
    }

    #[test]
    fn a_mistake_costs_the_block_or_all_up_to_the_next_brace() {
        let good = "service z\n{\n server = /z\n}\n";
        let cases = [
            ("service a\n{\n nonsense\n server = /a\n}\n", 3, true),
            ("service a {\n server = /a\n}\n", 2, true),
            ("service a\nserver = /a\n{\n}\n", 2, true),
            ("service a\n{\n server=/a\n}\n", 3, true),
            ("service a\n{\n server = /a\n disable = maybe\n}\n", 4, true),
            ("service a\n{\n server = /a\n flags = WHAT\n}\n", 4, true),
            ("service a\n{\n server = /a\r\n}\n", 3, true),
            ("service a\n{\n server = /a\n", 4, false),
            ("what\n", 1, false),
            ("service a\n{\n server = /a /b\n}\n", 3, true),
        ];
        for (text, line, next_starts) in cases {
            let (lines, programs) = read_back(&format!("{text}{good}"));
            assert_eq!(lines[0], line, "{text}");
            assert_eq!(programs.len(), usize::from(next_starts), "{text}");
        }
        assert_eq!(read_back("service a\n{\n server = /a\n").0, [1]);
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
