//! Deny tables of several kinds and sizes, the same for every run.

use std::fmt::Write;
use std::net::Ipv4Addr;

/// A small generator of numbers; the same seed gives the same tables on every machine.
pub struct Numbers(u64);

impl Numbers {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Numbers(seed | 1)
    }

    /// The next number (xorshift64*).
    #[allow(clippy::should_implement_trait, reason = "an endless source, not an iterator")]
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}

/// A client that no table denies: 10.0.0.0/8 is left out of them.
pub const STRANGER: &str = "10.99.98.97";

fn address(numbers: &mut Numbers) -> Ipv4Addr {
    loop {
        let address = Ipv4Addr::from(numbers.next());
        if address.octets()[0] != 10 && address.octets()[0] != 0 {
            return address;
        }
    }
}

/// `rules` rules that each deny sshd to one address, and the addresses.
pub fn addresses(rules: usize) -> (String, Vec<String>) {
    let mut numbers = Numbers::new(7);
    let mut text = String::new();
    let mut clients = Vec::with_capacity(rules);
    for _ in 0..rules {
        let client = address(&mut numbers).to_string();
        let _ = writeln!(text, "sshd: {client}");
        clients.push(client);
    }
    (text, clients)
}

/// `rules` rules of every common kind for several daemons, and the addresses denied singly.
pub fn mixed(rules: usize) -> (String, Vec<String>) {
    let mut numbers = Numbers::new(11);
    let mut text = String::new();
    let mut clients = Vec::new();
    for rule in 0..rules {
        let daemon = ["sshd", "ALL", "vsftpd", "sshd, vsftpd", "in.tftpd"][numbers.next() as usize % 5];
        let client = address(&mut numbers);
        let [a, b, c, _] = client.octets();
        let _ = match numbers.next() % 10 {
            0..5 => {
                clients.push(client.to_string());
                writeln!(text, "{daemon}: {client}")
            }
            5 | 6 => {
                let length = 12 + numbers.next() % 17;
                let net = Ipv4Addr::from(client.to_bits() & (u32::MAX << (32 - length)));
                writeln!(text, "{daemon}: {net}/{length}")
            }
            7 => writeln!(text, "{daemon}: {a}.{b}.{c}."),
            8 => writeln!(text, "{daemon}: host{rule}.example.net"),
            _ => writeln!(text, "{daemon}: .sub{rule}.example.org"),
        };
    }
    (text, clients)
}

/// Tables of other shapes, by name: `rules` rules that each deny something else, and clients, some of which some rules
/// deny. Their servers are 10.0.0.1, their users unknown.
pub fn shaped(shape: &str, rules: usize) -> (String, Vec<String>) {
    let mut numbers = Numbers::new(13);
    let mut text = String::new();
    let mut clients = Vec::with_capacity(rules);
    match shape {
        "one rule" => text.push_str("sshd: "),
        "EXCEPT" => text.push_str("sshd: ALL EXCEPT "),
        _ => {}
    }
    for rule in 0..rules {
        let client = address(&mut numbers);
        let [a, b, c, _] = client.octets();
        let _ = match shape {
            "distinct lists" => writeln!(text, "sshd d{rule}: {client}"),
            "daemon@address" => writeln!(text, "sshd@{client}: ALL"),
            "wildcards" => match numbers.next() % 4 {
                0 => writeln!(text, "sshd: *.sub{rule}.example.org"),
                1 => writeln!(text, "sshd: host{rule}-*"),
                2 => writeln!(text, "sshd: {a}.{b}.{c}?.*"),
                _ => writeln!(text, "sshd: *evil{rule}*"),
            },
            "users" => writeln!(text, "sshd: user{rule}@ALL"),
            "each EXCEPT" => writeln!(text, "sshd d{rule}: ALL EXCEPT {STRANGER}"),
            // As one list of many lines.
            _ => write!(text, "\\\n {client}"),
        };
        clients.push(client.to_string());
    }
    match shape {
        "one rule" => text.push('\n'),
        "EXCEPT" => {
            let _ = writeln!(text, " {STRANGER}");
        }
        _ => {}
    }
    (text, clients)
}
