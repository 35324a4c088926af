//! `cargo xtask install`: for systems without a package. `PREFIX`, `LIBDIR` and `DESTDIR` are those of makefiles.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dist::{self, Profile};
use crate::shell::{Result, read};

/// Where things go.
#[derive(Debug)]
pub struct Places {
    /// What `usr` becomes, `/usr/local` if not given.
    prefix: String,
    /// What `usr/lib` becomes for the library and its pkg-config file, `PREFIX/lib` if not given.
    libdir: String,
    /// Put before all of them, for those who make packages.
    destdir: PathBuf,
}

impl Places {
    /// From arguments such as `PREFIX=/opt/tcpwrap`.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let (mut prefix, mut libdir, mut destdir) = (None, None, None);
        for argument in arguments {
            let (name, value) = argument
                .split_once('=')
                .ok_or_else(|| format!("{argument:?} is not understood: PREFIX=, LIBDIR=, DESTDIR="))?;
            let place = match name {
                "PREFIX" => &mut prefix,
                "LIBDIR" => &mut libdir,
                "DESTDIR" => &mut destdir,
                _ => return Err(format!("{name} is not known: PREFIX, LIBDIR, DESTDIR")),
            };
            if !value.starts_with('/') {
                return Err(format!("{argument}: not an absolute path"));
            }
            *place = Some(value.trim_end_matches('/').to_owned());
        }
        let prefix = prefix.unwrap_or_else(|| "/usr/local".to_owned());
        Ok(Places {
            libdir: libdir.unwrap_or_else(|| format!("{prefix}/lib")),
            destdir: PathBuf::from(destdir.unwrap_or_default()),
            prefix,
        })
    }

    /// Where a file goes that is laid out at `file`, without `DESTDIR`.
    fn place(&self, file: &str) -> String {
        let libraries = ["libwrap.", "pkgconfig/"];
        match (file.strip_prefix("usr/lib/"), file.strip_prefix("usr/")) {
            (Some(name), _) if libraries.iter().any(|start| name.starts_with(start)) => {
                format!("{}/{name}", self.libdir)
            }
            (_, Some(name)) => format!("{}/{name}", self.prefix),
            _ => format!("/{file}"),
        }
    }
}

/// Builds everything and installs it.
pub fn install(places: &Places) -> Result<()> {
    let tree = dist::build(Profile::Release)?;
    let listed = read(
        Command::new("find")
            .args([".", "!", "-type", "d"])
            .current_dir(&tree),
    )?;
    for file in listed.lines().map(|line| line.trim_start_matches("./")) {
        let place = places.place(file);
        let to = places.destdir.join(place.trim_start_matches('/'));
        let to = if places.destdir.as_os_str().is_empty() {
            PathBuf::from(&place)
        } else {
            to
        };
        put(&tree.join(file), &to, places).map_err(|error| format!("{}: {error}", to.display()))?;
        println!("{}", to.display());
    }
    Ok(())
}

fn put(from: &Path, to: &Path, places: &Places) -> std::io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    if from.is_symlink() {
        let _ = fs::remove_file(to);
        return symlink(fs::read_link(from)?, to);
    }
    // Beside it first: programs that run keep the file they have, and none finds half of one.
    let beside = to.with_extension("tcpwrap-new");
    fs::copy(from, &beside)?;
    if from.extension().is_some_and(|extension| extension == "pc") {
        let text = fs::read_to_string(from)?;
        let text = text
            .replace("prefix=/usr\n", &format!("prefix={}\n", places.prefix))
            .replace("libdir=${prefix}/lib\n", &format!("libdir={}\n", places.libdir));
        fs::write(&beside, text)?;
    }
    fs::rename(beside, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_where_the_variables_say() {
        let parse =
            |words: &[&str]| Places::parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        let usual = parse(&[]).unwrap();
        assert_eq!(usual.place("usr/sbin/tcpd"), "/usr/local/sbin/tcpd");
        assert_eq!(usual.place("usr/lib/libwrap.so.0"), "/usr/local/lib/libwrap.so.0");
        assert_eq!(usual.place("etc/x"), "/etc/x");
        let other = parse(&["PREFIX=/opt/t/", "LIBDIR=/opt/t/lib64"]).unwrap();
        assert_eq!(
            other.place("usr/lib/pkgconfig/libwrap.pc"),
            "/opt/t/lib64/pkgconfig/libwrap.pc"
        );
        assert_eq!(
            other.place("usr/lib/tmpfiles.d/tcpwrap.conf"),
            "/opt/t/lib/tmpfiles.d/tcpwrap.conf"
        );
        for wrong in ["PREFIX", "PREFIX=here", "BINDIR=/x"] {
            assert!(parse(&[wrong]).is_err());
        }
    }
}
