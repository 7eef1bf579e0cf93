//! The gateway controller: a pool element (ASAP), an ASP (M3UA) and the ISUP call control behind it.
//!
//! * [`isup`]: call control of one circuit group, pure. Its state goes into a cookie and comes back from one.
//! * [`daemon::main`]: the program. `sigpool gwc-pe --config F` is the same thing.

pub mod config;
pub mod daemon;
pub mod isup;
