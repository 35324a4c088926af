//! The `[Service]` section of a unit and its drop-ins, read as systemd.syntax(7) has it.

/// Settings in the order in which systemd reads them.
#[derive(Debug, Default)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// Reads one file; what it sets comes after what was set before.
    pub fn read(&mut self, text: &str) {
        let mut inside = false;
        let mut logical = String::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.trim_start();
            if line.starts_with(['#', ';']) {
                continue;
            }
            if goes_on(line) {
                logical.push_str(&line[..line.len() - 1]);
                logical.push(' ');
                continue;
            }
            let whole = std::mem::take(&mut logical) + line.trim_end();
            if whole.starts_with('[') {
                inside = whole == "[Service]";
            } else if let (true, Some((key, value))) = (inside, whole.split_once('=')) {
                self.0.push((key.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }

    /// Is it set anywhere, be it to nothing?
    pub fn mention(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// The values a setting that is a list has in the end: an empty one begins it anew.
    pub fn list(&self, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (name, value) in &self.0 {
            if name == key && value.is_empty() {
                values.clear();
            } else if name == key {
                values.push(value.as_str());
            }
        }
        values
    }

    /// The value of a setting that has one, empty where it has none.
    pub fn value(&self, key: &str) -> &str {
        let last = self.0.iter().rev().find(|(name, _)| name == key);
        last.map_or("", |(_, value)| value)
    }
}

/// Does the next line belong to this one? Of two backslashes, the first only quotes the second.
fn goes_on(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
    backslashes % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let mut settings = Settings::default();
        settings.read(text);
        settings
    }

    #[test]
    fn lines_as_systemd_reads_them() {
        let read = settings(
            "\u{feff}[Unit]\nExecStart=no\n[Service]\n# a \\\nExecStart=a \\\n  ; between\n b\n User = x\r\n\
             Type=one\nType=two\nEnvironment=a\\\\\nExecStop=c \\\n\nExecReload=d\n",
        );
        assert_eq!(read.list("ExecStart"), ["a  b"]);
        assert_eq!(read.list("User"), ["x"]);
        assert_eq!(read.value("Type"), "two");
        assert_eq!(read.value("Environment"), "a\\\\");
        assert_eq!(read.value("ExecStop"), "c");
        assert_eq!(read.value("ExecReload"), "d");
        assert_eq!(read.value("Restart"), "");
    }

    #[test]
    fn an_empty_value_begins_a_list_anew() {
        let mut read = settings("[Service]\nExecStart=a\nExecStart=b\n");
        assert_eq!(read.list("ExecStart"), ["a", "b"]);
        read.read("[Service]\nExecStart=\nExecStart=c\n");
        assert_eq!(read.list("ExecStart"), ["c"]);
        read.read("[Service]\nExecStart=\n");
        assert!(read.list("ExecStart").is_empty() && read.mention("ExecStart"));
    }
}
