//! One question for both sides.

/// Tables, a request and what to show of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The allow table; nothing where the file does not exist.
    pub allow: Option<Vec<u8>>,
    /// The deny table.
    pub deny: Option<Vec<u8>>,
    /// The contents of the file that tables name as `DIR/list`.
    pub list: Vec<u8>,
    /// The daemon's name.
    pub daemon: String,
    /// The client's address.
    pub client_address: String,
    /// The client's name.
    pub client_name: String,
    /// The user at the client's end.
    pub user: String,
    /// The server endpoint's address.
    pub server_address: String,
    /// Its name.
    pub server_name: String,
    /// Its port; nothing where neither endpoint has a socket address.
    pub server_port: Option<u16>,
    /// Names and users are looked up when needed; otherwise they are given beforehand.
    pub lookup: bool,
    /// `hosts_access_verbose`
    pub verbose: i32,
    /// A text to expand after the decision.
    pub expand: Vec<u8>,
    /// The contents of `DIR/banners/DAEMON`; nothing where there is none.
    pub banner: Option<Vec<u8>>,
    /// The process serves many requests.
    pub resident: bool,
}

impl Default for Case {
    fn default() -> Self {
        Case {
            allow: None,
            deny: None,
            list: Vec::new(),
            daemon: "sshd".into(),
            client_address: "192.0.2.1".into(),
            client_name: "host.example.org".into(),
            user: "u1".into(),
            server_address: "198.51.100.1".into(),
            server_name: "server.example.org".into(),
            server_port: Some(22),
            lookup: true,
            verbose: 2,
            expand: b"%a %A %c %d %h %H %n %N %p %r %R %s %u %% %c %s %h".to_vec(),
            banner: None,
            resident: false,
        }
    }
}

impl Case {
    /// The usual request, with these tables. `DIR` in them stands for the directory of the files.
    pub fn new(allow: impl AsRef<[u8]>, deny: impl AsRef<[u8]>) -> Self {
        Case {
            allow: Some(allow.as_ref().to_vec()),
            deny: Some(deny.as_ref().to_vec()),
            ..Case::default()
        }
    }

    /// From a client at this address and with this name.
    pub fn client(mut self, address: &str, name: &str) -> Self {
        self.client_address = address.into();
        self.client_name = name.into();
        self
    }

    /// A text with `DIR` replaced.
    pub(crate) fn text(&self, text: &[u8], directory: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.windows(3).position(|w| w == b"DIR") {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(directory.as_bytes());
            rest = &rest[at + 3..];
        }
        out.extend_from_slice(rest);
        out
    }
}

/// A line of an answer, in the driver's spelling.
pub(crate) fn line(word: &str, text: &[u8]) -> String {
    let mut out = format!("{word} ");
    for &byte in text {
        if byte == b'\\' || !(b' '..=b'~').contains(&byte) {
            out.push_str(&format!("\\x{byte:02x}"));
        } else {
            out.push(char::from(byte));
        }
    }
    out
}
