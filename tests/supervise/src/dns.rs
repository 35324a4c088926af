//! A name server that answers when the test wants it to, for `192.0.2.N` being `hostN.example`.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Points this machine's resolver at a server that takes `delay` for an answer, or never gives one.
pub fn serve(machine: &support::Machine, delay: Option<Duration>) {
    answer_after(machine, move || match delay {
        Some(delay) => std::thread::sleep(delay),
        None => loop {
            std::thread::park();
        },
    });
}

/// A name server that answers nobody while it is held.
pub struct Held {
    is_held: Arc<AtomicBool>,
    is_asked: Arc<AtomicBool>,
}

impl Held {
    /// Points this machine's resolver at one.
    pub fn serve(machine: &support::Machine) -> Self {
        let held = Held {
            is_held: Arc::default(),
            is_asked: Arc::default(),
        };
        let (is_held, is_asked) = (Arc::clone(&held.is_held), Arc::clone(&held.is_asked));
        answer_after(machine, move || {
            is_asked.store(true, Ordering::SeqCst);
            while is_held.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        held
    }

    /// Answers nobody from now on.
    pub fn hold(&self) {
        self.is_asked.store(false, Ordering::SeqCst);
        self.is_held.store(true, Ordering::SeqCst);
    }

    /// Waits until somebody waits for an answer.
    pub fn wait_until_asked(&self) {
        support::wait_until("a question", || {
            self.is_asked.load(Ordering::SeqCst).then_some(())
        });
    }

    /// Answers all who wait, and whoever comes.
    pub fn release(&self) {
        self.is_held.store(false, Ordering::SeqCst);
    }
}

/// Points this machine's resolver at a server that waits before each answer, which keeps no other one.
fn answer_after(machine: &support::Machine, wait: impl Fn() + Send + Sync + 'static) {
    machine.put(
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    );
    machine.put(
        "/etc/resolv.conf",
        "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n",
    );
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:53").expect("the port"));
    let wait = Arc::new(wait);
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            let (socket, wait, question) =
                (Arc::clone(&socket), Arc::clone(&wait), packet[..length].to_vec());
            std::thread::spawn(move || {
                wait();
                let _ = socket.send_to(&answer(&question), client);
            });
        }
    });
}

/// The answer to a query with one question.
fn answer(query: &[u8]) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = 12;
    while let Some(length) = query.get(at).copied().filter(|length| *length > 0) {
        let end = at + 1 + usize::from(length);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).into_owned());
        at = end;
    }
    let question = &query[12..at + 5];
    let kind = query[at + 2];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let data = match (&labels[..], kind) {
        ([n, "2", "0", "192", "in-addr", "arpa"], 12) => Some(name(&format!("host{n}.example"))),
        ([host, "example"], 1) => host
            .strip_prefix("host")
            .and_then(|n| n.parse().ok())
            .map(|n| Ipv4Addr::new(192, 0, 2, n).octets().to_vec()),
        _ => None,
    };
    let mut packet = query[..2].to_vec();
    packet.extend([0x81, if data.is_some() { 0x80 } else { 0x83 }]);
    packet.extend([0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]);
    packet.extend_from_slice(question);
    if let Some(data) = data {
        packet.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0]);
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
    }
    packet
}

fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in text.split('.') {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}
