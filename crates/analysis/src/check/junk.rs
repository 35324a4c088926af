//! Text that no rule was meant to hold: what came along when something was pasted, and what was to be
//! replaced. Only tells it from rules; [`lines`](super::lines) reports it.

/// Web markup, prompts and shell commands where a rule should be.
pub(super) fn is_junk(text: &[u8]) -> bool {
    const STARTS: [&[u8]; 18] = [
        b"<<<<<<< ",
        b"=======",
        b">>>>>>> ",
        b"```",
        b"</",
        b"<pre",
        b"<p>",
        b"<code",
        b"<br",
        b"<div",
        b"<span",
        b"<!--",
        b"$ ",
        b"cat ",
        b"echo ",
        b"sudo ",
        b"vi ",
        b"vim ",
    ];
    const HOLDS: [&[u8]; 10] = [
        b"</pre>", b"</code>", b"</p>", b"<br", b"&lt;", b"&gt;", b"&nbsp;", b"&amp;", b":~# ", b":~$ ",
    ];
    let starts = |s: &&[u8]| {
        text.get(..s.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(s))
    };
    STARTS.iter().any(starts)
        // Nearly every line is done with here.
        || (memchr::memchr3(b'<', b'&', b'~', text).is_some() && {
            let lower = text.to_ascii_lowercase();
            HOLDS.iter().any(|s| memchr::memmem::find(&lower, s).is_some())
        })
        || matches!(text, b"EOF" | b"---" | b"--" | b"...")
        || (text.starts_with(b"[") && memchr::memmem::find(text, b"]# ").is_some())
}

/// Words nobody would have as the name of a daemon or host.
pub(super) fn is_placeholder(token: &[u8]) -> bool {
    // Nearly every word is an address, and done with here.
    if token
        .iter()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/' | b':'))
    {
        return false;
    }
    let lower = token.to_ascii_lowercase();
    let word = lower.as_slice();
    (word.contains(&b'<') && word.contains(&b'>'))
        || word.windows(2).any(|w| matches!(w, b"{{" | b"${" | b"%("))
        || is_template_variable(token)
        || bracketed(word).is_some_and(is_name_of_a_value)
        || is_name_of_a_value(word)
        || has_letters_for_numbers(word)
}

/// `ip`, `your_ip`, `server-ip`, `ip/mask`, `CHANGE_ME`: what a value is called, not one.
fn is_name_of_a_value(word: &[u8]) -> bool {
    const VALUES: [&[u8]; 10] = [
        b"ip",
        b"ips",
        b"ipv4",
        b"ipv6",
        b"ipaddr",
        b"ipaddress",
        b"ipaddresses",
        b"hostname",
        b"fqdn",
        b"cidr",
    ];
    // What stands beside `ip` in such a word; `voice-ip` may be a host.
    const WHOSE: [&[u8]; 34] = [
        b"a",
        b"address",
        b"addresses",
        b"addr",
        b"admin",
        b"allowed",
        b"client",
        b"clients",
        b"example",
        b"external",
        b"here",
        b"home",
        b"host",
        b"local",
        b"machine",
        b"my",
        b"of",
        b"office",
        b"public",
        b"range",
        b"remote",
        b"server",
        b"some",
        b"source",
        b"static",
        b"the",
        b"trusted",
        b"user",
        b"v4",
        b"v6",
        b"vpn",
        b"workstation",
        b"of",
        b"internal",
    ];
    const OTHERS: [&[u8]; 18] = [
        b"...",
        b"{}",
        b"ip.address",
        b"ip.ad.dr.ess",
        b"ip.add.re.ss",
        b"domain.tld",
        b".domain.tld",
        b"host.domain.tld",
        b"changeme",
        b"replaceme",
        b"todo",
        b"fixme",
        b"tbd",
        b"net/mask",
        b"network/mask",
        b"network/netmask",
        b"addr/mask",
        b"address/mask",
    ];
    if VALUES.contains(&word) || OTHERS.contains(&word) {
        return true;
    }
    if let Some(rest) = word.strip_prefix(b"ip/") {
        return !rest.is_empty();
    }
    let parts: Vec<&[u8]> = word.split(|b| matches!(b, b'_' | b'-')).collect();
    let is_yours = |part: &&[u8]| {
        part.strip_prefix(b"your").is_some_and(|rest| {
            let rest = rest.strip_prefix(b".").unwrap_or(rest);
            rest.is_empty()
                || VALUES.contains(&rest)
                || [
                    &b"domain"[..],
                    b"host",
                    b"server",
                    b"network",
                    b"subnet",
                    b"company",
                    b"isp",
                    b"name",
                    b"address",
                ]
                .iter()
                .any(|what| rest.starts_with(what))
        })
    };
    let has = |what: &[u8]| parts.contains(&what);
    if parts.iter().any(is_yours) || (has(b"me") && (has(b"change") || has(b"replace"))) {
        return true;
    }
    let is_value = |part: &&[u8]| VALUES.contains(part);
    parts.len() > 1
        && parts.iter().any(is_value)
        && parts.iter().all(|part| is_value(part) || WHOSE.contains(part))
}

/// What stands between brackets of any kind.
fn bracketed(word: &[u8]) -> Option<&[u8]> {
    match word {
        [b'[', inner @ .., b']']
        | [b'{', inner @ .., b'}']
        | [b'(', inner @ .., b')']
        | [b'%', inner @ .., b'%'] => Some(inner),
        _ => None,
    }
}

/// `x.x.x.x`, `192.168.1.x`, `n.n.n.n/24`, `aaa.bbb.ccc.ddd`, `xx.xx.*`.
fn has_letters_for_numbers(word: &[u8]) -> bool {
    let address = word.split(|b| *b == b'/').next().unwrap_or_default();
    let parts: Vec<&[u8]> = address
        .split(|b| *b == b'.')
        .filter(|part| !part.is_empty())
        .collect();
    let is_run = |part: &&[u8]| {
        (1..=3).contains(&part.len()) && part[0].is_ascii_alphabetic() && part.iter().all(|b| *b == part[0])
    };
    let is_number = |part: &&[u8]| part.len() <= 3 && part.iter().all(u8::is_ascii_digit);
    let is_star = |part: &&[u8]| **part == *b"*";
    let letters = parts.iter().filter(|part| is_run(part)).count();
    let is_x = |part: &&&[u8]| part.iter().all(|b| *b == b'x');
    (parts.len() == 4 && letters > 0 && parts.iter().all(|part| is_run(part) || is_number(part)))
        || (parts.len() >= 2
            && parts.iter().filter(is_x).count() >= 2
            && parts
                .iter()
                .all(|part| is_run(part) || is_number(part) || is_star(part)))
}

/// `$VAR`, `@VAR@`, `__VAR__`.
fn is_template_variable(token: &[u8]) -> bool {
    match token {
        [b'$', rest @ ..] => rest.first().is_some_and(u8::is_ascii_alphabetic),
        [b'@', rest @ .., b'@'] | [b'_', b'_', rest @ .., b'_', b'_'] => !rest.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders() {
        for text in [
            "<ip>",
            "x.x.x.x",
            "XXX.XXX.XXX.*",
            "your_ip_here",
            "{{ip}}",
            "$IP",
            "@HOST@",
            "YOUR_SERVER",
            "1.2.3.x",
            "{ip}",
            "[ip]",
            "%ip%",
            "ip-of-server",
            "example-ip",
            "n.n.n.n/24",
            "aaa.bbb.ccc.ddd",
            "192.168.x.0/24",
            "CHANGE_ME",
            "yourdomain.com",
            "my_ip",
            "server-ip-address",
            "IP.ADDRESS",
            "IPADDR",
            "net/mask",
            "ip/24",
            "your.ip",
            "trusted_ips",
            "YOUR-IP",
        ] {
            assert!(is_placeholder(text.as_bytes()), "{text}");
        }
        for text in [
            "xerox.com",
            "10.0.0.1",
            "@trusted",
            "a.example.com",
            "x11",
            "shipx",
            "voice-ip",
            "ip.example.com",
            "10.0.0.",
            "[::1]",
            "[fe80::1%eth0]",
            "192.168.*",
            "*.x.org",
            "my.host.example.com",
            "youri",
            "a.b.c",
            "10.1.2.host",
            "aaa",
            "x.y.example.com",
            "www.xxx.com",
            "ALL",
            "{country=DE}",
        ] {
            assert!(!is_placeholder(text.as_bytes()), "{text}");
        }
    }
}
