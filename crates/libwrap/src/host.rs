//! A C request as the engine's host: the structure is the cache, its methods do the lookups, functions that
//! programs may replace carry effects out.

use std::ffi::c_int;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::Relaxed;

use hosts_access::{Diagnostic, Effect, Fact, Found, Host, Known, Outcome, Place, Request, Side, UNKNOWN};
use system::endpoints::{Endpoint, Endpoints};
use system::facts;
use system::host::SocketHost;
use system::{connection, netdb};

use crate::access::c_string;
use crate::eval::{eval_hostaddr, eval_hostname, eval_user};
use crate::log::{self, in_context};
use crate::socket::{self, sock_hostname, whole_name};
use crate::strings::{bytes, c_bytes, put};
use crate::structs::{
    HostInfo, RequestInfo, dry_run, hosts_access_verbose, resident, rfc931_timeout, wrap_call_shell_cmd,
};

/// Answers from a C request.
pub struct StructHost {
    request: *mut RequestInfo,
    dry_run: bool,
}

impl StructHost {
    /// # Safety
    /// `request` points to a request and outlives the host.
    pub unsafe fn new(request: *mut RequestInfo) -> Self {
        StructHost {
            request,
            dry_run: dry_run.load(Relaxed) != 0,
        }
    }

    fn end(&self, side: Side) -> *mut HostInfo {
        // SAFETY: the request outlives the host; only an address is taken.
        unsafe {
            match side {
                Side::Client => &raw mut (*self.request).client[0],
                Side::Server => &raw mut (*self.request).server[0],
            }
        }
    }

    /// Both ends of the connection, as far as the structure has them.
    fn ends(&self) -> Option<(SocketAddr, SocketAddr)> {
        // SAFETY: ends of a request that is there, their addresses as long as their families say.
        let [client, server] =
            [Side::Client, Side::Server].map(|side| unsafe { socket::address((*self.end(side)).sin) });
        client.zip(server)
    }

    fn state(&self) -> &'static facts::State {
        match resident.load(Relaxed) > 0 {
            true => &facts::STAYS,
            false => &facts::ONCE,
        }
    }

    fn log_problem(&mut self, at: Option<&Place>, what: &str) {
        let error = io::Error::from_raw_os_error(libc::EBADF);
        let text = format!("{what}: {}", hosts_access::decide::reason(&error));
        self.log(&Diagnostic::new(hosts_access::Kind::Warning, at.cloned(), text));
    }
}

/// The engine's request for a C one: what the structure holds already is known.
///
/// # Safety
/// `from` is the request of `host`.
pub unsafe fn request(host: &StructHost, from: *mut RequestInfo) -> Request {
    // SAFETY: as the caller promises.
    let from = unsafe { &*from };
    let calls = resident.load(Relaxed);
    let dry = host.dry_run;
    let mut request = Request::new(bytes(&from.daemon));
    request.set_process(bytes(&from.pid));
    request.set_verbose(hosts_access_verbose.load(Relaxed));
    // A dry run tells of a twist, resident or not.
    request.set_resident(calls > 0 && !dry);
    for (side, end) in [(Side::Client, &from.client[0]), (Side::Server, &from.server[0])] {
        if end.addr[0] != 0 {
            request.set_address(side, bytes(&end.addr));
        }
        if end.name[0] != 0 {
            request.set_name(side, bytes(&end.name));
        }
    }
    if from.user[0] != 0 {
        request.set_user(bytes(&from.user));
    }
    request
}

impl Host for StructHost {
    fn address(&mut self, side: Side, at: Option<&Place>) -> Vec<u8> {
        let end = self.end(side);
        // SAFETY: an end of a request that is there; the result is a string in it.
        in_context(at, || unsafe { c_bytes(eval_hostaddr(end)).to_vec() })
    }

    fn name(&mut self, side: Side, _address: &[u8], at: Option<&Place>) -> Vec<u8> {
        let end = self.end(side);
        // SAFETY: as above.
        in_context(at, || unsafe {
            let own = (*self.request).hostname.is_some_and(|method| {
                std::ptr::fn_addr_eq(method, sock_hostname as crate::structs::HostMethod)
            });
            // The structure has room for 127 bytes of a name; rules are matched with the whole of it.
            if own && (*end).name[0] == 0 {
                put(&mut (*end).name, UNKNOWN);
                whole_name(end).unwrap_or(UNKNOWN.to_vec())
            } else {
                c_bytes(eval_hostname(end)).to_vec()
            }
        })
    }

    fn port(&mut self, side: Side) -> Option<u16> {
        // SAFETY: an end of a request that is there, its address as long as its family says.
        unsafe { socket::address((*self.end(side)).sin) }.map(|address| address.port())
    }

    fn user(&mut self, at: Option<&Place>) -> Vec<u8> {
        let request = self.request;
        // SAFETY: a request that is there; the result is a string in it.
        in_context(at, || unsafe { c_bytes(eval_user(request)).to_vec() })
    }

    fn netgroup(&mut self, group: &[u8], host: &[u8]) -> bool {
        netdb::in_netgroup(group, host)
    }

    fn fact(&mut self, fact: &Fact, client: Option<IpAddr>, at: Option<&Place>) -> Known {
        // A dry run counts nothing.
        if self.dry_run && matches!(fact, Fact::Rate { .. } | Fact::Connections(_)) {
            return Ok(Found::Yes);
        }
        let known = facts::answer(self.state(), fact, client, self.ends());
        for remark in facts::remarks(self.state(), fact, &known) {
            in_context(at, || log::warn(remark.as_bytes()));
        }
        known
    }

    fn banner(&mut self, directory: &[u8], daemon: &[u8], at: Option<&Place>) -> Option<Vec<u8>> {
        connection::banner(directory, daemon, &mut |problem| {
            in_context(at, || log::warn(&problem))
        })
    }

    fn perform(&mut self, effect: &Effect, at: Option<&Place>) -> Outcome {
        let quoted = |what: &str, name: &[u8]| [what.as_bytes(), b"\"", name, b"\""].concat();
        match effect {
            Effect::IdentTimeout(seconds) => {
                rfc931_timeout.store(c_int::try_from(*seconds).unwrap_or(c_int::MAX), Relaxed);
                return Outcome::Done;
            }
            Effect::Twist(_) => return Outcome::Done,
            Effect::User { user, .. } if self.dry_run && netdb::user(user).is_none() => {
                return Outcome::Refused(quoted("unknown user: ", user));
            }
            Effect::Group(group)
            | Effect::User {
                group: Some(group), ..
            } if self.dry_run && netdb::group(group).is_none() => {
                return Outcome::Refused(quoted("unknown group: ", group));
            }
            // What would be sent is shown.
            Effect::Banner { text, .. } if self.dry_run => {
                // SAFETY: standard output, if the program has one.
                let out = unsafe { BorrowedFd::borrow_raw(libc::STDOUT_FILENO) };
                // Nobody is harmed where it cannot be shown.
                let _ = out
                    .try_clone_to_owned()
                    .and_then(|out| std::fs::File::from(out).write_all(text));
                return Outcome::Done;
            }
            _ if self.dry_run => return Outcome::Done,
            Effect::Spawn(command) => {
                let command = c_string(command);
                // SAFETY: a C string, which the function may not keep; it may be the program's own.
                in_context(at, || unsafe { wrap_call_shell_cmd(command.as_ptr().cast_mut()) });
                return Outcome::Done;
            }
            _ => {}
        }
        // SAFETY: the program keeps its connection open while it is decided about.
        let Some(connection) = (unsafe { socket::borrowed((*self.request).fd) }) else {
            match effect {
                Effect::Keepalive => self.log_problem(at, "setsockopt SO_KEEPALIVE"),
                Effect::Linger(seconds) => self.log_problem(at, &format!("setsockopt SO_LINGER {seconds}")),
                Effect::Banner { .. } => {}
                // What is left does not touch the connection: any descriptor will do.
                _ => {
                    if let Ok(null) = std::fs::File::open("/dev/null") {
                        use std::os::fd::AsFd;
                        return SocketHost::with_endpoints(null.as_fd(), Endpoints::UNKNOWN, &log::write)
                            .perform(effect, at);
                    }
                    return Outcome::Refused(b"/dev/null cannot be opened".to_vec());
                }
            }
            return Outcome::Done;
        };
        let endpoints = match self.ends() {
            Some((client, server)) => Endpoints {
                client: Endpoint::Internet(client),
                server: Endpoint::Internet(server),
                // SAFETY: a request that is there.
                datagram: unsafe { (*self.request).sink.is_some() },
            },
            None => Endpoints::UNKNOWN,
        };
        SocketHost::with_endpoints(connection, endpoints, &log::write)
            .remembering(self.state())
            .perform(effect, at)
    }

    fn log(&mut self, diagnostic: &Diagnostic) {
        system::syslog::diagnostic(diagnostic, &log::write);
    }
}
