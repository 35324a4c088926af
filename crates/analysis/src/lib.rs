//! The study of tables: what a rule file holds, what is wrong with it, what two of them do differently.
//!
//! For the tools of administrators. Nothing here decides a request: whatever needs a decision asks
//! [`hosts_access`], and what a line or a pattern means is read with its functions. No daemon links this.

#![forbid(unsafe_code)]

pub mod addresses;
pub mod check;
pub mod compare;
pub mod document;
pub mod explain;
pub mod format;
