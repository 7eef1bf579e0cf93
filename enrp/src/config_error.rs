//! A setting whose value cannot work, though its type allows it.

use super::daemon::DaemonError;
use sctp::driver::DriverConfig;
use std::net::IpAddr;

/// What a settings type's `check` finds: the first key whose value cannot work. A configuration error (exit 2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    /// The key, with its table.
    pub key: String,
    /// What is wrong, or what is expected.
    pub problem: String,
}

impl ConfigError {
    /// `Ok` when `holds`.
    ///
    /// # Errors
    /// This key, with this problem.
    pub fn unless(holds: bool, key: &str, problem: impl Into<String>) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self { key: key.to_owned(), problem: problem.into() }) }
    }

    /// The same, with the table in which its settings are.
    #[must_use]
    pub fn within(self, table: &str) -> Self {
        Self { key: format!("{table}.{}", self.key), ..self }
    }

    /// Checks `[udp] addresses` and `advertise`, which go into SCTP and into registrations.
    ///
    /// # Errors
    /// There is none, or one that is no address of a machine; not as many to advertise.
    pub fn check_addresses(udp: &DriverConfig) -> Result<(), Self> {
        let key = "udp.addresses";
        Self::unless(!udp.addresses.is_empty(), key, "give at least one own IP address")?;
        let wildcard = udp.addresses.iter().any(IpAddr::is_unspecified);
        Self::unless(!wildcard, key, "name each own address; 0.0.0.0 and :: cannot be told to others")?;
        let (key, advertise) = ("udp.advertise", &udp.advertise);
        let as_many = advertise.is_empty() || advertise.len() == udp.addresses.len();
        Self::unless(as_many, key, "none, or one for each of udp.addresses, in their order")?;
        let usable = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast();
        Self::unless(advertise.iter().all(usable), key, "addresses that others send to, none of them 0.0.0.0 or [::]")
    }
}

impl From<ConfigError> for DaemonError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}
