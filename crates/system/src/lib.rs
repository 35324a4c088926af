//! This host, as the engine asks for it.

pub mod services;
