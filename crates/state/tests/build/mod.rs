//! Builds databases in the MaxMind DB format, of networks that do not overlap or of which the longer come later.

use state::network::Network;

/// Of what shape the tree is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Bits of a record.
    pub record_size: u64,
    /// Has it addresses of IPv6?
    pub is_v6: bool,
}

/// What a record says.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "not every test that builds databases needs all")]
pub enum Record {
    /// As GeoLite2 has it: country and continent.
    Nested(&'static str, &'static str),
    /// The country of registration alone.
    Registered(&'static str),
    /// As other databases have it: the country's code, and an autonomous system.
    Flat(&'static str, u32),
    /// These bytes.
    Raw(&'static [u8]),
}

fn text(text: &str, out: &mut Vec<u8>) {
    match text.len() {
        short @ ..29 => out.push(2 << 5 | short as u8),
        long => out.extend([2 << 5 | 29, (long - 29) as u8]),
    }
    out.extend_from_slice(text.as_bytes());
}

fn number(number: u64, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    // Of eight bytes if need be.
    match number > u64::from(u32::MAX) {
        true => out.extend([bytes.len() as u8, 2]),
        false => out.push(6 << 5 | bytes.len() as u8),
    }
    out.extend_from_slice(bytes);
}

fn map(entries: u8, out: &mut Vec<u8>) {
    out.push(7 << 5 | entries);
}

fn record(record: &Record, out: &mut Vec<u8>) {
    match record {
        Record::Nested(country, continent) => {
            map(3, out);
            text("continent", out);
            map(3, out);
            text("code", out);
            text(continent, out);
            text("geoname_id", out);
            number(6_255_148, out);
            text("names", out);
            map(1, out);
            text("en", out);
            text(
                "a continent with quite a long name, longer than any there is",
                out,
            );
            // A list in the way, of a number and a truth.
            text("country_list", out);
            out.extend([2, 4]);
            number(1, out);
            out.extend([1, 7]);
            text("country", out);
            map(1, out);
            text("iso_code", out);
            text(country, out);
        }
        Record::Registered(country) => {
            map(1, out);
            text("registered_country", out);
            map(1, out);
            text("iso_code", out);
            text(country, out);
        }
        Record::Flat(country, asn) => {
            map(2, out);
            text("autonomous_system_number", out);
            number((*asn).into(), out);
            text("country_code", out);
            text(country, out);
        }
        Record::Raw(bytes) => out.extend_from_slice(bytes),
    }
}

#[derive(Clone, Copy)]
enum Node {
    Empty,
    Inner(usize),
    Data(usize),
}

/// The bytes of a database.
pub fn database(shape: Shape, records: &[(&str, Record)]) -> Vec<u8> {
    let mut nodes = vec![[Node::Empty; 2]];
    let mut data = Vec::new();
    for (network, what) in records {
        let network: Network = network.parse().unwrap();
        if !shape.is_v6 && !network.is_v4() {
            continue;
        }
        let at = data.len();
        // What is there twice is pointed to the second time.
        record(what, &mut data);
        let (bits, length) = match (network.address(), shape.is_v6) {
            (std::net::IpAddr::V4(v4), false) => (u128::from(v4.to_bits()) << 96, network.length()),
            (std::net::IpAddr::V4(v4), true) => (u128::from(v4.to_bits()), network.length() + 96),
            (std::net::IpAddr::V6(v6), _) => (v6.to_bits(), network.length()),
        };
        let mut node = 0;
        for depth in 0..length {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == length {
                nodes[node][side] = Node::Data(at);
                break;
            }
            node = match nodes[node][side] {
                Node::Inner(next) => next,
                other => {
                    // What stood for the wider network stands for its parts.
                    nodes.push([other; 2]);
                    nodes[node][side] = Node::Inner(nodes.len() - 1);
                    nodes.len() - 1
                }
            };
        }
    }
    let count = nodes.len() as u64;
    let mut out = Vec::new();
    for node in &nodes {
        let [left, right] = node.map(|child| match child {
            Node::Empty => count,
            Node::Inner(at) => at as u64,
            Node::Data(at) => count + 16 + at as u64,
        });
        let (l, r) = (left.to_be_bytes(), right.to_be_bytes());
        match shape.record_size {
            24 => [&l[5..], &r[5..]]
                .iter()
                .for_each(|part| out.extend_from_slice(part)),
            28 => {
                out.extend_from_slice(&l[5..]);
                out.push(l[4] << 4 | r[4]);
                out.extend_from_slice(&r[5..]);
            }
            _ => [&l[4..], &r[4..]]
                .iter()
                .for_each(|part| out.extend_from_slice(part)),
        }
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    map(9, &mut out);
    for (key, value) in [
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
        ("build_epoch", 1_700_000_000),
        ("ip_version", if shape.is_v6 { 6 } else { 4 }),
        ("node_count", count),
        ("record_size", shape.record_size),
    ] {
        text(key, &mut out);
        match key {
            "build_epoch" => {
                out.extend([8, 2]);
                out.extend_from_slice(&u64::to_be_bytes(value));
            }
            "node_count" => number(value, &mut out),
            // Of two bytes.
            _ => {
                out.push(5 << 5 | 2);
                out.extend_from_slice(&(value as u16).to_be_bytes());
            }
        }
    }
    text("database_type", &mut out);
    text("Test", &mut out);
    text("languages", &mut out);
    out.extend([0, 4]);
    text("description", &mut out);
    map(1, &mut out);
    text("en", &mut out);
    text("A test", &mut out);
    out
}
