//! systemd.socket(5) units: the enabled ones that listen on an internet address, and what they start.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hosts_access::{Place, source};

use super::{Launch, Listen, Listing, Starter, programs};

/// Where units are, those that override others first.
pub const UNIT_DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// One assignment of a unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The section it stands in.
    pub section: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
    /// The value, continuation lines joined.
    pub value: Vec<u8>,
    /// The file.
    pub place: Place,
}

/// Reads the enabled socket units of these directories.
pub fn read(directories: &[&Path]) -> Listing {
    let mut listing = Listing::default();
    let directories = &Directory::each(directories)[..];
    for socket in enabled_sockets(directories) {
        let settings = unit(directories, &socket, &mut listing);
        let Some(listens) = internet_address(&settings) else {
            continue;
        };
        let ports = ports(&settings);
        let accepts = last(&settings, b"Socket", b"Accept").is_some_and(|s| is_yes(&s.value));
        let name = socket.strip_suffix(b".socket").unwrap_or(&socket);
        let service = match last(&settings, b"Socket", b"Service") {
            Some(named) if !accepts && !named.value.is_empty() => named.value.clone(),
            _ if accepts => [name.split(|b| *b == b'@').next().unwrap_or(name), b"@.service"].concat(),
            _ => [name, b".service"].concat(),
        };
        let settings = unit(directories, &service, &mut listing);
        let mut launches = launches(&settings);
        for launch in &mut launches {
            launch.listens.clone_from(&ports);
            launch.waits = !accepts;
        }
        if launches.is_empty() {
            let text = [&socket[..], b": starts ", &service, b", which runs no program"].concat();
            listing.problem(&listens.file, listens.line, text);
        }
        listing.launches.extend(launches);
    }
    listing
}

/// What a unit of these directories says: its own file, the first there is, and then its drop-ins.
pub fn settings(directories: &[&Path], unit_name: &[u8]) -> Vec<Setting> {
    unit(&Directory::each(directories), unit_name, &mut Listing::default())
}

/// Reads the text of one unit file.
///
/// ```
/// let settings = system::services::systemd::parse("a.socket".as_ref(), b"[Socket]\nListenStream=79\n");
/// assert_eq!(settings[0].value, b"79");
/// assert_eq!(settings[0].place.line, 2);
/// ```
pub fn parse(path: &Path, text: &[u8]) -> Vec<Setting> {
    let file: Arc<Path> = Arc::from(path);
    let mut settings = Vec::new();
    let mut section = Vec::new();
    // A value that goes on in the next line, and the line where it began.
    let mut begun: Option<(Vec<u8>, u32)> = None;
    for (raw, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        let line = raw.trim_ascii();
        if matches!(line.first(), Some(b'#' | b';')) || (line.is_empty() && begun.is_none()) {
            continue;
        }
        let (mut logical, first) = begun.take().unwrap_or((Vec::new(), number));
        if let Some(head) = line.strip_suffix(b"\\") {
            logical.extend_from_slice(head);
            logical.push(b' ');
            begun = Some((logical, first));
            continue;
        }
        logical.extend_from_slice(line);
        if let [b'[', name @ .., b']'] = &logical[..] {
            section = name.to_vec();
        } else if let Some(equals) = memchr::memchr(b'=', &logical) {
            settings.push(Setting {
                section: section.clone(),
                key: logical[..equals].trim_ascii().to_vec(),
                value: logical[equals + 1..].trim_ascii().to_vec(),
                place: Place {
                    file: Arc::clone(&file),
                    line: first,
                },
            });
        }
    }
    settings
}

/// A directory of units, listed once: most units that are looked for are in none but one of them.
struct Directory<'p> {
    path: &'p Path,
    names: HashSet<OsString>,
}

impl<'p> Directory<'p> {
    /// Each of these that is there. Where `/lib` is a link to `/usr/lib`, they are one.
    fn each(paths: &[&'p Path]) -> Vec<Self> {
        let mut seen = HashSet::new();
        let paths = paths.iter().filter(|path| {
            let facts = std::fs::metadata(path);
            facts.is_ok_and(|facts| seen.insert((facts.dev(), facts.ino())))
        });
        paths
            .map(|path| Directory {
                path,
                names: entries(path).collect(),
            })
            .collect()
    }

    fn holds(&self, name: &[u8]) -> bool {
        self.names.contains(OsStr::from_bytes(name))
    }

    fn join(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }
}

/// Sockets that some unit wants: linked from a `.wants` or `.requires` directory.
fn enabled_sockets(directories: &[Directory<'_>]) -> BTreeSet<Vec<u8>> {
    let mut enabled = BTreeSet::new();
    for directory in directories {
        let names = directory.names.iter().map(|name| name.as_bytes());
        for name in names.filter(|n| n.ends_with(b".wants") || n.ends_with(b".requires")) {
            let links = entries(&directory.join(name)).map(OsString::into_vec);
            enabled.extend(links.filter(|link| link.ends_with(b".socket")));
        }
    }
    enabled
}

fn entries(directory: &Path) -> impl Iterator<Item = OsString> + use<> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(Result::ok).map(|entry| entry.file_name())
}

/// The settings of a unit: its own file, then its drop-ins. An instance uses its template's file.
fn unit(directories: &[Directory<'_>], name: &[u8], listing: &mut Listing) -> Vec<Setting> {
    let names = [Some(name.to_vec()), template(name)];
    let mut settings = Vec::new();
    let mut read = |path: &Path| {
        // A mask is a link to /dev/null, and nothing but regular files is opened.
        if std::fs::metadata(path).is_ok_and(|facts| facts.is_file())
            && let Ok(text) = source::bytes(path)
        {
            settings.extend(parse(path, &text));
            listing.files.push((Starter::Systemd, path.to_path_buf()));
        }
    };
    let own = names.iter().flatten().find_map(|name| {
        let directory = directories.iter().find(|directory| directory.holds(name))?;
        Some(directory.join(name))
    });
    if let Some(path) = own {
        read(&path);
    }
    let mut drop_ins = BTreeMap::new();
    for name in names.iter().flatten() {
        let folder = [name, &b".d"[..]].concat();
        for directory in directories.iter().filter(|directory| directory.holds(&folder)) {
            let folder = directory.join(&folder);
            for file in
                entries(&folder).filter(|file| Path::new(file).extension() == Some(OsStr::new("conf")))
            {
                let path = folder.join(&file);
                drop_ins.entry(file).or_insert(path);
            }
        }
    }
    drop_ins.values().for_each(|path| read(path));
    settings
}

/// `name@.type` for `name@instance.type`.
fn template(name: &[u8]) -> Option<Vec<u8>> {
    let at = memchr::memchr(b'@', name)?;
    let dot = memchr::memrchr(b'.', name).filter(|dot| *dot > at + 1)?;
    Some([&name[..=at], &name[dot..]].concat())
}

fn last<'s>(settings: &'s [Setting], section: &[u8], key: &[u8]) -> Option<&'s Setting> {
    settings
        .iter()
        .rev()
        .find(|s| s.section == section && s.key == key)
}

/// Is this a yes, as systemd.syntax(7) has them?
pub fn is_yes(value: &[u8]) -> bool {
    [&b"yes"[..], b"true", b"on", b"1", b"y", b"t"]
        .iter()
        .any(|yes| yes.eq_ignore_ascii_case(value))
}

/// Where a socket unit first names an internet address to listen on. An empty value forgets those before.
fn internet_address(settings: &[Setting]) -> Option<Place> {
    let mut found = None;
    for setting in settings.iter().filter(|s| s.section == b"Socket") {
        if matches!(&setting.key[..], b"ListenStream" | b"ListenDatagram") {
            match setting.value.first() {
                None => found = None,
                Some(b'/' | b'@') => {}
                Some(_) if setting.value.starts_with(b"vsock:") => {}
                Some(_) => found = found.or_else(|| Some(setting.place.clone())),
            }
        }
    }
    found
}

/// The ports of the internet addresses that a socket unit listens on.
fn ports(settings: &[Setting]) -> Vec<Listen> {
    let mut ports = Vec::new();
    for setting in settings.iter().filter(|s| s.section == b"Socket") {
        let is_stream = setting.key == b"ListenStream";
        if !is_stream && setting.key != b"ListenDatagram" {
            continue;
        }
        match setting.value.first() {
            None => ports.clear(),
            Some(b'/' | b'@') => {}
            Some(_) if setting.value.starts_with(b"vsock:") => {}
            Some(_) => {
                let port = setting.value.rsplit(|b| *b == b':').next().unwrap_or_default();
                let port = port.split(|b| *b == b'%').next().unwrap_or_default().to_vec();
                ports.push(Listen { is_stream, port });
            }
        }
    }
    ports
}

/// `LD_LIBRARY_PATH` in a unit's `Environment`.
fn library_path(settings: &[Setting]) -> Option<Vec<u8>> {
    let mut found = None;
    for setting in settings
        .iter()
        .filter(|s| s.section == b"Service" && s.key == b"Environment")
    {
        if setting.value.is_empty() {
            found = None;
        }
        for word in command_words(&setting.value) {
            if let Some(path) = word.strip_prefix(b"LD_LIBRARY_PATH=") {
                found = Some(path.to_vec());
            }
        }
    }
    found
}

/// The programs that a service unit runs.
fn launches(settings: &[Setting]) -> Vec<Launch> {
    let mut launches = Vec::new();
    for setting in settings
        .iter()
        .filter(|s| s.section == b"Service" && s.key == b"ExecStart")
    {
        let words = command_words(&setting.value);
        let Some(first) = words.first() else {
            launches.clear();
            continue;
        };
        let bare = first
            .iter()
            .position(|b| !b"@-:+!|".contains(b))
            .unwrap_or(first.len());
        let (prefixes, path) = first.split_at(bare);
        if path.is_empty() {
            continue;
        }
        let name = if prefixes.contains(&b'@') {
            words.get(1).cloned()
        } else {
            None
        };
        let program = match programs::program(path) {
            Some(found) => found.into_os_string().into_vec(),
            None => path.to_vec(),
        };
        launches.push(Launch {
            starter: Starter::Systemd,
            place: setting.place.clone(),
            program: Some(program),
            name,
            asked_as: None,
            rpc_stream: false,
            listens: Vec::new(),
            waits: false,
            library_path: library_path(settings),
        });
    }
    launches
}

/// Splits a command line at blanks, quotes honoured.
pub fn command_words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => word.get_or_insert_default().extend(bytes.next()),
            (_, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, None) if byte.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A unit directory with these files, the sockets among them enabled.
    fn units(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let wants = directory.path().join("sockets.target.wants");
        fs::create_dir(&wants).unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            if name.ends_with(".socket") {
                symlink(&path, wants.join(name)).unwrap();
            }
        }
        directory
    }

    fn found(files: &[(&str, &str)]) -> (Vec<(String, Option<String>)>, usize) {
        let directory = units(files);
        let listing = read(&[directory.path()]);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let launches = listing.launches.iter();
        let launches = launches.map(|l| (text(l.program.as_deref().unwrap()), l.name.as_deref().map(text)));
        (launches.collect(), listing.problems.len())
    }

    #[test]
    fn an_accepting_socket_starts_its_template() {
        let socket = "[Socket]\nListenStream=79\nAccept=yes\n";
        let service = "[Service]\nExecStart=-@/usr/sbin/tcpd \"/opt/in fingerd\" -l\nStandardInput=socket\n";
        let (launches, problems) = found(&[("finger.socket", socket), ("finger@.service", service)]);
        assert_eq!(
            launches,
            [("/usr/sbin/tcpd".into(), Some("/opt/in fingerd".into()))]
        );
        assert_eq!(problems, 0);
    }

    #[test]
    fn drop_ins_and_named_services_count() {
        let (launches, _) = found(&[
            (
                "x.socket",
                "[Socket]\nListenStream=/run/x\nListenStream=[::1]:79\nService=y.service\n",
            ),
            ("y.service", "[Service]\nExecStart=/a \\\n b\n"),
            ("y.service.d/10.conf", "[Service]\nExecStart=\nExecStart=/c\n"),
        ]);
        assert_eq!(launches, [("/c".into(), None)]);
    }

    #[test]
    fn local_sockets_do_not_count_and_missing_services_are_reported() {
        assert_eq!(
            found(&[("a.socket", "[Socket]\nListenStream=/run/a\n")]),
            (vec![], 0)
        );
        assert_eq!(
            found(&[("a.socket", "[Socket]\nListenStream=1\nListenStream=\n")]),
            (vec![], 0)
        );
        assert_eq!(
            found(&[("a.socket", "[Socket]\nListenDatagram=69\n")]),
            (vec![], 1)
        );
    }

    #[test]
    fn instances_use_their_template() {
        let (launches, _) = found(&[("a@.service", "[Service]\nExecStart=/a\n")]);
        assert_eq!(launches, []);
        assert_eq!(template(b"a@b.c.socket"), Some(b"a@.socket".to_vec()));
        assert_eq!(template(b"a@.socket"), None);
        assert_eq!(template(b"a.socket"), None);
    }
}
