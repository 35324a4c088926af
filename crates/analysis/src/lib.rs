//! The study of tables: what a rule file holds, what is wrong with it, what two of them do differently.
//!
//! For the tools of administrators. Nothing here decides a request: whatever needs a decision asks
//! [`hosts_access`], and what a line or a pattern means is read with its functions. No daemon links this.

#![forbid(unsafe_code)]
// A new pattern or option is thought about wherever patterns or options are told apart.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod addresses;
pub mod check;
pub mod compare;
pub mod document;
pub mod explain;
pub mod format;
