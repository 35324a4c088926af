//! Programs that ask the tables under a name of their own, or only where their configuration says so.
//!
//! A program that is not in the table is taken to ask under its own name whenever it is linked with libwrap, as most
//! do. Each row names its evidence: a manual page, or what the program of a Debian package passes to libwrap.

mod settings;
mod switches;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use system::services::base_name;

use switches::{Found, Setup};

/// Whether a program that has libwrap uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    /// It does.
    On,
    /// It does not, for this reason.
    Off(String),
    /// That depends on this.
    Unknown(String),
}

/// A name under which a program asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// The daemon's name in the rules.
    pub name: Vec<u8>,
    /// The port for which it asks so, where that is known and not all.
    pub port: Option<u16>,
    /// Whether it asks.
    pub switch: Switch,
}

/// What is known of a program.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its file names.
    programs: &'static [&'static str],
    /// The name under which it asks; nothing where that is its own, `argv[0]` without the directory.
    name: Option<&'static str>,
    /// Programs and modules that ask for it. It is not linked with libwrap itself then.
    helpers: &'static [&'static str],
    /// Reads its configuration; nothing where it always asks.
    switch: Option<fn(&Setup<'_>) -> Vec<Found>>,
    /// It asks about datagrams too.
    pub datagrams: bool,
    /// Where all that is written.
    pub evidence: &'static str,
}

/// Which programs there are to be told apart.
const fn known(programs: &'static [&'static str], evidence: &'static str) -> Known {
    Known {
        programs,
        name: None,
        helpers: &[],
        switch: None,
        datagrams: false,
        evidence,
    }
}

const fn fixed(programs: &'static [&'static str], name: &'static str, evidence: &'static str) -> Known {
    Known {
        name: Some(name),
        ..known(programs, evidence)
    }
}

const fn datagrams(known: Known) -> Known {
    Known {
        datagrams: true,
        ..known
    }
}

/// The table.
pub static KNOWN: &[Known] = &[
    // From 9.8 on, the program of each session asks.
    Known {
        switch: Some(switches::sshd),
        helpers: &[
            "/usr/lib/openssh/sshd-session",
            "/usr/libexec/openssh/sshd-session",
            "/usr/libexec/sshd-session",
        ],
        ..fixed(
            &["sshd"],
            "sshd",
            "Debian openssh-server: sshd(8), FILES; its program passes its own name",
        )
    },
    Known {
        switch: Some(switches::vsftpd),
        ..fixed(
            &["vsftpd"],
            "vsftpd",
            "vsftpd.conf(5), tcp_wrappers: off unless set",
        )
    },
    Known {
        switch: Some(switches::stunnel),
        ..known(
            &["stunnel", "stunnel4", "stunnel5"],
            "stunnel(8), libwrap: off unless set; the service's name in brackets is asked for",
        )
    },
    Known {
        helpers: &[
            "/usr/lib/proftpd/mod_wrap.so",
            "/usr/libexec/proftpd/mod_wrap.so",
            "/usr/lib64/proftpd/mod_wrap.so",
        ],
        switch: Some(switches::proftpd),
        ..fixed(
            &["proftpd"],
            "proftpd",
            "ProFTPD module mod_wrap: TCPAccessFiles, TCPServiceName",
        )
    },
    Known {
        helpers: &["/usr/lib/dovecot/tcpwrap", "/usr/libexec/dovecot/tcpwrap"],
        switch: Some(switches::dovecot),
        ..known(
            &["dovecot"],
            "Dovecot 2.3: login_access_sockets; its helper asks for the protocol",
        )
    },
    Known {
        switch: Some(switches::socat),
        ..known(
            &["socat", "socat1"],
            "socat(1), tcpwrap: only for addresses that have the option",
        )
    },
    Known {
        switch: Some(switches::auditd),
        ..fixed(
            &["auditd"],
            "auditd",
            "auditd.conf(5), use_libwrap: on unless switched off",
        )
    },
    Known {
        switch: Some(switches::conman),
        ..fixed(
            &["conmand"],
            "conmand",
            "conman.conf(5), tcpwrappers: off unless set",
        )
    },
    Known {
        switch: Some(switches::dante),
        ..known(
            &["danted", "sockd"],
            "danted.conf(5), libwrap.hosts_access: off unless set",
        )
    },
    Known {
        switch: Some(switches::apt_cacher_ng),
        helpers: &[
            "/usr/lib/x86_64-linux-gnu/libsupacng.so",
            "/usr/lib/aarch64-linux-gnu/libsupacng.so",
        ],
        ..fixed(
            &["apt-cacher-ng"],
            "apt-cacher-ng",
            "acng.conf, UseWrap: unless set, where a table names it",
        )
    },
    Known {
        switch: Some(switches::inetd),
        ..known(
            &["inetd"],
            "Debian openbsd-inetd: inetd(8), -l; it asks for the services it starts, not for its own",
        )
    },
    Known {
        switch: Some(switches::cyrus),
        ..known(
            &[
                "imapd",
                "pop3d",
                "nntpd",
                "lmtpd",
                "timsieved",
                "httpd",
                "mupdate",
            ],
            "Cyrus IMAP: cyrus.conf(5), the service's name is asked for",
        )
    },
    Known {
        switch: Some(switches::sslh),
        ..known(
            &["sslh", "sslh-select", "sslh-ev", "sslh-fork"],
            "sslh(8), Libwrap support: the names are in its configuration",
        )
    },
    Known {
        switch: Some(switches::rlinetd),
        ..known(
            &["rlinetd"],
            "rlinetd.conf(5), tcpd: only for services that have it",
        )
    },
    Known {
        switch: Some(switches::upsd),
        ..fixed(
            &["upsd"],
            "upsd",
            "upsd(8), ACCESS CONTROL: asked for commands that need a login, not at once",
        )
    },
    // The name that rules want is not the program's.
    datagrams(fixed(
        &["rpc.mountd"],
        "mountd",
        "rpc.mountd(8), TCP_WRAPPERS SUPPORT",
    )),
    datagrams(fixed(
        &["rpc.statd"],
        "statd",
        "rpc.statd(8), TCP_WRAPPERS SUPPORT",
    )),
    datagrams(fixed(
        &["rpc.rquotad"],
        "rquotad",
        "Debian quota: what its program passes",
    )),
    datagrams(fixed(
        &["atftpd"],
        "in.tftpd",
        "Debian atftpd: what its program passes",
    )),
    fixed(
        &["imapproxyd"],
        "in.imapproxyd",
        "Debian imapproxy: what its program passes",
    ),
    fixed(
        &["sendmail", "sendmail.sendmail", "sendmail-mta"],
        "sendmail",
        "Debian sendmail-bin: what its program passes",
    ),
    datagrams(known(
        &["in.tftpd"],
        "Debian tftpd-hpa: its program passes its own name",
    )),
    datagrams(known(
        &["in.ntalkd", "in.talkd"],
        "Debian talkd: its program passes its own name",
    )),
    fixed(&["slapd"], "slapd", "Debian slapd: what its program passes"),
    datagrams(fixed(
        &["rpcbind"],
        "rpcbind",
        "Debian rpcbind: what its program passes",
    )),
    fixed(
        &["mosquitto"],
        "mosquitto",
        "Debian mosquitto: what its program passes",
    ),
    fixed(
        &["nrpe"],
        "nrpe",
        "Debian nagios-nrpe-server: what its program passes",
    ),
    datagrams(fixed(
        &["snmpd"],
        "snmpd",
        "Debian snmpd: libnetsnmpagent asks for the agent; tests/daemons",
    )),
    datagrams(fixed(
        &["snmptrapd"],
        "snmptrapd",
        "Debian snmptrapd: what its program passes",
    )),
    fixed(&["pptpd"], "pptpd", "Debian pptpd: what its program passes"),
    fixed(&["p910nd"], "p910nd", "Debian p910nd: what its program passes"),
    fixed(&["diod"], "diod", "Debian diod: what its program passes"),
    fixed(
        &["syslog-ng"],
        "syslog-ng",
        "Debian syslog-ng-core: what its module passes",
    ),
];

/// Programs that have libwrap in a library and are known to call it only in another role.
const NEVER_ASKS: &[(&str, &str)] = &[
    ("slapadd", "slapd's tools serve nobody"),
    ("slapacl", "slapd's tools serve nobody"),
    ("slapauth", "slapd's tools serve nobody"),
    ("slapcat", "slapd's tools serve nobody"),
    ("slapdn", "slapd's tools serve nobody"),
    ("slapindex", "slapd's tools serve nobody"),
    ("slapmodify", "slapd's tools serve nobody"),
    ("slappasswd", "slapd's tools serve nobody"),
    ("slapschema", "slapd's tools serve nobody"),
    ("slaptest", "slapd's tools serve nobody"),
    ("agentxtrap", "a client of snmpd"),
    ("tcpwrap", "it asks for the programs that it guards"),
    ("tcpdmatch", "it asks in order to tell"),
    ("tcpdchk", "it asks in order to tell"),
    ("try-from", "it asks in order to tell"),
];

/// What is known of a program, by its file name.
pub fn of(program: &[u8]) -> Option<&'static Known> {
    let name = base_name(program);
    KNOWN
        .iter()
        .find(|known| known.programs.iter().any(|program| program.as_bytes() == name))
}

/// Other names of the same program, as distributions and versions have them.
pub fn also_called(name: &[u8]) -> &'static [&'static str] {
    const ALSO: &[(&str, &[&str])] = &[
        ("httpd", &["apache2"]),
        ("http", &["apache2", "nginx"]),
        ("https", &["apache2", "nginx"]),
        ("apache", &["apache2", "httpd"]),
        ("apache2", &["httpd"]),
        ("mysqld", &["mariadbd"]),
        ("mysql", &["mariadbd"]),
        ("mariadb", &["mariadbd"]),
        ("portmap", &["rpcbind"]),
        ("exim", &["exim4"]),
        ("stunnel", &["stunnel4"]),
        ("tftpd", &["in.tftpd"]),
        ("postgresql", &["postgres"]),
        ("redis", &["redis-server"]),
    ];
    let found = ALSO
        .iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
    found.map_or(&[], |(_, names)| names)
}

/// Does it run programs that are written in a language of its own?
pub fn is_interpreter(program: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 9] = [
        b"python", b"perl", b"ruby", b"node", b"php", b"java", b"lua", b"tclsh", b"guile",
    ];
    let name = base_name(program);
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Why a program that has libwrap serves nobody.
pub fn never_asks(program: &[u8]) -> Option<&'static str> {
    let name = base_name(program);
    NEVER_ASKS
        .iter()
        .find(|(known, _)| known.as_bytes() == name)
        .map(|(_, why)| *why)
}

impl Known {
    /// Files that ask for the program, of those that are here.
    pub fn helpers(&self) -> impl Iterator<Item = &'static Path> {
        self.helpers.iter().map(Path::new).filter(|path| path.exists())
    }

    /// Do other programs or modules ask for it?
    pub fn has_helpers(&self) -> bool {
        !self.helpers.is_empty()
    }

    /// Does a file say whether it asks, and not its command line alone?
    pub fn is_configured(&self) -> bool {
        self.switch.is_some()
            && !["sshd", "socat", "inetd"]
                .iter()
                .any(|name| self.programs.contains(name))
    }

    /// Its file names.
    pub fn programs(&self) -> &'static [&'static str] {
        self.programs
    }
}

/// The names under which a program asks, and whether it does. `arguments` begins with `argv[0]`, and is empty where
/// the program does not run.
pub fn asks(program: &Path, arguments: &[Vec<u8>]) -> Vec<Asks> {
    asks_since(program, arguments, None)
}

/// The same of a process that was started at a time: what was switched on later, it may not have read.
pub fn asks_since(program: &Path, arguments: &[Vec<u8>], started: Option<SystemTime>) -> Vec<Asks> {
    let file = program.as_os_str().as_encoded_bytes();
    // A title that a process has given itself is no name.
    let argv0 = arguments.first().filter(|argv0| !argv0.contains(&b' '));
    let own = base_name(argv0.map_or(file, Vec::as_slice)).to_vec();
    let on = |name| Asks {
        name,
        port: None,
        switch: Switch::On,
    };
    let Some(known) = of(file) else {
        // An RPC service is known without the `rpc.` of its program, or with it.
        let bare = own.strip_prefix(b"rpc.").map(<[u8]>::to_vec);
        return bare.into_iter().chain([own]).map(on).collect();
    };
    let name = known.name.map_or(own, |name| name.as_bytes().to_vec());
    let Some(read) = known.switch else {
        return vec![on(name)];
    };
    let setup = Setup {
        arguments: argv0.map_or(&[], |_| &arguments[1..]),
        title: arguments.first().filter(|_| argv0.is_none()).map(Vec::as_slice),
        since: None,
    };
    let mut all = read(&setup);
    let is_on = |found: &Found| found.switch == Switch::On;
    if started.is_some() && all.iter().any(is_on) {
        let then = read(&Setup {
            since: started,
            ..setup
        });
        if then != all {
            let why =
                "its configuration was changed after it was started; it holds once that has been read again";
            let on = all.iter_mut().filter(|found| is_on(found));
            on.for_each(|found| found.switch = Switch::Unknown(why.to_owned()));
        }
    }
    all.into_iter()
        .map(|found| Asks {
            name: found.name.unwrap_or_else(|| name.clone()),
            port: found.port,
            switch: found.switch,
        })
        .collect()
}

/// The programs of the table that are installed here, with their paths.
pub fn installed() -> impl Iterator<Item = (&'static Known, PathBuf)> {
    KNOWN.iter().flat_map(|known| {
        let found = known
            .programs
            .iter()
            .filter_map(|name| system::services::program(name.as_bytes()));
        found.map(move |path| (known, path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_the_program_s() {
        let name = |program: &str| {
            let asks = asks(Path::new(program), &[]);
            String::from_utf8(asks[0].name.clone()).unwrap()
        };
        assert_eq!(name("/usr/sbin/rpc.mountd"), "mountd");
        assert_eq!(name("/sbin/rpc.statd"), "statd");
        assert_eq!(name("/usr/sbin/rpc.rquotad"), "rquotad");
        assert_eq!(name("/usr/sbin/atftpd"), "in.tftpd");
        assert_eq!(name("/opt/food"), "food");
    }

    #[test]
    fn a_program_is_in_one_row() {
        let mut seen = std::collections::HashSet::new();
        for known in KNOWN {
            assert!(!known.evidence.is_empty());
            for program in known.programs {
                assert!(seen.insert(program), "{program}");
            }
        }
    }

    #[test]
    fn argv0_names_the_others() {
        let arguments = [b"/x/other".to_vec()];
        assert_eq!(
            asks(Path::new("/usr/sbin/in.tftpd"), &arguments)[0].name,
            b"other"
        );
    }
}
