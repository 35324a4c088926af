//! What the name service says: addresses of names that move, and lists in the DNS (`{dns=…}`, `{rbl=…}`).
//!
//! Asked through NSS, as everything on the host does. Answers are kept for a while, failures for a short one, so that
//! a name server that is down is not asked for every client.

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int};
use std::mem::zeroed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::config::Dns;
use crate::{Answer, Unknown};

/// How long a failure is kept.
const FAILURE: Duration = Duration::from_secs(5);
/// How many answers are kept.
const MOST: usize = 16 * 1024;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// That of an address; IPv4-mapped ones are IPv4.
    pub fn of(address: IpAddr) -> Family {
        match address.to_canonical() {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// An answer, and when it was given.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The addresses; none for a name that does not exist.
    pub addresses: Arc<[IpAddr]>,
    /// When the name service said so.
    pub at: Instant,
}

#[derive(Debug)]
struct Kept {
    answer: Answer<Arc<[IpAddr]>>,
    at: Instant,
}

/// Asks the name service, for one process.
#[derive(Debug)]
pub struct Names {
    settings: Dns,
    kept: Mutex<HashMap<(String, Family), Kept>>,
}

impl Names {
    /// With these settings.
    pub fn new(settings: Dns) -> Self {
        Names {
            settings,
            kept: Mutex::new(HashMap::new()),
        }
    }

    /// The addresses of a name, of one family: a name server may know one and fail for the other.
    pub fn addresses(&self, name: &str, family: Family) -> Answer<Resolved> {
        self.kept_or(name, family, || resolve(name, family, self.settings.timeout))
    }

    /// What a list in the DNS has on an address. Nothing where it is not on the list.
    pub fn listed(&self, zone: &str, address: IpAddr) -> Answer<Vec<Ipv4Addr>> {
        let name = list_name(zone, address);
        let resolved = self.addresses(&name, Family::V4)?;
        let (mut codes, mut refused) = (Vec::new(), None);
        for address in resolved.addresses.iter() {
            match address {
                IpAddr::V4(code) if code.octets()[..3] == [127, 255, 255] => refused = Some(*code),
                IpAddr::V4(code) if code.is_loopback() => codes.push(*code),
                _ => {}
            }
        }
        match refused {
            Some(code) if codes.is_empty() => Err(Unknown::new(format!("{zone} refuses to answer ({code})"))),
            _ => Ok(codes),
        }
    }

    fn kept_or(
        &self,
        name: &str,
        family: Family,
        ask: impl FnOnce() -> Answer<Arc<[IpAddr]>>,
    ) -> Answer<Resolved> {
        let key = (name.to_ascii_lowercase(), family);
        if let Ok(kept) = self.kept.try_lock()
            && let Some(kept) = kept.get(&key)
            && kept.at.elapsed() < self.keeps(&kept.answer)
        {
            let at = kept.at;
            return kept.answer.clone().map(|addresses| Resolved { addresses, at });
        }
        // Nobody waits for this one's look-up.
        let answer = ask();
        let at = Instant::now();
        if let Ok(mut kept) = self.kept.try_lock() {
            if kept.len() >= MOST {
                kept.retain(|_, kept| kept.at.elapsed() < self.keeps(&kept.answer));
                if kept.len() >= MOST {
                    kept.clear();
                }
            }
            let answer = answer.clone();
            kept.insert(key, Kept { answer, at });
        }
        answer.map(|addresses| Resolved { addresses, at })
    }

    fn keeps(&self, answer: &Answer<Arc<[IpAddr]>>) -> Duration {
        match answer {
            Ok(_) => self.settings.keep,
            Err(_) => self.settings.keep.min(FAILURE),
        }
    }
}

/// The name an address has in a list: backwards, by octets or nibbles, absolute.
fn list_name(zone: &str, address: IpAddr) -> String {
    let mut name = String::new();
    match address.to_canonical() {
        IpAddr::V4(v4) => v4
            .octets()
            .iter()
            .rev()
            .for_each(|octet| name.push_str(&format!("{octet}."))),
        IpAddr::V6(v6) => {
            let nibbles = v6
                .octets()
                .into_iter()
                .rev()
                .flat_map(|byte| [byte & 15, byte >> 4]);
            nibbles.for_each(|nibble| name.push_str(&format!("{nibble:x}.")));
        }
    }
    name + zone.trim_end_matches('.') + "."
}

/// The first fields of the resolver's state of a thread, as resolver(3) documents them.
#[repr(C)]
struct ResolverState {
    retrans: c_int,
    retry: c_int,
    options: libc::c_ulong,
}

const RES_INIT: libc::c_ulong = 1;

/// As `netdb.h` has it.
const EAI_ADDRFAMILY: c_int = -9;

unsafe extern "C" {
    fn __res_state() -> *mut ResolverState;
    fn __res_init() -> c_int;
    fn gethostbyname_r(
        name: *const c_char,
        found: *mut libc::hostent,
        buffer: *mut c_char,
        length: usize,
        result: *mut *mut libc::hostent,
        error: *mut c_int,
    ) -> c_int;
}

/// Has an edited resolv.conf read, which glibc does not where it finds its state changed, as [`Patience`] changes it. An address in
/// place of a name is looked up nowhere, but the state is brought up to date first.
fn read_edited_configuration() {
    let mut buffer = [0; 512];
    // SAFETY: hostent is plain data.
    let mut found: libc::hostent = unsafe { zeroed() };
    let (mut result, mut error) = (ptr::null_mut(), 0);
    // SAFETY: a C string, room for what is found with its length, and places for the rest; all of it is dropped unread.
    unsafe {
        gethostbyname_r(
            c"127.0.0.1".as_ptr(),
            &mut found,
            buffer.as_mut_ptr(),
            buffer.len(),
            &mut result,
            &mut error,
        )
    };
}

/// The time a name server is given, until this is dropped: a daemon's own look-ups keep theirs.
struct Patience(Option<c_int>);

impl Patience {
    fn of(timeout: Option<Duration>) -> Self {
        let Some(timeout) = timeout else {
            return Patience(None);
        };
        read_edited_configuration();
        let seconds = c_int::try_from(timeout.as_secs().max(1)).unwrap_or(c_int::MAX);
        // SAFETY: the state is the calling thread's own and lives as long as it; glibc's begins with these fields.
        unsafe {
            let state = __res_state();
            if (*state).options & RES_INIT == 0 && __res_init() != 0 {
                return Patience(None);
            }
            Patience(Some(std::mem::replace(&mut (*state).retrans, seconds)))
        }
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            // SAFETY: as above; this is dropped in the thread that made it.
            unsafe { (*__res_state()).retrans = before };
        }
    }
}

fn resolve(name: &str, family: Family, timeout: Option<Duration>) -> Answer<Arc<[IpAddr]>> {
    let Ok(text) = CString::new(name) else {
        return Err(Unknown::new("a name with a zero byte"));
    };
    let _patience = Patience::of(timeout);
    // SAFETY: addrinfo is plain data, for which all zeroes is the documented "no hints".
    let mut hints: libc::addrinfo = unsafe { zeroed() };
    hints.ai_family = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list = ptr::null_mut();
    // SAFETY: `text` is a C string, `hints` a filled structure, `list` a place for the result.
    let failed = unsafe { libc::getaddrinfo(text.as_ptr(), ptr::null(), &hints, &mut list) };
    match failed {
        0 => {}
        // No such name, or none of this family, or a number of the other one.
        libc::EAI_NONAME | libc::EAI_NODATA | EAI_ADDRFAMILY => return Ok(Arc::from([])),
        failed => {
            // SAFETY: gai_strerror returns a C string that lives as long as the program.
            let why = unsafe { std::ffi::CStr::from_ptr(libc::gai_strerror(failed)) };
            return Err(Unknown::new(format!("{name}: {}", why.to_string_lossy())));
        }
    }
    let mut addresses = Vec::new();
    let mut next = list;
    // SAFETY: `next` is null or an element of the list that getaddrinfo returned and nobody has freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        let size = entry.ai_addrlen as usize;
        if entry.ai_family == libc::AF_INET && size >= size_of::<libc::sockaddr_in>() {
            // SAFETY: an address of this family and size is a sockaddr_in.
            let address = unsafe { ptr::read_unaligned(entry.ai_addr.cast::<libc::sockaddr_in>()) };
            addresses.push(IpAddr::from(Ipv4Addr::from(
                address.sin_addr.s_addr.to_ne_bytes(),
            )));
        } else if entry.ai_family == libc::AF_INET6 && size >= size_of::<libc::sockaddr_in6>() {
            // SAFETY: an address of this family and size is a sockaddr_in6.
            let address = unsafe { ptr::read_unaligned(entry.ai_addr.cast::<libc::sockaddr_in6>()) };
            addresses.push(IpAddr::from(Ipv6Addr::from(address.sin6_addr.s6_addr)));
        }
        next = entry.ai_next;
    }
    // SAFETY: `list` came from getaddrinfo, is freed once, and nothing borrowed from it is left.
    unsafe { libc::freeaddrinfo(list) };
    Ok(addresses.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_list() {
        assert_eq!(
            list_name("rbl.example.org", "192.0.2.7".parse().unwrap()),
            "7.2.0.192.rbl.example.org."
        );
        assert_eq!(
            list_name("x.", "::ffff:192.0.2.7".parse().unwrap()),
            "7.2.0.192.x."
        );
        let v6 = list_name("x", "2001:db8::12".parse().unwrap());
        assert_eq!(
            v6,
            "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.x."
        );
    }

    #[test]
    fn numbers_are_their_own_addresses() {
        let names = Names::new(Dns::default());
        let ask = |name, family| names.addresses(name, family).unwrap().addresses.to_vec();
        assert_eq!(
            ask("192.0.2.7", Family::V4),
            ["192.0.2.7".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(
            ask("2001:db8::1", Family::V6),
            ["2001:db8::1".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(ask("192.0.2.7", Family::V6), [] as [IpAddr; 0]);
        assert_eq!(ask("2001:db8::1", Family::V4), [] as [IpAddr; 0]);
        assert!(names.addresses("a\0b", Family::V4).is_err());
    }

    #[test]
    fn the_threads_own_patience_is_given_back() {
        let retrans = || {
            let _init = Patience::of(Some(Duration::from_secs(1)));
            drop(_init);
            // SAFETY: the state is this thread's own.
            unsafe { (*__res_state()).retrans }
        };
        let before = retrans();
        let during = Patience::of(Some(Duration::from_secs(77)));
        // SAFETY: as above.
        assert_eq!(unsafe { (*__res_state()).retrans }, 77);
        drop(during);
        assert_eq!(retrans(), before);
    }
}
