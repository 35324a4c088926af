//! Whether a program asks, and as whom, read from its command line and its configuration.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Switch;
use super::settings::{Blocks, first_there, in_blocks, is_yes, last, matching, pairs, read, with_includes};

/// What there is to read.
pub(super) struct Setup<'a> {
    /// The arguments after `argv[0]`; none where the program does not run.
    pub(super) arguments: &'a [Vec<u8>],
    /// The title that the process has given itself, which leaves its arguments unknown.
    pub(super) title: Option<&'a [u8]>,
    /// Files that were changed later are not read.
    pub(super) since: Option<SystemTime>,
}

/// What was read.
#[derive(PartialEq, Eq)]
pub(super) struct Found {
    /// The daemon's name, where it is another than the table says.
    pub(super) name: Option<Vec<u8>>,
    /// For this port alone.
    pub(super) port: Option<u16>,
    pub(super) switch: Switch,
}

impl Found {
    fn all(switch: Switch) -> Vec<Self> {
        vec![Found {
            name: None,
            port: None,
            switch,
        }]
    }
}

impl Setup<'_> {
    /// The value of an option of one letter, `-c FILE` or `-cFILE`.
    fn option(&self, letter: &str) -> Option<&Path> {
        let mut arguments = self.arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix(letter.as_bytes()) {
                Some(b"") => return arguments.next().map(|value| as_path(value)),
                Some(value) => return Some(as_path(value)),
                None => {}
            }
        }
        None
    }
}

fn as_path(text: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(text))
}

/// On or off, as a setting of a file says.
fn setting(setup: &Setup<'_>, path: &Path, name: &str, unless_set: bool, is_on: fn(&str) -> bool) -> Switch {
    let text = match read(path, setup.since) {
        Ok(text) => text,
        Err(problem) => return Switch::Unknown(problem),
    };
    match last(&text, name) {
        Some(value) if is_on(value) => Switch::On,
        None if unless_set => Switch::On,
        Some(value) => Switch::Off(format!("{} says {name} {value}", path.display())),
        None => Switch::Off(format!("{} does not set {name}", path.display())),
    }
}

/// The processes of sessions listen too, at forwarded ports, and ask nobody there.
pub(super) fn sshd(setup: &Setup<'_>) -> Vec<Found> {
    let is_session = setup.title.is_some_and(|title| {
        title.starts_with(b"sshd") && memchr::memmem::find(title, b"[listener]").is_none()
    });
    Found::all(match is_session {
        true => Switch::Off("this is a port that a session has forwarded".to_owned()),
        false => Switch::On,
    })
}

pub(super) fn vsftpd(setup: &Setup<'_>) -> Vec<Found> {
    const FILES: [&str; 2] = ["/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf"];
    // Files and `-oNAME=VALUE`, the last one counts.
    let mut switch = None;
    for argument in setup.arguments {
        if let Some(option) = argument.strip_prefix(b"-o") {
            if let Some(value) = String::from_utf8_lossy(option).strip_prefix("tcp_wrappers=") {
                switch = Some(match is_yes(value) {
                    true => Switch::On,
                    false => Switch::Off(format!("it is started with -otcp_wrappers={value}")),
                });
            }
        } else if !argument.starts_with(b"-") {
            switch = Some(setting(setup, as_path(argument), "tcp_wrappers", false, is_yes));
        }
    }
    Found::all(switch.unwrap_or_else(|| setting(setup, &first_there(&FILES), "tcp_wrappers", false, is_yes)))
}

pub(super) fn stunnel(setup: &Setup<'_>) -> Vec<Found> {
    let files = match setup
        .arguments
        .iter()
        .find(|argument| !argument.starts_with(b"-"))
    {
        Some(file) => vec![as_path(file).to_path_buf()],
        None if setup.arguments.is_empty() => matching(Path::new("/etc/stunnel/*.conf")),
        None => vec![PathBuf::from("/etc/stunnel/stunnel.conf")],
    };
    let mut found = Vec::new();
    for file in files {
        match read(&file, setup.since) {
            Ok(text) => found.extend(stunnel_services(&text, &file)),
            Err(problem) => found.extend(Found::all(Switch::Unknown(problem))),
        }
    }
    if found.is_empty() {
        return Found::all(Switch::Off("no service is configured for it".to_owned()));
    }
    found
}

/// The services of a configuration. What is set before the first one holds for all.
fn stunnel_services(text: &str, file: &Path) -> Vec<Found> {
    let off = |name: &str| Switch::Off(format!("{} does not set libwrap for [{name}]", file.display()));
    let mut common = false;
    let mut found: Vec<Found> = Vec::new();
    for (name, value) in pairs(text) {
        if let Some(service) = name.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            found.push(Found {
                name: Some(service.as_bytes().to_vec()),
                port: None,
                switch: if common { Switch::On } else { off(service) },
            });
        } else if name.eq_ignore_ascii_case("libwrap") {
            match found.last_mut() {
                Some(service) if is_yes(value) => service.switch = Switch::On,
                Some(service) => {
                    let name =
                        String::from_utf8_lossy(service.name.as_deref().unwrap_or_default()).into_owned();
                    service.switch =
                        Switch::Off(format!("{} switches libwrap off for [{name}]", file.display()));
                }
                None => common = is_yes(value),
            }
        } else if name.eq_ignore_ascii_case("accept")
            && let Some(service) = found.last_mut()
        {
            let port = value.rsplit(':').next().unwrap_or(value).trim();
            service.port = port
                .parse()
                .ok()
                .or_else(|| crate::socket::service_port(port, "tcp"));
        }
    }
    found
}

pub(super) fn proftpd(setup: &Setup<'_>) -> Vec<Found> {
    let given = setup.option("-c").or_else(|| setup.option("--config="));
    let file = given.map_or_else(
        || first_there(&["/etc/proftpd/proftpd.conf", "/etc/proftpd.conf"]),
        Path::to_path_buf,
    );
    let includes = |line: &str| {
        let (word, rest) = line.split_once(char::is_whitespace)?;
        word.eq_ignore_ascii_case("Include")
            .then(|| rest.trim().to_owned())
    };
    let text = match with_includes(&file, setup.since, includes) {
        Ok(text) => text,
        Err(problem) => return Found::all(Switch::Unknown(problem)),
    };
    let shown = file.display();
    // What is in these is for all servers.
    let blocks = Blocks::Tags(&["Global", "IfModule", "IfDefine"]);
    let (name, other_names) = in_blocks(&text, "TCPServiceName", blocks);
    let (files, other_files) = in_blocks(&text, "TCPAccessFiles", blocks);
    let name_of = |name: &str| name.trim_matches('"').as_bytes().to_vec();
    let name = name.map(name_of);
    let tables: Vec<&str> = files.unwrap_or_default().split_whitespace().collect();
    let is_other_name = |other: &&str| Some(name_of(other)) != name;
    let is_other_pair = |other: &&str| !other.split_whitespace().eq(tables.iter().copied());
    let is_for_some = other_names.iter().any(is_other_name) || other_files.iter().any(is_other_pair);
    let loads =
        pairs(&text).any(|(word, module)| word.eq_ignore_ascii_case("LoadModule") && module == "mod_wrap.c");
    let switch = match tables[..] {
        _ if !loads => Switch::Off(format!("{shown} does not load mod_wrap.c")),
        _ if is_for_some => Switch::Unknown(format!("{shown} sets it another way for some of its servers")),
        ["/etc/hosts.allow", "/etc/hosts.deny"] => Switch::On,
        [allow, deny] => Switch::Off(format!("{shown} has it ask {allow} and {deny} instead")),
        _ => Switch::Off(format!("{shown} does not set TCPAccessFiles")),
    };
    vec![Found {
        name,
        port: None,
        switch,
    }]
}

pub(super) fn dovecot(setup: &Setup<'_>) -> Vec<Found> {
    const PROTOCOLS: [(&str, &[u16]); 4] = [
        ("imap", &[143, 993]),
        ("pop3", &[110, 995]),
        ("sieve", &[4190]),
        ("submission", &[587, 465]),
    ];
    let file = setup
        .option("-c")
        .unwrap_or(Path::new("/etc/dovecot/dovecot.conf"));
    let includes = |line: &str| {
        let (word, rest) = line.split_once(char::is_whitespace)?;
        matches!(word, "!include" | "!include_try").then(|| rest.trim().to_owned())
    };
    let switch = match with_includes(file, setup.since, includes) {
        Err(problem) => Switch::Unknown(problem),
        Ok(text) => {
            let (value, others) = in_blocks(&text, "login_access_sockets", Blocks::Braces);
            let asks = |value: &str| value.split_whitespace().any(|socket| socket == "tcpwrap");
            let asks_all = value.is_some_and(asks);
            let shown = file.display();
            match asks_all {
                _ if others.iter().any(|other| asks(other) != asks_all) => {
                    Switch::Unknown(format!("{shown} sets login_access_sockets another way for some"))
                }
                true => Switch::On,
                false => Switch::Off(format!("{shown} does not set login_access_sockets = tcpwrap")),
            }
        }
    };
    let each = |(name, ports): (&'static str, &'static [u16])| {
        let switch = switch.clone();
        ports.iter().map(move |port| Found {
            name: Some(name.as_bytes().to_vec()),
            port: Some(*port),
            switch: switch.clone(),
        })
    };
    PROTOCOLS.into_iter().flat_map(each).collect()
}

/// One service for each address with the option; the address is what listens.
pub(super) fn socat(setup: &Setup<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for argument in setup.arguments {
        let text = String::from_utf8_lossy(argument);
        let mut options = text.split(',');
        let address = options.next().unwrap_or_default();
        if address.starts_with('-')
            || !address.to_ascii_lowercase().contains("listen")
                && !address.to_ascii_lowercase().contains("recv")
        {
            continue;
        }
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        let mut name = None;
        let mut switch = Switch::Off("its address has no tcpwrap option".to_owned());
        for option in options {
            let (word, value) = option.split_once('=').unwrap_or((option, ""));
            match word.to_ascii_lowercase().as_str() {
                "tcpwrap" | "tcpwrapper" | "tcpwrappers" | "libwrap" | "wrap" => {
                    name = Some(value)
                        .filter(|value| !value.is_empty())
                        .map(|value| value.as_bytes().to_vec());
                    if !matches!(switch, Switch::Unknown(_)) {
                        switch = Switch::On;
                    }
                }
                "allow-table" | "hosts-allow" | "deny-table" | "hosts-deny" | "tcpwrap-etc" => {
                    switch = Switch::Unknown(format!("it is told to read other tables: {option}"));
                }
                _ => {}
            }
        }
        found.push(Found { name, port, switch });
    }
    if found.is_empty() {
        return Found::all(Switch::Off(
            "none of its addresses has the tcpwrap option".to_owned(),
        ));
    }
    found
}

pub(super) fn auditd(setup: &Setup<'_>) -> Vec<Found> {
    let directory = setup.option("-c").unwrap_or(Path::new("/etc/audit"));
    Found::all(setting(
        setup,
        &directory.join("auditd.conf"),
        "use_libwrap",
        true,
        is_yes,
    ))
}

pub(super) fn conman(setup: &Setup<'_>) -> Vec<Found> {
    let file = setup.option("-c").unwrap_or(Path::new("/etc/conman.conf"));
    let text = match read(file, setup.since) {
        Ok(text) => text,
        Err(problem) => return Found::all(Switch::Unknown(problem)),
    };
    // Several settings may stand on a line, with blanks around `=` or without.
    let lines = pairs(&text).filter(|(word, _)| word.eq_ignore_ascii_case("server"));
    let value = lines
        .filter_map(|(_, rest)| {
            let rest = rest.replace([' ', '\t'], "").to_ascii_lowercase();
            let (_, value) = rest.rsplit_once("tcpwrappers=")?;
            Some(value.trim_start_matches('"').starts_with("on"))
        })
        .next_back();
    Found::all(match value {
        Some(true) => Switch::On,
        _ => Switch::Off(format!("{} does not say server tcpwrappers=on", file.display())),
    })
}

pub(super) fn dante(setup: &Setup<'_>) -> Vec<Found> {
    let given = setup.option("-f").map(Path::to_path_buf);
    let file = given.unwrap_or_else(|| first_there(&["/etc/danted.conf", "/etc/sockd.conf"]));
    Found::all(setting(setup, &file, "libwrap.hosts_access:", false, is_yes))
}

pub(super) fn apt_cacher_ng(setup: &Setup<'_>) -> Vec<Found> {
    const NAME: &str = "apt-cacher-ng";
    let mut value = None;
    for file in matching(Path::new("/etc/apt-cacher-ng/*.conf")) {
        if let Ok(text) = read(&file, setup.since)
            && let Some(set) = last(&text, "UseWrap:")
        {
            value = Some(set.to_owned());
        }
    }
    let is_named = || {
        let tables = [hosts_access::ALLOW_TABLE, hosts_access::DENY_TABLE];
        tables.iter().any(|table| {
            std::fs::read(table).is_ok_and(|text| memchr::memmem::find(&text, NAME.as_bytes()).is_some())
        })
    };
    Found::all(match value.as_deref() {
        Some("0") => Switch::Off("its configuration says UseWrap: 0".to_owned()),
        Some(_) => Switch::On,
        None if is_named() => Switch::On,
        None => Switch::Off("its configuration does not say UseWrap: 1, and no table names it".to_owned()),
    })
}

pub(super) fn inetd(setup: &Setup<'_>) -> Vec<Found> {
    let is_letter = |argument: &Vec<u8>| argument.starts_with(b"-") && argument.contains(&b'l');
    Found::all(match setup.arguments.iter().any(is_letter) {
        true => Switch::On,
        false => {
            Switch::Off("it is started without -l, so it asks for none of its services itself".to_owned())
        }
    })
}

/// The names of the services in `cyrus.conf`, whose programs these are.
pub(super) fn cyrus(setup: &Setup<'_>) -> Vec<Found> {
    let Ok(text) = read(Path::new("/etc/cyrus.conf"), setup.since) else {
        return Found::all(Switch::On);
    };
    let mut is_inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with("SERVICES") {
            is_inside = true;
        } else if line.starts_with('}') {
            is_inside = false;
        } else if is_inside && let Some((name, rest)) = line.split_once(char::is_whitespace) {
            let listen = rest
                .split("listen=")
                .nth(1)
                .unwrap_or_default()
                .trim_start_matches('"');
            let listen = listen.split(['"', ' ', '\t']).next().unwrap_or_default();
            if listen.starts_with('/') {
                continue;
            }
            let port = listen.rsplit(':').next().unwrap_or(listen);
            found.push(Found {
                name: Some(name.as_bytes().to_vec()),
                port: port
                    .parse()
                    .ok()
                    .or_else(|| crate::socket::service_port(port, "tcp")),
                switch: Switch::On,
            });
        }
    }
    if found.is_empty() {
        Found::all(Switch::On)
    } else {
        found
    }
}

pub(super) fn sslh(_: &Setup<'_>) -> Vec<Found> {
    Found::all(Switch::Unknown(
        "its configuration says for which services it asks, and under what names".to_owned(),
    ))
}

pub(super) fn rlinetd(_: &Setup<'_>) -> Vec<Found> {
    Found::all(Switch::Unknown(
        "only services with the directive tcpd in its configuration are asked for".to_owned(),
    ))
}

pub(super) fn upsd(_: &Setup<'_>) -> Vec<Found> {
    Found::all(Switch::Unknown(
        "it asks when a client logs in, not when one connects".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(
        read: fn(&Setup<'_>) -> Vec<Found>,
        arguments: &[&str],
    ) -> Vec<(String, Option<u16>, Switch)> {
        let arguments: Vec<Vec<u8>> = arguments
            .iter()
            .map(|argument| argument.as_bytes().to_vec())
            .collect();
        let setup = Setup {
            arguments: &arguments,
            title: None,
            since: None,
        };
        let found = read(&setup).into_iter();
        let text = |name: Option<Vec<u8>>| String::from_utf8(name.unwrap_or_default()).unwrap();
        found
            .map(|found| (text(found.name), found.port, found.switch))
            .collect()
    }

    fn switch(read: fn(&Setup<'_>) -> Vec<Found>, arguments: &[&str]) -> Switch {
        read_with(read, arguments).remove(0).2
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.conf");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (directory, path)
    }

    #[test]
    fn vsftpd_is_off_unless_set() {
        let (_on, on) = file("anonymous_enable=NO\ntcp_wrappers=YES\n");
        let (_off, off) = file("tcp_wrappers=YES\ntcp_wrappers=NO\n");
        let (_unset, unset) = file("#tcp_wrappers=YES\n");
        assert_eq!(switch(vsftpd, &[&on]), Switch::On);
        assert!(matches!(switch(vsftpd, &[&off]), Switch::Off(why) if why.ends_with("says tcp_wrappers NO")));
        assert!(matches!(switch(vsftpd, &[&unset]), Switch::Off(_)));
        assert_eq!(switch(vsftpd, &[&unset, "-otcp_wrappers=YES"]), Switch::On);
        assert!(matches!(switch(vsftpd, &["/no/such/file"]), Switch::Unknown(_)));
    }

    #[test]
    fn stunnel_asks_for_its_services() {
        let text = "; libwrap = no\nlibwrap = yes\n[one]\naccept = 127.0.0.1:7001\n[two]\nlibwrap = no\naccept = 7002\n";
        let (_directory, path) = file(text);
        let found = read_with(stunnel, &[&path]);
        assert_eq!(found[0], ("one".to_owned(), Some(7001), Switch::On));
        assert_eq!((&found[1].0[..], found[1].1), ("two", Some(7002)));
        assert!(matches!(found[1].2, Switch::Off(_)));
        let (_directory, path) = file("[one]\naccept = 7001\n");
        assert!(matches!(read_with(stunnel, &[&path])[0].2, Switch::Off(_)));
    }

    #[test]
    fn proftpd_needs_module_and_tables() {
        let tables = "TCPAccessFiles /etc/hosts.allow /etc/hosts.deny\n";
        let (directory, path) = file(&format!("Include modules.conf\n{tables}TCPServiceName \"ftp\"\n"));
        assert!(matches!(switch(proftpd, &["-c", &path]), Switch::Off(why) if why.contains("mod_wrap")));
        std::fs::write(directory.path().join("modules.conf"), "LoadModule mod_wrap.c\n").unwrap();
        assert_eq!(
            read_with(proftpd, &["-c", &path])[0],
            ("ftp".to_owned(), None, Switch::On)
        );
        let all = format!("LoadModule mod_wrap.c\n<IfModule mod_wrap.c>\n{tables}</IfModule>\n");
        let (_directory, path) = file(&all);
        assert_eq!(switch(proftpd, &["-c", &path]), Switch::On);
        // What is set for one server is not for all, and the end of its block ends that.
        for (block, is_same) in [
            ("TCPAccessFiles /a /b\n", false),
            ("TCPServiceName other\n", false),
            (tables, true),
        ] {
            let text = format!("{all}<VirtualHost 192.0.2.1>\n{block}</VirtualHost>\n");
            let (_directory, path) = file(&text);
            let switch = switch(proftpd, &["-c", &path]);
            assert_eq!(switch == Switch::On, is_same, "{block}: {switch:?}");
            assert_eq!(
                matches!(switch, Switch::Unknown(_)),
                !is_same,
                "{block}: {switch:?}"
            );
        }
        let (_directory, path) = file(&format!(
            "LoadModule mod_wrap.c\n<VirtualHost x>\nPort 21\n</VirtualHost>\n{tables}"
        ));
        assert_eq!(switch(proftpd, &["-c", &path]), Switch::On);
        let (_directory, path) = file("LoadModule mod_wrap.c\nTCPAccessFiles /a /b\n");
        assert!(matches!(switch(proftpd, &["-c", &path]), Switch::Off(why) if why.contains("/a and /b")));
    }

    #[test]
    fn socat_asks_where_an_address_says_so() {
        let found = read_with(
            socat,
            &["-d", "TCP-LISTEN:7001,fork,tcpwrap=one", "EXEC:/bin/cat"],
        );
        assert_eq!(found, [("one".to_owned(), Some(7001), Switch::On)]);
        assert!(matches!(
            switch(socat, &["TCP4-LISTEN:7001,fork", "-"]),
            Switch::Off(_)
        ));
        assert!(matches!(
            switch(socat, &["TCP4-LISTEN:7001,tcpwrap,deny-table=/x", "-"]),
            Switch::Unknown(_)
        ));
    }

    #[test]
    fn others() {
        let (_directory, path) = file("server keepalive=on tcpwrappers=on\n");
        assert!(matches!(switch(conman, &["-c", "/no/such"]), Switch::Unknown(_)));
        assert_eq!(switch(conman, &["-c", &path]), Switch::On);
        let (_directory, path) = file("libwrap.hosts_access: yes\n");
        assert_eq!(switch(dante, &["-f", &path]), Switch::On);
        let (directory, path) = file("");
        std::fs::write(directory.path().join("auditd.conf"), "use_libwrap = no\n").unwrap();
        assert!(matches!(
            switch(auditd, &["-c", directory.path().to_str().unwrap()]),
            Switch::Off(_)
        ));
        assert!(matches!(switch(dante, &["-f", &path]), Switch::Off(_)));
        assert_eq!(switch(inetd, &["-i", "-l"]), Switch::On);
        assert!(matches!(switch(inetd, &["-i"]), Switch::Off(_)));
        let (directory, path) = file("!include conf.d/*.conf\n");
        std::fs::create_dir(directory.path().join("conf.d")).unwrap();
        assert!(matches!(switch(dovecot, &["-c", &path]), Switch::Off(_)));
        std::fs::write(
            directory.path().join("conf.d/10.conf"),
            "login_access_sockets = tcpwrap\n",
        )
        .unwrap();
        assert_eq!(
            read_with(dovecot, &["-c", &path])[0],
            ("imap".to_owned(), Some(143), Switch::On)
        );
        // A block may be for some protocols, or for some addresses.
        let block = |inside: &str, after: &str| {
            let text = format!("protocol imap {{\n  remote 10.0.0.0/8 {{\n    {inside}\n  }}\n}}\n{after}\n");
            let (_directory, path) = file(&text);
            switch(dovecot, &["-c", &path])
        };
        let (set, unset) = ("login_access_sockets = tcpwrap", "login_access_sockets =");
        assert!(matches!(block(set, ""), Switch::Unknown(_)));
        assert!(matches!(block(unset, set), Switch::Unknown(_)));
        assert!(matches!(block(unset, ""), Switch::Off(_)));
        assert_eq!(block("ssl = yes", set), Switch::On);
        assert_eq!(block(set, set), Switch::On);
        // Comments hide neither where a block begins nor what a setting is.
        let (_directory, path) = file(&format!("protocol imap {{ # once\n{set}\n}} # it ends\n"));
        assert!(matches!(switch(dovecot, &["-c", &path]), Switch::Unknown(_)));
        assert!(matches!(
            block("", "login_access_sockets = # tcpwrap"),
            Switch::Off(_)
        ));
        assert_eq!(block("", "login_access_sockets = tcpwrap # all"), Switch::On);
    }
}
