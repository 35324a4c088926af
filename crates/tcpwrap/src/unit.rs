//! Units of systemd as `attach` and `detach` see them: their files, and the one drop-in that is ours.
//!
//! It reads files, so that it works on a machine that is not running, such as an image being built.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where units are, the first place first.
const PLACES: [&str; 4] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// The name of our drop-in. It is read late, so it sees what others set.
const DROP_IN: &str = "90-tcpwrap.conf";

/// A service.
#[derive(Debug)]
pub struct Unit {
    /// Its name, with `.service`.
    pub name: String,
    root: PathBuf,
}

impl Unit {
    /// A service of the system below `root`.
    ///
    /// # Errors
    /// A message, where the name is no name of a service.
    pub fn new(name: &str, root: &Path) -> Result<Self, String> {
        let name = if name.contains('.') {
            name.to_owned()
        } else {
            format!("{name}.service")
        };
        if name.contains('/') || !name.ends_with(".service") || name.starts_with('.') {
            return Err(format!("{name} is no service"));
        }
        Ok(Unit {
            name,
            root: root.to_owned(),
        })
    }

    /// Where our drop-in is, or would be.
    pub fn drop_in(&self) -> PathBuf {
        let directory = self.root.join(PLACES[0]).join(format!("{}.d", self.name));
        directory.join(DROP_IN)
    }

    /// Removes our drop-in, and its directory where nothing else is in it.
    ///
    /// # Errors
    /// Where the drop-in cannot be removed.
    pub fn remove_drop_in(&self) -> io::Result<()> {
        let path = self.drop_in();
        fs::remove_file(&path)?;
        let _ = path.parent().map(fs::remove_dir);
        Ok(())
    }

    /// The settings of the `[Service]` section in the order in which systemd reads them, ours left out.
    ///
    /// # Errors
    /// A message, where there is no such unit.
    pub fn settings(&self) -> Result<Vec<(String, String)>, String> {
        let template = self
            .name
            .split_once('@')
            .map(|(name, _)| format!("{name}@.service"));
        let names = || std::iter::once(&self.name).chain(&template);
        let main = PLACES
            .iter()
            .flat_map(|place| names().map(move |name| self.root.join(place).join(name)))
            .find_map(|path| fs::read_to_string(path).ok());
        let Some(main) = main else {
            let places = PLACES.map(|place| self.root.join(place).display().to_string());
            return Err(format!("there is no {} in {}", self.name, places.join(", ")));
        };
        let mut drop_ins = std::collections::BTreeMap::new();
        for directory in PLACES
            .iter()
            .rev()
            .flat_map(|place| names().map(move |name| self.root.join(place).join(format!("{name}.d"))))
        {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            for entry in entries {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.ends_with(".conf") && name != DROP_IN {
                    drop_ins.insert(name, entry.path());
                }
            }
        }
        let mut settings = service_settings(&main);
        for path in drop_ins.values() {
            let text = fs::read_to_string(path).unwrap_or_default();
            settings.extend(service_settings(&text));
        }
        Ok(settings)
    }
}

/// The values a setting that is a list has in the end: an empty one begins it anew.
pub fn values<'s>(settings: &'s [(String, String)], key: &str) -> Vec<&'s str> {
    let mut values = Vec::new();
    for (name, value) in settings {
        if name == key && value.is_empty() {
            values.clear();
        } else if name == key {
            values.push(value.as_str());
        }
    }
    values
}

/// The settings of `[Service]` in one file.
fn service_settings(text: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut inside = false;
    let mut logical = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) || (logical.is_empty() && line.is_empty()) {
            continue;
        }
        if let Some(part) = line.strip_suffix('\\') {
            logical.push_str(part);
            logical.push(' ');
            continue;
        }
        let whole = std::mem::take(&mut logical) + line;
        if whole.starts_with('[') {
            inside = whole == "[Service]";
        } else if let (true, Some((key, value))) = (inside, whole.split_once('=')) {
            settings.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_as_systemd_reads_them() {
        let text = "[Unit]\nExecStart=no\n[Service]\n# a\nExecStart=a \\\n  ; between\n b\nUser = x\nExecStart=\nExecStart=-c\n";
        let settings = service_settings(text);
        assert_eq!(settings[0], ("ExecStart".into(), "a  b".into()));
        assert_eq!(values(&settings, "ExecStart"), ["-c"]);
        assert_eq!(values(&settings, "User"), ["x"]);
    }

    #[test]
    fn names_of_services() {
        let name = |name| Unit::new(name, Path::new("/")).map(|unit| unit.name).ok();
        assert_eq!(name("sshd").as_deref(), Some("sshd.service"));
        assert_eq!(name("a@b.service").as_deref(), Some("a@b.service"));
        assert_eq!(name("sshd.socket"), None);
        assert_eq!(name("../x.service"), None);
    }
}
