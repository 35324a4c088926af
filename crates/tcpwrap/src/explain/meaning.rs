//! What a token means, in a few words (hosts_access(5), PATTERNS).

use analysis::explain::ListKind;
use hosts_access::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern, Service, StringPattern};

/// Says what a token matches.
pub fn meaning(list: ListKind, token: &[u8]) -> String {
    match list {
        ListKind::Daemons => {
            let pattern = DaemonPattern::parse(token);
            let service = match pattern.service {
                Service::Port(port) => format!("the server port {port}"),
                Service::Name(name) => string("daemon", name),
            };
            match pattern.host {
                Some(host) => format!("{service}, reached at {}", self::host("server", host)),
                None => service,
            }
        }
        ListKind::Clients => {
            let pattern = ClientPattern::parse(token);
            let host = host("client", pattern.host);
            match pattern.user {
                Some(user) => format!("{host}, and there {}", string("user", StringPattern::parse(user))),
                None => host,
            }
        }
    }
}

fn host(who: &str, pattern: HostPattern<'_>) -> String {
    match pattern {
        HostPattern::Netgroup(group) => format!("{who}s in the netgroup {}", show(group)),
        HostPattern::File(path) => format!("{who}s listed in {}", show(path)),
        HostPattern::Known => format!("{who}s whose name and address are known"),
        HostPattern::Local => format!("{who}s whose name has no dot"),
        HostPattern::Net { net, mask } => {
            format!("{who} addresses in the network {}/{}", show(net), show(mask))
        }
        HostPattern::Brace(brace) => match brace.name() {
            Ok(name) => format!("{who}s {}", name.help()),
            Err(mistake) => format!("{who}s of whom it is never known: {mistake}"),
        },
        HostPattern::Text { pattern, tries_name } => string(
            &format!("{who} address{}", if tries_name { " or name" } else { "" }),
            pattern,
        ),
    }
}

fn string(what: &str, pattern: StringPattern<'_>) -> String {
    match pattern {
        StringPattern::Wildcard(text) => format!("every {what} like {}", show(text)),
        StringPattern::Suffix(text) => format!("every {what} that ends in {}", show(text)),
        StringPattern::All => format!("every {what}"),
        StringPattern::Known => format!("every known {what}"),
        StringPattern::Prefix(text) => format!("every {what} that begins with {}", show(text)),
        StringPattern::Bracketed(text) => format!("the IPv6 address {}", show(text)),
        StringPattern::Exact(text) => format!("the {what} {}", show(text)),
    }
}

fn show(text: &[u8]) -> String {
    text.escape_ascii().to_string()
}
