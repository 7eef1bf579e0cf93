//! The gateway controller: a pool element (ASAP), an ASP (M3UA) and what stands behind it: ISUP call control, a service
//! behind TCAP dialogues.
//!
//! * [`isup`]: call control of one circuit group, pure. Its state goes into a cookie and comes back from one.
//! * [`tcap`]: the same for the dialogues of one group.
//! * [`session`]: the session with one gateway: lease, duplicate filter, transactions, cookies.
//! * [`record`]: what was applied and sent, written before anything that depends on it leaves.
//! * `attachment`: the ways to gateways for an ordinary ASP, which is in no pool by itself.
//! * `membership`: the registration in one operation scope.
//! * [`node`]: all of it with SCTP and the registration, pure; `admin` is what it says about itself.
//! * [`daemon::main`]: the program. `sigpool gwc-pe --config F` is the same thing.

mod admin;
mod attachment;
pub mod config;
pub mod daemon;
pub mod isup;
mod membership;
pub mod node;
mod originate;
pub mod record;
pub mod session;
pub mod tcap;
