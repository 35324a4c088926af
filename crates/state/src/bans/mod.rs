//! The ban list: a text file, one ban a line (`text`), that is appended to ([`Writer`]) and looked up in
//! ([`look_up`], and [`List`] for those who ask often).
//!
//! A ban takes effect only where a rule says `{banned}`.

mod anew;
mod index;
mod last;
mod list;
mod queue;
mod spared;
mod text;
mod write;

pub use list::{Contents, FRESH, Found, List, ban_at, contents, look_up};
pub use queue::Queue;
pub use spared::Refusal;
pub use spared::refusal;
pub use text::{Ban, Expiry, LONGEST_ORIGIN, is_origin};
pub use write::{Writer, Written};

/// Where the list is, unless the configuration says otherwise.
pub const PATH: &str = "/var/lib/tcpwrap/bans";
