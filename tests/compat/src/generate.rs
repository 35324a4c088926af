//! Cases made up from a seed: every form of pattern and option, in every odd spelling.
//!
//! What `deviations.md` lists is left out; each entry there has a test of its own.

use crate::case::Case;

/// A small generator of numbers (xorshift64*): the same seed, the same cases.
pub struct Numbers(u64);

impl Numbers {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }

    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

const DAEMONS: &[&str] = &[
    "sshd",
    "SSHD",
    "sshd",
    "vsftpd",
    "ALL",
    "all",
    "22",
    "+22",
    "022",
    "22x",
    "-22",
    "80",
    "65536",
    "4294967318",
    "0x16",
    "ss*",
    "s?hd",
    "*",
    "?",
    ".d",
    "s.",
    "known",
    "LOCAL",
    "UNKNOWN",
    "EXCEPT",
    "except",
    "sshd@198.51.100.1",
    "sshd@server.example.org",
    "sshd@.example.org",
    "sshd@ALL",
    "ALL@LOCAL",
    "22@198.51.100.",
    "sshd@198.51.100.0/24",
    "sshd@[2001:db8::9]",
    "@sshd",
    "sshd@",
    "sshd@@group",
    "ss[h@d]",
    "[sshd]",
    "sshd@vsftpd@x",
    "[::1",
    "in.sshd",
    "/etc/sshd",
];

const HOSTS: &[&str] = &[
    "ALL",
    "all",
    "LOCAL",
    "local",
    "KNOWN",
    "known",
    "UNKNOWN",
    "PARANOID",
    "paranoid",
    "EXCEPT",
    "EXCEPT",
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.",
    "192.0.",
    "192.",
    "192",
    "1.2.3",
    ".1",
    ".2.1",
    "0.2.1",
    "0xc0.0.2.1",
    "192.0.2.01",
    "192.0.2.1.",
    "192.0.2.0/24",
    "192.0.2.0/255.255.255.0",
    "192.0.2.1/24",
    "192.0.2.1/32",
    "192.0.2.1/255.255.255.255",
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "192.0.2.0/24x",
    "192.0.2.0/x",
    "192.0.2.0/",
    "192.0.2.0/33",
    "192.0.2.0/-1",
    "192.0.2.0/+24",
    "192.0.2.0/024",
    "192.0.2/24",
    "192.0.2.0.0/24",
    "192..2.0/24",
    "0300.0.2.0/24",
    "0xC0.0.2.0/24",
    "192.0.2.0/255.0.255.0",
    "192.0.0.0/255.0.255.0",
    "192.0.2.0/0xffffff00",
    "192.0.2.0/255.255.255",
    "192.0.2.0/24/8",
    "256.0.2.0/24",
    "192.0.2.1/31",
    "[2001:db8::1]",
    "[2001:DB8:0::1]",
    "[2001:db8::2]",
    "[2001:db8::]/32",
    "[2001:db8::1]/32",
    "[2001:db8::1]/128",
    "[::]/0",
    "[::]/",
    "[::]/x",
    "[2001:db8::]/129",
    "[2001:db8::]/-1",
    "[2001:db8::/32]",
    "[fe80::1]",
    "[fe80::1%lo]",
    "[fe80::1%1]",
    "[fe80::]/10",
    "[fe80::%lo]/10",
    "[::ffff:192.0.2.1]",
    "[::ffff:192.0.2.0]/120",
    "[192.0.2.1]",
    "[]",
    "[x]",
    "2001:db8::1",
    "[2001:db8::1",
    "2001:db8::1]",
    "2001:db8:",
    "[2001:db8:*",
    "::ffff:192.0.2.1",
    "host.example.org",
    "HOST.Example.Org",
    "other.example.org",
    ".example.org",
    ".org",
    "example.org",
    ".host.example.org",
    "host.",
    "host.example.",
    "*.example.org",
    "h?st.*",
    "*",
    "192.0.*.1",
    "*.*",
    "*x*",
    "?*",
    "localhost",
    "@group",
    "@nogroup",
    "@",
    "@@group",
    "u1@ALL",
    "u1@192.0.2.1",
    "U1@192.0.2.",
    "u2@ALL",
    "ALL@192.0.2.1",
    "KNOWN@ALL",
    "UNKNOWN@ALL",
    "u*@LOCAL",
    ".1@ALL",
    "u.@ALL",
    "u1@@group",
    "u1@",
    "u1@[2001:db8::1]",
    "u1@DIR/list",
    "DIR/list",
    "DIR/list",
    "DIR/missing",
    "/",
    "*/24",
    "a/b",
    "#",
    "#x",
    "\\",
    "host\\",
    "ALL:",
    "x.y.z",
    "unknown",
    "255.255.255.255",
    "255.255.255.255/32",
    "0.0.0.0",
];

const OPTIONS: &[&str] = &[
    "allow",
    "ALLOW",
    "deny",
    "Deny",
    " allow ",
    "allow=",
    "allow x",
    "deny=1",
    "spawn echo %a",
    "spawn = echo %c %h %u",
    "spawn=x=y",
    "spawn",
    "spawn echo %n\\:%p \\x \\",
    "spawn %",
    "spawn %%%z%",
    "SPAWN\techo %s %d %A %N %H %R %r",
    "twist echo %c",
    "twist",
    "twist echo a\\:b %u",
    "aclexec true",
    "aclexec true %c",
    "aclexec",
    "severity auth.info",
    "severity info",
    "severity AUTH.Debug",
    "severity local7.warning",
    "severity auth.",
    "severity .info",
    "severity nope",
    "severity auth.nope",
    "severity auth.info.x",
    "severity",
    "severity warn",
    "severity error",
    "severity panic",
    "severity none",
    "severity authpriv.info",
    "severity ftp.info",
    "severity syslog.info",
    "severity mark.info",
    "severity kern.emerg",
    "severity uucp.alert",
    "severity cron.crit",
    "severity lpr.err",
    "severity news.notice",
    "severity user.info",
    "severity mail.debug",
    "severity security.info",
    "keepalive",
    "keepalive x",
    "keepalive=",
    "linger 5",
    "linger 0",
    "linger -1",
    "linger 5x",
    "linger",
    "linger x",
    "linger +3",
    "linger 99999999999",
    "rfc931",
    "rfc931 5",
    "rfc931 0",
    "rfc931 -1",
    "rfc931 x",
    "rfc931=30",
    "nice",
    "nice 5",
    "nice -5",
    "nice x",
    "nice 5 6",
    "umask 022",
    "umask 0777",
    "umask 1000",
    "umask 8",
    "umask",
    "umask 22",
    "umask -1",
    "umask 0",
    "umask +7",
    "setenv A b",
    "setenv A b c",
    "setenv A",
    "setenv",
    "setenv A=b c",
    "setenv  A   %c  ",
    "setenv = A b",
    "banners DIR/banners",
    "banners DIR/nowhere",
    "banners",
    "",
    " ",
    "bad",
    "bad option",
    "=",
    "= x",
    "allow : deny",
    "a\\:llow",
    "options",
    "spawn\u{b}x",
    "nice\u{b}5",
    "allow\r",
];

const SEPARATORS: &[&str] = &[
    " ", " ", " ", ",", ", ", "\t", "\r", ",,", " , ", "\\\n", " \\\n ", "  ",
];

const LINES: &[&str] = &[
    "# comment\n",
    "#comment \\\nsshd: ALL\n",
    " # indented: ALL\n",
    "\n",
    "  \t\n",
    "\r\n",
    "no separator\n",
    "sshd ALL\n",
    ":\n",
    "::\n",
    "sshd:\n",
    ": ALL\n",
    ":::\n",
    "sshd: ALL\r\n",
    "sshd: ALL: allow\r\n",
    "sshd: \\\r\nALL\n",
    "\\\n\n",
    "\\\nsshd: 192.0.2.1\n",
    "sshd: ALL # why not\n",
    "sshd[: ALL:]: ALL\n",
    "]: ALL\n",
    "sshd: [ALL: ALL\n",
    "sshd: ]ALL: ALL\n",
    "<ip>: x.x.x.x\n",
    "sshd: ALL: spawn (echo %c; x) &\n",
    "\u{c}\n",
    "\u{b}\n",
    "sshd: \u{e9}t\u{e9}\n",
    "sshd: \u{1b}[m\n",
];

const ADDRESSES: &[&str] = &[
    "192.0.2.1",
    "192.0.2.1",
    "192.0.2.1",
    "192.0.2.77",
    "192.0.3.1",
    "10.0.0.1",
    "2001:db8::1",
    "2001:db8::1",
    "fe80::1%lo",
    "fe80::1",
    "::1",
    "::ffff:192.0.2.1",
    "::ffff:10.0.0.1",
    "unknown",
    "255.255.255.255",
    "0.0.0.0",
];

const NAMES: &[&str] = &[
    "host.example.org",
    "host.example.org",
    "Host.Example.ORG",
    "other.example.org",
    "localhost",
    "unknown",
    "paranoid",
    "deep.host.example.org",
    "x",
];

const USERS: &[&str] = &["u1", "unknown", "u 1;x", "root", "u.1"];

/// The case with this number.
pub fn case(number: u64) -> Case {
    let mut n = Numbers::new(number + 1);
    let mut case = Case::new(table(&mut n), table(&mut n)).client(n.pick(ADDRESSES), n.pick(NAMES));
    if n.once_in(12) {
        case.allow = None;
    }
    if n.once_in(12) {
        case.deny = None;
    }
    if n.once_in(3) {
        let tables = [&mut case.allow, &mut case.deny];
        tables.into_iter().flatten().for_each(|text| damage(&mut n, text));
    }
    case.list = list(&mut n);
    case.user = n.pick(USERS).into();
    case.server_address = n
        .pick(&["198.51.100.1", "2001:db8::9", "unknown", "::ffff:198.51.100.1"])
        .into();
    case.server_name = n.pick(&["server.example.org", "unknown", "server"]).into();
    case.server_port = [Some(22), Some(22), Some(22), Some(80), Some(0), None][n.below(6)];
    case.resident = n.once_in(6);
    case.lookup = !n.once_in(4);
    case.verbose = n.below(3) as i32;
    if n.once_in(3) {
        case.banner = Some(b"hello %c\nuser %u\n".to_vec());
    }
    if n.once_in(20) {
        case.banner = Some(b"\0\0%d\n\nlast".to_vec());
    }
    case
}

/// Bytes taken away, repeated, changed and put in. A command that fails would be a deviation, and so are NUL bytes.
fn damage(n: &mut Numbers, text: &mut Vec<u8>) {
    let asks_a_command = |text: &[u8]| {
        text.to_ascii_lowercase()
            .windows(7)
            .any(|word| word == b"aclexec")
    };
    let before = text.clone();
    for _ in 0..1 + n.below(4) {
        let start = n.below(text.len() + 1);
        let end = text.len().min(start + n.below(12));
        match n.below(4) {
            0 => drop(text.drain(start..end)),
            1 => {
                let piece = text[start..end].to_vec();
                let to = n.below(text.len() + 1);
                text.splice(to..to, piece);
            }
            2 => text[start..end]
                .iter_mut()
                .for_each(|byte| *byte = 1 + n.below(255) as u8),
            _ => {
                let from = [PIECES, OPTION_PIECES, SEPARATORS, DAEMONS, HOSTS][n.below(5)];
                text.splice(start..start, n.pick(from).bytes());
            }
        }
    }
    // To the driver a table `-` is none.
    if asks_a_command(text) || asks_a_command(&before) || text == b"-" {
        *text = before;
    }
}

fn list(n: &mut Numbers) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..n.below(6) {
        // A list that named itself would be a deviation.
        let host = n.pick(HOSTS);
        if !host.contains("DIR") {
            text.push_str(host);
            text.push_str(n.pick(&["\n", " ", "\t", "\r\n", "\n\n", ","]));
        }
    }
    text.into_bytes()
}

fn table(n: &mut Numbers) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..n.below(6) {
        if n.once_in(5) {
            text.push_str(n.pick(LINES));
        } else {
            rule(n, &mut text);
        }
    }
    let mut text = text.into_bytes();
    if n.once_in(25) {
        // No newline at the end.
        text.pop();
    }
    if n.once_in(15) && !text.is_empty() {
        // A stray byte anywhere; NUL bytes are a deviation.
        let at = n.below(text.len());
        text[at] = [
            b':', b'[', b']', b' ', b'\\', b'\n', b'@', b'%', b'#', b'/', 0xff, b'.',
        ][n.below(12)];
    }
    text
}

fn rule(n: &mut Numbers, text: &mut String) {
    tokens(n, DAEMONS, text);
    text.push_str(n.pick(&[":", ": ", " : ", "\t:"]));
    tokens(n, HOSTS, text);
    if n.once_in(2) {
        for _ in 0..1 + n.below(3) {
            text.push_str(n.pick(&[":", " : ", ": ", "\\\n:"]));
            if n.once_in(5) {
                scribble_option(n, text);
            } else {
                text.push_str(n.pick(OPTIONS));
            }
        }
    }
    text.push('\n');
}

fn tokens(n: &mut Numbers, from: &[&str], text: &mut String) {
    for at in 0..1 + n.below(4) {
        if at > 0 {
            text.push_str(n.pick(SEPARATORS));
        }
        if n.once_in(6) {
            scribble(n, text);
        } else {
            text.push_str(n.pick(from));
        }
    }
}

/// Pieces that tokens are made of, in no sensible order.
const PIECES: &[&str] = &[
    "0",
    "1",
    "2",
    "192",
    "255",
    "00",
    "0x",
    "x",
    "a",
    "A",
    "g",
    ".",
    ".",
    ".",
    "/",
    "/",
    "[",
    "]",
    ":",
    "::",
    "%",
    "*",
    "?",
    "@",
    "-",
    "+",
    "192.0.2.1",
    "192.0.2",
    "2001:db8",
    "fe80",
    "::ffff:",
    "ffff",
    "lo",
    "%1",
    "host",
    "example",
    ".org",
    "ALL",
    "EXCEPT",
    "u1",
    "=",
    "\\",
    "#",
    "24",
    "32",
    "128",
    "\u{e9}",
    "'",
    "\"",
    "(",
    "~",
    "_",
    "\u{b}",
];

/// A token of pieces.
fn scribble(n: &mut Numbers, text: &mut String) {
    for _ in 0..1 + n.below(5) {
        text.push_str(n.pick(PIECES));
    }
}

/// Pieces that options are made of.
const OPTION_PIECES: &[&str] = &[
    "spawn",
    "setenv",
    "umask",
    "nice",
    "linger",
    "severity",
    "rfc931",
    "allow",
    "deny",
    "keepalive",
    " ",
    " ",
    "=",
    "\t",
    "\\",
    "\\:",
    ":",
    "0",
    "7",
    "22",
    "-",
    "+",
    "x",
    "%",
    "%a",
    "%c",
    "%z",
    "%%",
    "auth",
    ".",
    "info",
    "A",
    "\r",
    "\u{b}",
    "#",
    "[",
    "]",
    "2147483648",
    "9223372036854775808",
    "18446744073709551616",
];

fn scribble_option(n: &mut Numbers, text: &mut String) {
    for _ in 0..1 + n.below(6) {
        text.push_str(n.pick(OPTION_PIECES));
    }
}
