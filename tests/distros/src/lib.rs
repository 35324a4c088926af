//! Our packages on the distributions they are for. The tests are in `tests/`, what they do there in
//! `lifecycle.sh`.

#![forbid(unsafe_code)]
