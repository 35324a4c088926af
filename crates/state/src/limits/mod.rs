//! How often a source may come (hosts_options(5), `limit`), counted over all processes of one user.
//!
//! The bucket is the generic cell rate algorithm: of every source one moment is kept, the theoretical arrival time
//! (TAT) of the next connection. A connection is within the limit while the TAT is no more than `burst - 1` intervals
//! ahead of the clock, and moves it one interval on; one that is over moves nothing. So what is granted in any time
//! `t` is no more than `burst + t / interval`, however many processes ask.

mod memory;

use std::net::IpAddr;
use std::time::Duration;

use crate::network::Network;
use crate::{Answer, Unknown};

pub use memory::{DIRECTORY, LEAST_SLOTS, MOST_SLOTS, Memory, SLOTS, others};

/// Ticks of the clock in a second. TATs are kept in these.
const TICKS: u64 = 10_000;
/// Nanoseconds in a tick.
const TICK: u32 = 100_000;

/// How many connections in what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// So many,
    pub count: u32,
    /// in so much time,
    pub period: Duration,
    /// and so many at once.
    pub burst: u32,
    /// Bits of an IPv4 address that make a source.
    pub v4: u8,
    /// Bits of an IPv6 address that make a source.
    pub v6: u8,
}

impl Rate {
    /// So many in a period, all of them at once if need be, counted by IPv4 address and IPv6 /64.
    pub fn new(count: u32, period: Duration) -> Self {
        Rate {
            count,
            period,
            burst: count,
            v4: 32,
            v6: 64,
        }
    }

    /// Ticks between two connections, rounded up: never more than the count in a period.
    fn interval(&self) -> u64 {
        let seconds = self.period.as_secs().saturating_mul(TICKS);
        let ticks = seconds.saturating_add(u64::from(self.period.subsec_nanos() / TICK));
        ticks.div_ceil(u64::from(self.count.max(1))).max(1)
    }

    /// How far ahead of the clock a TAT may be.
    fn tolerance(&self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst.max(1) - 1))
    }

    fn source(&self, address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(_) => Network::around(address, self.v4),
            IpAddr::V6(_) => Network::around(address, self.v6),
        }
    }

    /// The source, and the wider ones that are counted where there is no room for it.
    fn sources(&self, address: IpAddr) -> impl Iterator<Item = Network> {
        let own = self.source(address);
        let wider = if own.is_v4() { [24, 16] } else { [48, 32] };
        let wider = wider.into_iter().filter(move |length| *length < own.length());
        std::iter::once(own).chain(wider.map(move |length| Network::around(own.address(), length)))
    }
}

/// What a limit says to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is within the limit; so many more may come now.
    Within {
        /// Connections the source may still make at once.
        left: u32,
    },
    /// It is over the limit.
    Over {
        /// When the next one will be within.
        again: Duration,
    },
}

/// What a source has left of a limit, without taking anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The source that is counted.
    pub source: Network,
    /// Connections it may make at once.
    pub left: u32,
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_micros(ticks.saturating_mul(1_000_000 / TICKS))
}

/// Ticks since the machine started, its sleep included: one clock for all processes.
fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a place for the result. The clock exists on every Linux since 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    time.tv_sec as u64 * TICKS + time.tv_nsec as u64 / u64::from(TICK)
}

impl Memory {
    /// Counts a connection of a client under a rule, which is known by any bytes that are its own.
    pub fn take(&self, rule: &[u8], rate: &Rate, client: IpAddr) -> Answer<Taken> {
        self.take_at(rule, rate, client, now())
    }

    fn take_at(&self, rule: &[u8], rate: &Rate, client: IpAddr, now: u64) -> Answer<Taken> {
        let (interval, tolerance) = (rate.interval(), rate.tolerance());
        for source in rate.sources(client) {
            let step = |tat: u64| {
                let tat = tat.max(now);
                (tat - now <= tolerance).then(|| tat.saturating_add(interval))
            };
            match self.update(self.place(rule, source), now, step) {
                memory::Update::Moved(tat) => {
                    let end = now.saturating_add(tolerance).saturating_add(interval);
                    let left = end.saturating_sub(tat) / interval;
                    return Ok(Taken::Within { left: left as u32 });
                }
                memory::Update::Refused(tat) => {
                    let again = ticks(tat.saturating_sub(now).saturating_sub(tolerance));
                    return Ok(Taken::Over { again });
                }
                memory::Update::Full => self.count_overflow(),
            }
        }
        Err(Unknown::new(
            "the memory of limits is full; raise [limits] slots in tcpwrap.toml",
        ))
    }

    /// What a client has left under a rule.
    pub fn left(&self, rule: &[u8], rate: &Rate, client: IpAddr) -> Left {
        let source = rate.source(client);
        let now = now();
        let tat = self.find(self.place(rule, source)).unwrap_or(0).max(now);
        let free = rate
            .tolerance()
            .saturating_add(rate.interval())
            .saturating_sub(tat - now);
        Left {
            source,
            left: (free / rate.interval()) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = TICKS;

    fn memory(slots: u32) -> (tempfile::TempDir, Memory) {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::open(directory.path(), slots).unwrap();
        (directory, memory)
    }

    fn within(taken: Answer<Taken>) -> bool {
        matches!(taken, Ok(Taken::Within { .. }))
    }

    #[test]
    fn the_bucket_by_its_definition() {
        let (_directory, memory) = memory(1024);
        let mut rate = Rate::new(5, Duration::from_secs(60));
        rate.burst = 3;
        let client = "192.0.2.7".parse().unwrap();
        let start = 1000 * SECOND;
        let mut granted = Vec::new();
        // Ten tries a second for five minutes.
        for tenth in 0..3000 {
            let now = start + tenth * SECOND / 10;
            if within(memory.take_at(b"rule", &rate, client, now)) {
                granted.push(now - start);
            }
        }
        // Three at once, then one every twelve seconds.
        let expected: Vec<u64> = [0, 1, 2]
            .iter()
            .map(|tenth| tenth * SECOND / 10)
            .chain((1..25).map(|n| n * 12 * SECOND))
            .collect();
        assert_eq!(granted, expected);
    }

    #[test]
    fn what_is_left_is_shown_and_not_taken() {
        let (_directory, memory) = memory(1024);
        let rate = Rate::new(3, Duration::from_secs(86_400));
        let client = "2001:db8::1".parse().unwrap();
        for left in [3, 2, 1, 0] {
            assert_eq!(memory.left(b"rule", &rate, client).left, left);
            assert_eq!(memory.left(b"rule", &rate, client).left, left);
            let taken = memory.take(b"rule", &rate, client).unwrap();
            match left {
                0 => assert!(matches!(taken, Taken::Over { again } if again > Duration::from_secs(28_000))),
                left => assert_eq!(taken, Taken::Within { left: left - 1 }),
            }
        }
        // The same /64, and not the next.
        assert_eq!(
            memory
                .left(b"rule", &rate, "2001:db8::ffff:1".parse().unwrap())
                .left,
            0
        );
        assert_eq!(
            memory
                .left(b"rule", &rate, "2001:db8:0:1::1".parse().unwrap())
                .left,
            3
        );
        // Another rule.
        assert_eq!(memory.left(b"other", &rate, client).left, 3);
    }

    #[test]
    fn who_is_over_stays_over_whoever_else_comes() {
        let (_directory, memory) = memory(LEAST_SLOTS);
        let rate = Rate::new(2, Duration::from_secs(3600));
        let now = 1000 * SECOND;
        let over: Vec<IpAddr> = (0..8).map(|n| IpAddr::from([192, 0, n, 7])).collect();
        for client in over.iter().chain(&over).chain(&over) {
            let _ = memory.take_at(b"rule", &rate, *client, now);
        }
        // A /48 that comes from every address it has.
        let mut granted = 0;
        for n in 0..65_536u32 {
            let client = IpAddr::from(std::net::Ipv6Addr::new(0x2001, 0xdb8, 1, n as u16, 0, 0, 0, 1));
            granted += u32::from(within(memory.take_at(b"rule", &rate, client, now)));
        }
        for client in &over {
            assert!(!within(memory.take_at(b"rule", &rate, *client, now)), "{client}");
        }
        assert!(memory.overflow() > 60_000, "{}", memory.overflow());
        // No more than its share of the memory, and what its wider networks are granted.
        assert!(granted < 2 * (LEAST_SLOTS + 2), "{granted}");
    }

    #[test]
    fn a_machine_may_run_for_ten_years() {
        let (_directory, memory) = memory(LEAST_SLOTS);
        let rate = Rate::new(2, Duration::from_secs(10));
        let now = 10 * 366 * 86_400 * SECOND;
        let client = "192.0.2.7".parse().unwrap();
        let taken =
            [0, 0, 0, 5, 5].map(|later| within(memory.take_at(b"rule", &rate, client, now + later * SECOND)));
        assert_eq!(taken, [true, true, false, true, false]);
    }

    #[test]
    fn what_is_over_makes_room() {
        let (_directory, memory) = memory(LEAST_SLOTS);
        let rate = Rate::new(1, Duration::from_secs(10));
        for round in 0..200u32 {
            let now = 1000 * SECOND + u64::from(round) * 10 * SECOND;
            let client = IpAddr::from(round.to_be_bytes());
            assert!(within(memory.take_at(b"rule", &rate, client, now)));
            assert!(!within(memory.take_at(b"rule", &rate, client, now)));
        }
        assert_eq!(memory.overflow(), 0);
    }

    #[test]
    fn rates_of_every_size() {
        for (count, period, interval) in [
            (1, 1, 10_000),
            (7, 60, 85_715),
            (1000, 1, 10),
            (1_000_000, 1, 1),
            (1, 86_400, 864_000_000),
        ] {
            assert_eq!(Rate::new(count, Duration::from_secs(period)).interval(), interval);
        }
    }
}
