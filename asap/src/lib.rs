//! RSerPool common parameters (RFC 5354), ASAP messages (RFC 5352), the pool selection policies (RFC 5356), and the two client
//! machines: pool element and pool user. Pure: no clock, no socket, no global randomness.
//!
//! * [`wire`]: bytes to messages and back, for both ASAP and ENRP users of the common parameters.
//! * [`policy`]: selection of pool elements; the one implementation, for name server and pool user.
//! * [`pool_element`]: registers a pool element with its home server and keeps it registered.
//! * [`pool_user`]: resolves handles, keeps the cache, queues, selects, reports.
//! * [`small_map`]: an ordered map for tables of which there are many, most of them small.
//! * [`combination`]: both in one node, over one association.
//!
//! Both machines are driven alike: `handle_*(now, ...)` and application calls, then drain `poll_transmit`, `poll_event`, and ask
//! `poll_timeout` when to call `handle_timeout` at the latest.

pub mod combination;
pub mod config;
pub mod event;
mod hunt;
mod name;
pub mod policy;
pub mod pool_element;
pub mod pool_user;
pub mod small_map;
pub mod wire;

pub use combination::Combination;
pub use config::{HuntConfig, PeConfig, PuConfig, ServerAddress};
pub use event::{ConnId, PeEvent, PuEvent, Transmit};
pub use name::{PoolName, PoolNameError};
pub use policy::{PolicyKind, Selector};
pub use pool_element::PeMachine;
pub use pool_user::PuMachine;
