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
    const HOLDS: [&[u8]; 9] = [
        b"your_ip",
        b"your-ip",
        b"your.ip",
        b"yourip",
        b"yourdomain",
        b"yourhost",
        b"ip_address",
        b"ip-address",
        b"ipaddress",
    ];
    if token
        .iter()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/'))
    {
        return false;
    }
    let lower = token.to_ascii_lowercase();
    let word = lower.as_slice();
    let has = |part: &&[u8]| memchr::memmem::find(word, part).is_some();
    let is_x = |part: &&[u8]| !part.is_empty() && part.iter().all(|b| *b == b'x');
    (word.contains(&b'<') && word.contains(&b'>'))
        || word.windows(2).any(|w| matches!(w, b"{{" | b"${" | b"%("))
        || (word.windows(4).any(|w| matches!(w, b"your" | b"addr")) && HOLDS.iter().any(has))
        || matches!(
            word,
            b"ip"
                | b"ipv4"
                | b"ipv6"
                | b"a.b.c.d"
                | b"w.x.y.z"
                | b"..."
                | b"{}"
                | b"hostname"
                | b"your_domain"
        )
        || (word.contains(&b'x') && word.split(|b| *b == b'.').filter(is_x).count() >= 2)
        || (word.starts_with(b"ip/") && word.len() > 3)
        || is_template_variable(token)
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
        ] {
            assert!(!is_placeholder(text.as_bytes()), "{text}");
        }
    }
}
