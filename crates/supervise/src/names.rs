//! Names of clients, remembered for a few seconds, so that a client that connects many times in a row is
//! looked up once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a name may be used again. It is shorter than any sensible lifetime in DNS, and what an edited
/// `/etc/hosts` says holds after it.
const FRESH: Duration = Duration::from_secs(5);
/// How many are remembered.
const KEPT: usize = 4096;

/// Verified names, by address.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<IpAddr, (Instant, Vec<u8>)>>);

impl Names {
    /// The name found for this address a moment ago, if one was looked up at all.
    pub(crate) fn recent(&self, address: &IpAddr) -> Option<Vec<u8>> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, name) = names.get(address)?;
        (found.elapsed() < FRESH).then(|| name.clone())
    }

    /// Remembers what was found.
    pub(crate) fn remember(&self, address: IpAddr, name: &[u8]) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= KEPT {
            names.retain(|_, (found, _)| found.elapsed() < FRESH);
        }
        if names.len() < KEPT {
            names.insert(address, (Instant::now(), name.to_vec()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let names = Names::default();
        for n in 0..KEPT as u32 + 10 {
            names.remember(IpAddr::from(n.to_be_bytes()), b"a.example");
        }
        assert_eq!(
            names.recent(&IpAddr::from([0, 0, 0, 1])),
            Some(b"a.example".to_vec())
        );
        assert_eq!(names.recent(&IpAddr::from((KEPT as u32 + 1).to_be_bytes())), None);
    }
}
