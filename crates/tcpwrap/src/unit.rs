//! Units of systemd as `attach` and `detach` see them: their files, and the one drop-in that is ours.
//!
//! It reads files, so that it works on a machine that is not running, such as an image being built. Where units
//! and their drop-ins are, and which comes first, is in systemd.unit(5).

mod confinement;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::install::parent;
use crate::output::at;
pub use confinement::{Confinement, Mounted, User};
pub use settings::Settings;

/// Where units are, the first place first.
const PLACES: [&str; 13] = [
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "run/systemd/generator.early",
    OURS,
    "etc/systemd/system.attached",
    "run/systemd/system",
    "run/systemd/system.attached",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
];

/// The place for what the administrator adds.
pub const OURS: &str = "etc/systemd/system";

/// The name of our drop-in. They are read in the order of their names, and it must come after all that set
/// `ExecStart`, such as the `override.conf` of `systemctl edit`.
pub const DROP_IN: &str = "zz-tcpwrap.conf";

const SUFFIX: &str = ".service";

/// Ends of names that are other units.
const OTHER_SUFFIXES: [&str; 10] = [
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".timer",
    ".path",
    ".slice",
    ".scope",
];

/// A service.
#[derive(Debug)]
pub struct Unit {
    /// Its own name, with `.service`.
    pub name: String,
    root: PathBuf,
}

impl Unit {
    /// A service of the system below `root`, which may be named by an alias.
    ///
    /// # Errors
    /// A message, where the name is no name of a service.
    pub fn new(name: &str, root: &Path) -> Result<Self, String> {
        if let Some(suffix) = OTHER_SUFFIXES.iter().find(|suffix| name.ends_with(**suffix)) {
            return Err(format!("{name} is no service, but a {}", &suffix[1..]));
        }
        let name = match name.strip_suffix(SUFFIX) {
            Some(_) => name.to_owned(),
            None => format!("{name}{SUFFIX}"),
        };
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if name == SUFFIX || name.starts_with(['@', '.']) || name.len() > 255 || !name.chars().all(is_allowed)
        {
            return Err(format!(
                "{name:?} cannot be the name of a service; systemd-escape makes one"
            ));
        }
        let mut unit = Unit {
            name,
            root: root.to_owned(),
        };
        if let Some(name) = unit.fragment().and_then(|path| unit.alias_of(&path)) {
            unit.name = name;
        }
        Ok(unit)
    }

    /// Where our drop-in is, or would be.
    pub fn drop_in(&self) -> PathBuf {
        let directory = self.root.join(OURS).join(format!("{}.d", self.name));
        directory.join(DROP_IN)
    }

    /// The file that is to be written for it.
    ///
    /// # Errors
    /// As [`inside`](Self::inside).
    pub fn drop_in_file(&self) -> io::Result<PathBuf> {
        self.inside(&self.drop_in())
    }

    /// What has to be done before a change shows.
    pub fn how_to_restart(&self) -> String {
        let name = match self.name.split_once("@.") {
            Some((template, _)) => format!("'{template}@*{SUFFIX}'"),
            None => self.name.clone(),
        };
        format!("To put it to work: systemctl daemon-reload && systemctl restart {name}")
    }

    /// Removes our drop-in, and its directory where nothing else is in it.
    ///
    /// # Errors
    /// Where the drop-in cannot be removed.
    pub fn remove_drop_in(&self) -> io::Result<()> {
        let directory = self.inside(parent(&self.drop_in()))?;
        fs::remove_file(directory.join(DROP_IN))?;
        let _ = fs::remove_dir(directory);
        Ok(())
    }

    /// The settings of the `[Service]` section as systemd has them.
    ///
    /// # Errors
    /// A message, where there is no such unit, or it cannot be read.
    pub fn settings(&self) -> Result<Settings, String> {
        let mut settings = self.of_fragment()?;
        for path in self.drop_ins().values() {
            settings.read(&self.text(path)?);
        }
        Ok(settings)
    }

    /// The same of the files that go by its own name, not by an alias or a part of it: what most units have, and
    /// found with few looks.
    ///
    /// # Errors
    /// As [`settings`](Self::settings).
    pub fn own_settings(&self) -> Result<Settings, String> {
        let mut settings = self.of_fragment()?;
        let own = PLACES.map(|place| self.root.join(place).join(format!("{}.d", self.name)));
        for path in drop_ins_of(own.into_iter()).values() {
            settings.read(&self.text(path)?);
        }
        Ok(settings)
    }

    /// The same as [`settings`](Self::settings), ours left out.
    ///
    /// # Errors
    /// As there, and where something is read after our drop-in that has the last word.
    pub fn settings_but_ours(&self) -> Result<Settings, String> {
        let mut settings = self.of_fragment()?;
        for (name, path) in self.drop_ins() {
            if name == DROP_IN {
                continue;
            }
            let mut own = Settings::default();
            let text = self.text(&path)?;
            own.read(&text);
            if name.as_str() > DROP_IN && own.mention("ExecStart") {
                return Err(format!(
                    "{}: this sets ExecStart, and is read after {DROP_IN}: give it a name that comes before",
                    path.display()
                ));
            }
            settings.read(&text);
        }
        Ok(settings)
    }

    /// The settings of its own file.
    fn of_fragment(&self) -> Result<Settings, String> {
        let Some(fragment) = self.fragment() else {
            return Err(format!(
                "there is no {} in {}, nor where else systemd looks for units",
                self.name,
                self.root.join(OURS).display()
            ));
        };
        if fs::read_link(&fragment).is_ok_and(|target| target == Path::new("/dev/null")) {
            return Err(format!("{} is masked: systemctl unmask {0}", self.name));
        }
        let mut settings = Settings::default();
        settings.read(&self.text(&fragment)?);
        Ok(settings)
    }

    /// The file of the unit itself, or of its template.
    fn fragment(&self) -> Option<PathBuf> {
        let template = template(&self.name);
        std::iter::once(&self.name)
            .chain(&template)
            .flat_map(|name| PLACES.map(|place| self.root.join(place).join(name)))
            .find(|path| path.symlink_metadata().is_ok())
    }

    /// The name of the unit that a file is a link to, if it is an alias.
    fn alias_of(&self, path: &Path) -> Option<String> {
        let real = self.real(path).ok()?;
        let name = real.file_name()?.to_str()?;
        let is_unit = PLACES
            .iter()
            .any(|place| real.ends_with(Path::new(place).join(name)));
        let name = match (name.strip_suffix("@.service"), self.name.split_once('@')) {
            (Some(template), Some((_, instance))) => format!("{template}@{instance}"),
            _ => name.to_owned(),
        };
        (is_unit && name.ends_with(SUFFIX)).then_some(name)
    }

    /// The drop-ins by their names.
    fn drop_ins(&self) -> BTreeMap<String, PathBuf> {
        drop_ins_of(self.drop_in_directories().into_iter())
    }

    /// Where its drop-ins may be, the most particular place first.
    fn drop_in_directories(&self) -> Vec<PathBuf> {
        let mut directories = Vec::new();
        let mut add = |place: &str, name: &str| {
            directories.push(self.root.join(place).join(format!("{name}.d")));
        };
        for name in std::iter::once(self.name.clone()).chain(self.aliases()) {
            for place in PLACES {
                for name in general_names(&name) {
                    add(place, &name);
                }
            }
        }
        for place in PLACES {
            add(place, "service");
        }
        directories
    }

    /// Its other names: links to its file.
    fn aliases(&self) -> BTreeSet<String> {
        let mut aliases = BTreeSet::new();
        for place in PLACES {
            for entry in fs::read_dir(self.root.join(place))
                .into_iter()
                .flatten()
                .flatten()
            {
                let name = entry.file_name().to_string_lossy().into_owned();
                let target = fs::read_link(entry.path()).unwrap_or_default();
                if name != self.name && target.file_name().is_some_and(|target| *target == *self.name) {
                    aliases.insert(name);
                }
            }
        }
        aliases
    }

    /// The text of a file; nothing where a link leads nowhere.
    fn text(&self, path: &Path) -> Result<String, String> {
        match self.real(path).and_then(fs::read_to_string) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|error| at(path, &error)),
        }
    }

    /// Where a file below the root really is, or would be: never elsewhere, however the links there lead.
    ///
    /// # Errors
    /// A link on the way leads to what is not there.
    fn inside(&self, path: &Path) -> io::Result<PathBuf> {
        for way in path.ancestors() {
            let (Ok(real), Ok(rest)) = (self.real(way), path.strip_prefix(way)) else {
                continue;
            };
            let next = rest.iter().next().map(|next| real.join(next));
            if let Some(link) = next.filter(|next| next.is_symlink()) {
                let problem = format!("{} is a link to what is not there", link.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
            return Ok(real.iter().chain(rest).collect());
        }
        Ok(path.to_owned())
    }

    /// Where a file really is. Links in an image are meant for the machine that it will be.
    fn real(&self, path: &Path) -> io::Result<PathBuf> {
        if self.root == Path::new("/") {
            return path.canonicalize();
        }
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        let inside = if inside == Path::new("") {
            Path::new(".")
        } else {
            inside
        };
        let root = File::open(&self.root)?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(&root, inside, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
        fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }
}

/// The names of all services that are installed below `root`.
pub fn installed(root: &Path) -> BTreeSet<String> {
    let directories = PLACES.iter().flat_map(|place| fs::read_dir(root.join(place)));
    let names = directories
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(SUFFIX)).collect()
}

/// The drop-ins in these directories by their names: of two with one name, the more particular one counts.
fn drop_ins_of(directories: impl Iterator<Item = PathBuf>) -> BTreeMap<String, PathBuf> {
    let mut drop_ins = BTreeMap::new();
    for directory in directories {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".conf") {
                drop_ins.entry(name).or_insert(entry.path());
            }
        }
    }
    drop_ins
}

/// The template of an instance.
fn template(name: &str) -> Option<String> {
    let (prefix, instance) = name.split_once('@')?;
    (instance != SUFFIX).then(|| format!("{prefix}@{SUFFIX}"))
}

/// The names under which a unit has drop-ins, its own first: for `a-b@c`, these are `a-b@c`, `a-b@`, `a-@c`, `a-@`.
fn general_names(name: &str) -> Vec<String> {
    let (prefix, rest) = name.split_at(name.find('@').unwrap_or(name.len() - SUFFIX.len()));
    let dashes = prefix.trim_end_matches('-').rmatch_indices('-');
    let shorter = dashes.filter(|(at, _)| *at > 0).map(|(at, _)| &prefix[..=at]);
    std::iter::once(prefix)
        .chain(shorter)
        .flat_map(|prefix| {
            let name = format!("{prefix}{rest}");
            let template = template(&name);
            std::iter::once(name).chain(template)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services() {
        let name = |name| Unit::new(name, Path::new("/nowhere")).map(|unit| unit.name).ok();
        assert_eq!(name("sshd").as_deref(), Some("sshd.service"));
        assert_eq!(
            name("org.example.web").as_deref(),
            Some("org.example.web.service")
        );
        assert_eq!(name("a@b.service").as_deref(), Some("a@b.service"));
        assert_eq!(name("a@b.c").as_deref(), Some("a@b.c.service"));
        assert_eq!(name(r"a@b\x2dc").as_deref(), Some(r"a@b\x2dc.service"));
        for wrong in [
            "sshd.socket",
            "../x.service",
            "",
            ".service",
            "@b",
            "a b",
            "a\nb",
            "ä",
        ] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn links_in_an_image_do_not_lead_out_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for made in ["image/etc", "host/system/a.service.d", "image/lib/system"] {
            fs::create_dir_all(at(made)).unwrap();
        }
        fs::write(at("host/system/a.service.d").join(DROP_IN), "the host's").unwrap();
        let unit = Unit::new("a", &at("image")).unwrap();
        let drop_in = |place: &str| at(place).join("a.service.d").join(DROP_IN);
        assert_eq!(unit.drop_in_file().unwrap(), drop_in("image/etc/systemd/system"));
        std::os::unix::fs::symlink(at("host"), at("image/etc/systemd")).unwrap();
        assert!(unit.drop_in_file().is_err() && unit.remove_drop_in().is_err());
        assert!(drop_in("host/system").exists());
        fs::remove_file(at("image/etc/systemd")).unwrap();
        std::os::unix::fs::symlink("/lib", at("image/etc/systemd")).unwrap();
        assert_eq!(unit.drop_in_file().unwrap(), drop_in("image/lib/system"));
        // The file itself may be a link, of which nothing but the link is removed.
        fs::create_dir(at("image/lib/system/a.service.d")).unwrap();
        std::os::unix::fs::symlink(drop_in("host/system"), drop_in("image/lib/system")).unwrap();
        assert!(unit.drop_in_file().is_err());
        unit.remove_drop_in().unwrap();
        assert!(drop_in("host/system").exists() && !at("image/lib/system/a.service.d").exists());
    }

    #[test]
    fn names_of_drop_in_directories() {
        assert_eq!(
            general_names("a-b-c.service"),
            ["a-b-c.service", "a-b-.service", "a-.service"]
        );
        assert_eq!(
            general_names("a-b@c-d.service"),
            ["a-b@c-d.service", "a-b@.service", "a-@c-d.service", "a-@.service"]
        );
        assert_eq!(general_names("a@.service"), ["a@.service"]);
    }
}
