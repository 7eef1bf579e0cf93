//! Multi-homing: RFC 9260 sections 5.1.2, 5.4, 6.4, 8.1 to 8.3, RFC 7829.
// Each file uses its part of the lab; helpers of tests may unwrap, look for one event among all, and print the figures they measured.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::wildcard_enum_match_arm, clippy::print_stdout)]

mod addresses;
mod cuts;
mod lab;
mod rules;
mod silence;
