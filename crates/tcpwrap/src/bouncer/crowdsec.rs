//! CrowdSec's local API as the source of bans: everything that is decided when this starts, then what changes.
//!
//! After an error nothing is known of what was missed; so the next answer is everything again, and what it does not
//! have any more is taken back. Meanwhile every ban stays for as long as it was made.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use state::bans::{self, Ban, Expiry, Writer};
use state::config;
use state::network::{BadNetwork, Network};
use state::stamp;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::ban::{configured, origin, tidy, trouble};
use crate::output::{self, NOTE};

/// Where CrowdSec's local API is, and how it is asked.
#[derive(Debug, clap::Args)]
pub struct Api {
    /// Where the local API is
    #[arg(long, default_value = "http://127.0.0.1:8080/")]
    url: String,
    /// A file with the key that cscli bouncers add has shown
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Certificates to believe, in PEM, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How often to ask
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = interval)]
    interval: Duration,
    /// The origin of the bans
    #[arg(long, default_value = "crowdsec", value_parser = origin)]
    origin: String,
    /// Bring the list up to date once, and end
    #[arg(long)]
    once: bool,
}

/// Where certificates are that the system believes, on Debian and its like, and on Red Hat's.
const SYSTEM: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

fn interval(text: &str) -> Result<Duration, String> {
    match config::read_duration(text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("write it as 10s or 1m".into()),
    }
}

/// What the API says. It names both, if only to say that there are none: what does not is no answer of CrowdSec, of
/// which nothing follows for whom it does not name.
#[derive(Debug, Deserialize)]
struct Decisions {
    #[serde(deserialize_with = "Option::deserialize")]
    new: Option<Vec<Decision>>,
    #[serde(deserialize_with = "Option::deserialize")]
    deleted: Option<Vec<Decision>>,
}

#[derive(Debug, Deserialize)]
struct Decision {
    #[serde(default)]
    id: i64,
    #[serde(rename = "type")]
    kind: String,
    scope: String,
    value: String,
    duration: String,
    #[serde(default)]
    scenario: String,
}

impl Decision {
    /// Is it a ban of addresses?
    fn is_ban(&self) -> bool {
        let is_address = self.scope.eq_ignore_ascii_case("ip") || self.scope.eq_ignore_ascii_case("range");
        self.kind.eq_ignore_ascii_case("ban") && is_address
    }

    /// The network a ban concerns.
    fn network(&self) -> Option<Network> {
        match self.value.parse() {
            Ok(network) | Err(BadNetwork::HostBits(network)) => Some(network),
            Err(BadNetwork::Malformed) => None,
        }
    }
}

/// Reads a duration as Go writes it, `3h59m57.1s`; a negative one is over.
fn seconds(text: &str) -> Option<u64> {
    if text.starts_with('-') {
        return Some(0);
    }
    let whole = match text.split_once('.') {
        // A fraction of the last unit, which is none of a second's where it matters.
        Some((whole, fraction)) if fraction.ends_with('s') && !fraction.ends_with("ms") => {
            format!("{whole}s")
        }
        Some(_) => return Some(0),
        None if text.ends_with("ms") || text.ends_with("µs") || text.ends_with("ns") => return Some(0),
        None => text.to_owned(),
    };
    config::read_duration(&whole).map(|duration| duration.as_secs())
}

/// What follows from an answer.
#[derive(Debug, Default)]
struct Heard {
    /// Whom to ban, until when and why.
    bans: Vec<(Network, Expiry, String)>,
    /// Whom not any more.
    lifted: HashSet<Network>,
    /// Bans that cannot be read.
    strange: Vec<String>,
}

/// What is decided, as far as it has been heard of.
#[derive(Debug, Default)]
struct Decided(HashMap<Network, HashMap<i64, Expiry>>);

impl Decided {
    /// Takes in an answer.
    fn hear(&mut self, answer: &Decisions, now: u64) -> Heard {
        let mut heard = Heard::default();
        let is_ban = |decision: &&Decision| decision.is_ban();
        for decision in answer.deleted.iter().flatten().filter(is_ban) {
            let Some(network) = decision.network() else {
                continue;
            };
            let left = self.0.entry(network).or_default();
            left.remove(&decision.id);
            left.retain(|_, expiry| !expiry.is_over(now));
            if let Some(expiry) = left.values().max() {
                // What is left may end sooner.
                heard.bans.push((network, *expiry, decision.scenario.clone()));
            } else {
                self.0.remove(&network);
                heard.lifted.insert(network);
            }
        }
        for decision in answer.new.iter().flatten().filter(is_ban) {
            let (Some(network), Some(seconds)) = (decision.network(), seconds(&decision.duration)) else {
                heard
                    .strange
                    .push(format!("{} for {}", decision.value, decision.duration));
                continue;
            };
            if seconds == 0 {
                continue;
            }
            let expiry = Expiry::At(now.saturating_add(seconds).min(stamp::LAST));
            let all = self.0.entry(network).or_default();
            all.insert(decision.id, expiry);
            let longest = all.values().copied().max().unwrap_or(expiry);
            heard.lifted.remove(&network);
            heard.bans.push((network, longest, decision.scenario.clone()));
        }
        heard
    }
}

struct Bouncer {
    agent: Agent,
    url: String,
    key: String,
    origin: String,
    list: config::Bans,
    decided: Decided,
    /// Is nothing missed since everything was heard?
    is_current: bool,
}

/// Runs the subcommand.
pub fn run(args: &Api) -> ExitCode {
    let mut bouncer = match Bouncer::new(args) {
        Ok(bouncer) => bouncer,
        Err(problem) => return output::fail(&problem),
    };
    let mut said = None;
    loop {
        match bouncer.ask() {
            Ok(text) => {
                if said.take().is_some() {
                    output::note("CrowdSec answers again\n");
                }
                output::note(&text);
                if args.once {
                    return ExitCode::SUCCESS;
                }
            }
            Err(problem) if args.once => return output::fail(&problem),
            // Said once, not every ten seconds.
            Err(problem) => {
                if said.as_ref() != Some(&problem) {
                    output::fail(&problem);
                    said = Some(problem);
                }
            }
        }
        std::thread::sleep(args.interval);
    }
}

impl Bouncer {
    fn new(args: &Api) -> Result<Self, String> {
        let key =
            std::fs::read_to_string(&args.key_file).map_err(|error| output::at(&args.key_file, &error))?;
        let key = key.trim().to_owned();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{}: no key", args.key_file.display()));
        }
        let mut agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(true)
            // The API has no other place, and the key is for nobody else.
            .max_redirects(0)
            .user_agent(concat!("tcpwrap/", env!("CARGO_PKG_VERSION")));
        if args.url.starts_with("https:") {
            let roots = certificates(args.ca.as_deref())?;
            agent = agent.tls_config(TlsConfig::builder().root_certs(roots).build());
        } else if !args.url.starts_with("http:") {
            return Err(format!("{}: not a URL of http or https", args.url));
        }
        Ok(Bouncer {
            agent: agent.build().new_agent(),
            url: format!("{}/v1/decisions/stream", args.url.trim_end_matches('/')),
            key,
            origin: args.origin.clone(),
            list: configured()?,
            decided: Decided::default(),
            is_current: false,
        })
    }

    /// Asks once, and does as it is told.
    fn ask(&mut self) -> Result<String, String> {
        let is_current = std::mem::replace(&mut self.is_current, false);
        let list = configured()?;
        let everything = !is_current || list.file != self.list.file;
        self.list = list;
        let answer = self.fetch(everything)?;
        if everything {
            self.decided = Decided::default();
        }
        let now = stamp::now();
        let Heard {
            bans: wanted,
            mut lifted,
            strange,
        } = self.decided.hear(&answer, now);
        let writer = Writer::new(&self.list.file);
        let trouble = |error| trouble(&self.list.file, &error);
        if everything {
            let contents = bans::contents(&self.list.file).map_err(trouble)?;
            let is_missed = |ban: &&Ban| {
                ban.origin == self.origin
                    && !ban.expiry.is_over(now)
                    && !self.decided.0.contains_key(&ban.network)
            };
            lifted.extend(contents.bans.iter().filter(is_missed).map(|ban| ban.network));
        }
        let mut text = String::new();
        for strange in strange {
            let strange = output::escape(strange.as_bytes());
            text.push_str(&format!(
                "{NOTE}not banned:{NOTE:#} {strange}: that cannot be read\n"
            ));
        }
        let mut new = HashMap::new();
        for (network, expiry, reason) in wanted {
            match bans::refusal(network, &self.list.never, &[]) {
                Some(refusal) => text.push_str(&format!("{NOTE}not banned:{NOTE:#} {network}: {refusal}\n")),
                None => {
                    let ban = Ban {
                        network,
                        expiry,
                        origin: self.origin.clone(),
                        reason,
                    };
                    // The last word on a network is the longest.
                    new.insert(network, ban);
                }
            }
        }
        let new: Vec<Ban> = new.into_values().collect();
        writer.add(&new).map_err(trouble)?;
        let gone = match lifted.is_empty() {
            true => 0,
            false => writer
                .lift(&|network| lifted.contains(&network), Some(&self.origin), now)
                .map_err(trouble)?
                .len(),
        };
        tidy(&writer, now);
        self.is_current = true;
        if !new.is_empty() || gone > 0 {
            text.push_str(&format!("{} banned, {gone} taken back\n", new.len()));
        }
        Ok(text)
    }

    fn fetch(&self, everything: bool) -> Result<Decisions, String> {
        /// A list of a million decisions has some 300 MB.
        const LONGEST: u64 = 1 << 30;
        let request = self
            .agent
            .get(&self.url)
            .query("startup", if everything { "true" } else { "false" })
            .header("X-Api-Key", &self.key);
        let failed = |error| match error {
            ureq::Error::StatusCode(403) => format!("{}: the key is not accepted", self.url),
            error => format!("{}: {error}", self.url),
        };
        let mut response = request.call().map_err(failed)?;
        if response.status().is_redirection() {
            return Err(format!(
                "{}: it points to another place; name that with --url",
                self.url
            ));
        }
        let body = response.body_mut().with_config().limit(LONGEST);
        let text = body.read_to_vec().map_err(failed)?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: no answer of CrowdSec: {error}", self.url))
    }
}

fn certificates(file: Option<&Path>) -> Result<RootCerts, String> {
    let path = match file {
        Some(path) => path,
        None => SYSTEM
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
            .ok_or("this system has no list of certificates; name one with --ca")?,
    };
    let text = std::fs::read(path).map_err(|error| output::at(path, &error))?;
    let mut all = Vec::new();
    for item in parse_pem(&text) {
        match item {
            Ok(PemItem::Certificate(certificate)) => all.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    match all.is_empty() {
        true => Err(format!("{}: no certificate in it", path.display())),
        false => Ok(RootCerts::Specific(Arc::new(all))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (text, expected) in [
            ("3h59m57.123456789s", 3 * 3600 + 59 * 60 + 57),
            ("4h0m0s", 4 * 3600),
            ("167h59m59.9s", 168 * 3600 - 1),
            ("12.5s", 12),
            ("-1m2.5s", 0),
            ("1.5ms", 0),
            ("250ms", 0),
            ("0s", 0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        assert_eq!(seconds("soon"), None);
    }

    fn decisions(text: &str) -> Decisions {
        serde_json::from_str(text).unwrap()
    }

    const BOTH: &str = r#"{"new":[
        {"id":1,"type":"ban","scope":"Ip","value":"192.0.2.7","duration":"1h","scenario":"a"},
        {"id":2,"type":"ban","scope":"Ip","value":"192.0.2.7","duration":"4h","scenario":"b"},
        {"id":3,"type":"captcha","scope":"Ip","value":"192.0.2.8","duration":"4h"},
        {"id":4,"type":"ban","scope":"Country","value":"DE","duration":"4h"},
        {"id":5,"type":"ban","scope":"Range","value":"2001:db8::/48","duration":"4h"}],"deleted":null}"#;

    #[test]
    fn the_longest_decision_holds_until_the_last_is_gone() {
        let mut decided = Decided::default();
        let heard = decided.hear(&decisions(BOTH), 1000);
        let last: HashMap<String, Expiry> = heard.bans.iter().map(|(n, e, _)| (n.to_string(), *e)).collect();
        assert_eq!(last.len(), 2);
        assert_eq!(last["192.0.2.7"], Expiry::At(1000 + 4 * 3600));
        assert!(heard.lifted.is_empty() && heard.strange.is_empty(), "{heard:?}");
        let gone = |id: u32| {
            decisions(&format!(
                r#"{{"new":null,"deleted":[{{"id":{id},"type":"ban","scope":"Ip","value":"192.0.2.7","duration":"-1s"}}]}}"#
            ))
        };
        let heard = decided.hear(&gone(2), 1000);
        assert_eq!(
            (heard.bans[0].1, heard.lifted.len()),
            (Expiry::At(1000 + 3600), 0)
        );
        let heard = decided.hear(&gone(1), 1000);
        assert_eq!((heard.bans.len(), heard.lifted.len()), (0, 1));
        assert!(heard.lifted.contains(&"192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_what_is_no_answer_decides_nothing() {
        let strange = decisions(
            r#"{"deleted":null,"new":[
                {"id":1,"type":"ban","scope":"Ip","value":"192.0.2.7","duration":"a while"},
                {"id":2,"type":"ban","scope":"Range","value":"192.0.2.0/33","duration":"4h"}]}"#,
        );
        let heard = Decided::default().hear(&strange, 1000);
        assert_eq!(heard.strange, ["192.0.2.7 for a while", "192.0.2.0/33 for 4h"]);
        assert!(heard.bans.is_empty());
        for text in [
            "null",
            "{}",
            r#"{"message":"up"}"#,
            r#"{"new":[]}"#,
            r#"{"deleted":null}"#,
        ] {
            assert!(serde_json::from_str::<Decisions>(text).is_err(), "{text}");
        }
    }
}
