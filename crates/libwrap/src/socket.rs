//! Who is asking, as the connection tells it (hosts_access(3)): `sock_host` and its methods, `rfc931`.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int};
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hosts_access::UNKNOWN;
use system::endpoints::{self, Endpoint, Endpoints};
use system::{ident, names, sockaddr};

use crate::entry::guard;
use crate::log;
use crate::strings::put;
use crate::structs::{HostInfo, RequestInfo, STRING_LENGTH, rfc931_timeout};

/// The address and port of a socket address.
///
/// # Safety
/// `address` is null or points to a socket address as long as its family says.
pub unsafe fn address(address: *const libc::sockaddr) -> Option<SocketAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: every socket address has its family.
    let length = match c_int::from(unsafe { (*address).sa_family }) {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => return None,
    };
    // SAFETY: as the caller promises.
    unsafe { sockaddr::read(address, length as libc::socklen_t) }
}

/// Who a connection is with, where that is an IPv4 or IPv6 address.
pub fn peer(fd: c_int) -> io::Result<Option<SocketAddr>> {
    // SAFETY: plain data.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    ask(fd, libc::getpeername, &mut storage)?;
    // SAFETY: zeroes, or what the kernel put there: no shorter than any family is.
    Ok(unsafe { address((&raw const storage).cast()) })
}

type AddressCall = unsafe extern "C" fn(c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> c_int;

/// One end of a connection, of whatever family it is.
fn ask(fd: c_int, call: AddressCall, storage: &mut libc::sockaddr_storage) -> io::Result<()> {
    let mut length = size_of_val(storage) as libc::socklen_t;
    // SAFETY: room for an address, and its size.
    match unsafe { call(fd, (&raw mut *storage).cast(), &mut length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Is this the address of a local socket?
///
/// # Safety
/// As [`address`].
unsafe fn is_local(address: *const libc::sockaddr) -> bool {
    // SAFETY: every socket address has its family.
    !address.is_null() && c_int::from(unsafe { (*address).sa_family }) == libc::AF_UNIX
}

/// A descriptor that a program handed over; nothing where it is none.
///
/// # Safety
/// `fd` stays open as long as the result is used.
pub unsafe fn borrowed<'f>(fd: c_int) -> Option<BorrowedFd<'f>> {
    // SAFETY: -1 is left out, the rest as the caller promises.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Finds both ends of the connection `request->fd`. The addresses it points to live until the same thread
/// calls this again.
///
/// # Safety
/// `request` points to a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sock_host(request: *mut RequestInfo) {
    thread_local! {
        static ENDS: [UnsafeCell<libc::sockaddr_storage>; 2] =
            // SAFETY: plain data.
            const { unsafe { std::mem::zeroed() } };
    }
    guard((), || {
        // SAFETY: as the caller promises; the program keeps its descriptor open meanwhile.
        let (request, connection) = unsafe { (&mut *request, borrowed((*request).fd)) };
        request.hostname = Some(sock_hostname);
        request.hostaddr = Some(sock_hostaddr);
        let Some(connection) = connection else {
            request.sink = Some(sink);
            log::warn(b"can't get client address: Bad file descriptor");
            return;
        };
        let found = Endpoints::of(connection, &mut |text| log::warn(&text));
        let fd = request.fd;
        // Whoever has no peer may be a datagram service: what it is sent waits, or comes yet.
        let has_peer = !found.datagram && (found.client != Endpoint::Unknown || peer(fd).is_ok());
        if !has_peer {
            request.sink = Some(sink);
        }
        if !has_peer && found.client == Endpoint::Unknown {
            return;
        }
        ENDS.with(|places| {
            let ends: [(_, AddressCall, _); 2] = [
                (&found.client, libc::getpeername, &mut request.client),
                (&found.server, libc::getsockname, &mut request.server),
            ];
            for ((endpoint, call, info), place) in ends.into_iter().zip(places) {
                // SAFETY: the storage is this thread's, and has room for a socket address of any family.
                unsafe {
                    match endpoint {
                        Endpoint::Internet(address) => {
                            let raw = sockaddr::Raw::from(address);
                            let bytes = raw.as_ptr().cast::<u8>();
                            let to = place.get().cast::<u8>();
                            to.copy_from_nonoverlapping(bytes, raw.length() as usize);
                        }
                        // It has no number: the family is all there is to it.
                        Endpoint::Local => {
                            place.get().write_bytes(0, 1);
                            (*place.get()).ss_family = libc::AF_UNIX as libc::sa_family_t;
                        }
                        // The program may know more of it than rules do.
                        Endpoint::Unknown => {
                            if ask(fd, call, &mut *place.get()).is_err() {
                                continue;
                            }
                        }
                    }
                }
                info[0].sin = place.get().cast();
            }
        });
    });
}

/// Throws a waiting datagram away.
///
/// # Safety
/// None: a number that is no descriptor does nothing.
unsafe extern "C" fn sink(fd: c_int) {
    // SAFETY: whatever the descriptor is, it is open as long as the program leaves it so.
    if let Some(socket) = unsafe { borrowed(fd) } {
        endpoints::drain(socket);
    }
}

/// Puts the numeric address of one end into its structure.
///
/// # Safety
/// `host` points to one end of a request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sock_hostaddr(host: *mut HostInfo) {
    guard((), || {
        // SAFETY: as the caller promises.
        let host = unsafe { &mut *host };
        // SAFETY: programs set `sin` to an address of the length its family has.
        let end = unsafe {
            match address(host.sin) {
                Some(address) => Endpoint::Internet(address),
                None if is_local(host.sin) => Endpoint::Local,
                None => return,
            }
        };
        put(&mut host.addr, &end.text());
    });
}

/// Puts the verified name of one end into its structure.
///
/// # Safety
/// As [`sock_hostaddr`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sock_hostname(host: *mut HostInfo) {
    // SAFETY: as the caller promises.
    unsafe { whole_name(host) };
}

/// The same, returning the name whole. Nothing, and nothing is put, where there is no address to look up.
///
/// # Safety
/// As [`sock_hostaddr`].
pub unsafe fn whole_name(host: *mut HostInfo) -> Option<Vec<u8>> {
    guard(None, || {
        // SAFETY: as the caller promises; programs set `sin` to an address of the length its family has.
        let address = unsafe { address((*host).sin) }?;
        let name = names::verified_name(&address, &mut |doubt| log::warn(&doubt));
        // SAFETY: as the caller promises.
        put(unsafe { &mut (*host).name }, &name);
        Some(name)
    })
}

/// Asks the client's ident server whose connection this is. The name, or `unknown`, is put where `user`
/// points, which has room for 128 bytes.
///
/// # Safety
/// The addresses are as long as their families say; `user` has that room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rfc931(client: *mut libc::sockaddr, server: *mut libc::sockaddr, user: *mut c_char) {
    guard((), || {
        // SAFETY: as the caller promises.
        let (client, server, user) = unsafe {
            let user = std::slice::from_raw_parts_mut(user, STRING_LENGTH);
            (address(client), address(server), user)
        };
        let timeout = Duration::from_secs(u64::try_from(rfc931_timeout.load(Relaxed)).unwrap_or(0));
        let found = client.zip(server).and_then(|(client, server)| {
            ident::user(&client, &server, timeout, &mut |text| log::warn(&text))
        });
        put(user, found.as_deref().unwrap_or(UNKNOWN));
    });
}
