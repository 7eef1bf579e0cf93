//! Pools and pool elements.

/// All pools.
#[derive(Debug)]
pub struct Handlespace {}
