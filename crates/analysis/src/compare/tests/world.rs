//! Everything there is beside tables and requests, picked by a number, and a host that answers from it.

use std::net::{IpAddr, Ipv4Addr};

use super::Random;
use crate::compare::facts::Asks;
use hosts_access::diagnostic::{Diagnostic, Place};
use hosts_access::dry::DryHost;
use hosts_access::effect::{Effect, Outcome};
use hosts_access::syntax::option::{Keyword, limit, max};
use hosts_access::syntax::time::Moment;
use hosts_access::{Cause, Fact, Found, Host, Known, Match, Side};

/// What is answered, picked by a number.
#[derive(Debug)]
pub struct World(pub u64);

impl World {
    /// One of so many answers to this.
    fn pick(&self, about: &str, count: usize) -> usize {
        let add = |seed: u64, byte: u8| {
            seed.wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(byte.into())
        };
        let mut random = Random(about.bytes().fold(self.0, add));
        random.below(2);
        random.below(count)
    }

    pub fn known(&self, fact: &Fact, client: Option<IpAddr>) -> Known {
        let about = match fact {
            // Limits of the same size are answered alike, so that what is computed can be held against it.
            Fact::Rate { limit, .. } => format!("{limit:?}"),
            fact => format!("{fact:?}"),
        };
        let pick = |what: &str, count| self.pick(&format!("{about} {what}"), count);
        if pick("is known", 5) == 0 {
            return Err(Cause::new("it is not known"));
        }
        Ok(match fact {
            Fact::Location => Found::Location {
                country: [Some(*b"DE"), Some(*b"AT"), Some(*b"FR"), None][pick("country", 4)],
                continent: [Some(*b"EU"), Some(*b"AS"), None][pick("continent", 3)],
            },
            Fact::System => Found::System([Some(1), Some(2), Some(3), None][pick("system", 4)]),
            Fact::Addresses(_) => {
                let own = client.filter(|_| pick("own", 2) == 0);
                let other = (pick("other", 2) == 0).then_some(IpAddr::from([203, 0, 113, 77]));
                Found::Addresses(own.into_iter().chain(other).collect())
            }
            Fact::Listed(_) => {
                let codes = [[127, 0, 0, 2], [127, 0, 0, 4], [127, 0, 0, 9], [127, 255, 255, 1]];
                let said = codes.map(Ipv4Addr::from).into_iter();
                Found::Listed(said.filter(|code| pick(&code.to_string(), 2) == 0).collect())
            }
            Fact::Nearness => {
                let near = pick("near", 3);
                Found::Nearness {
                    same_host: near == 0,
                    same_net: near <= 1,
                }
            }
            Fact::Time(_) => Found::Time(Moment {
                // From some days before Christmas 2026, a Friday.
                day: 20_809 + pick("day", 9) as i64,
                minute: [0, 359, 360, 479, 480, 720, 1079, 1080, 1319, 1320, 1439][pick("minute", 11)],
            }),
            Fact::Banned | Fact::Rate { .. } | Fact::Connections(_) => Found::from(pick("yes", 2) == 0),
        })
    }

    /// What comes of what is asked, of a client at this address.
    pub fn holds(&self, asks: &[Asks<'_>], client: Option<IpAddr>) -> Vec<Match> {
        let holds = |asks: &Asks<'_>| {
            let Asks::Brace(brace) = asks else {
                panic!("every file is read")
            };
            let Ok(fact) = brace.fact() else {
                return Match::Unknown;
            };
            match self.known(&fact, client) {
                Ok(found) => brace.holds(&found, client).unwrap().into(),
                Err(_) if brace.is_best_effort() => Match::No,
                Err(_) => Match::Unknown,
            }
        };
        asks.iter().map(holds).collect()
    }

    /// Is the client within the bound?
    pub fn is_within(&self, keyword: Keyword, value: &[u8]) -> Option<bool> {
        let fact = match keyword {
            Keyword::Limit => Fact::Rate {
                rule: Vec::new(),
                limit: limit(value).unwrap(),
            },
            _ => Fact::Connections(max(value).unwrap()),
        };
        self.known(&fact, None).ok()?.yes_or_no()
    }
}

/// A host whose command of this number succeeds, all before it having failed.
pub struct Answering<'a> {
    pub dry: DryHost,
    pub failing: usize,
    pub world: &'a World,
    /// What is otherwise than in the world.
    pub told: &'a [(Fact, Known)],
}

impl Host for Answering<'_> {
    fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8> {
        self.dry.address(side, at)
    }
    fn name(&mut self, side: Side, address: &[u8], at: Option<&Place>) -> Vec<u8> {
        self.dry.name(side, address, at)
    }
    fn port(&mut self, side: Side) -> Option<u16> {
        self.dry.port(side)
    }
    fn user(&mut self, at: Option<&Place>) -> Vec<u8> {
        self.dry.user(at)
    }
    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        self.dry.netgroup(group, host)
    }
    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>> {
        self.dry.banner(directory, daemon, at)
    }
    fn fact(&mut self, fact: &Fact, client: Option<IpAddr>, _at: Option<&Place>) -> Known {
        let told = self.told.iter().find(|(asked, _)| asked == fact);
        told.map_or_else(|| self.world.known(fact, client), |(_, known)| known.clone())
    }
    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome {
        if !matches!(effect, Effect::Aclexec(_)) {
            return self.dry.perform(effect, at);
        }
        if self.failing == 0 {
            return Outcome::Done;
        }
        self.failing -= 1;
        Outcome::Failed
    }
    fn log(&mut self, diagnostic: &Diagnostic) {
        self.dry.log(diagnostic);
    }
}
