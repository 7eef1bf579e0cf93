//! The parameters of RFC 5354 as values.

use bytes::Bytes;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

/// PE identifier: 32 bits, random (RFC 5354 3.10). 0 is "undetermined".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PeId(pub u32);

impl fmt::Display for PeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// ENRP server identifier: 32 bits, random, non-zero (RFC 5353 2.1). 0 is "undetermined", or all servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ServerId(pub u32);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Bytes of a handle that need no memory of their own. Most names are shorter, and looking one up is then one read less.
const SHORT: usize = 38;

/// Pool handle: an opaque name of 1 to 65,531 bytes (RFC 5354 3.9), often text. Cheap to clone.
#[derive(Clone)]
pub struct PoolHandle(Name);

#[derive(Clone)]
enum Name {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Bytes),
}

impl PoolHandle {
    /// A handle of these bytes; `max_handle` is enforced where messages are decoded, 65,531 where they are encoded.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes> + AsRef<[u8]>) -> Self {
        Self::short(bytes.as_ref()).unwrap_or_else(|| Self(Name::Long(bytes.into())))
    }

    fn short(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self(Name::Short { len: u8::try_from(name.len()).ok()?, bytes }))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Name::Short { len, bytes } => &bytes[..usize::from(*len)],
            Name::Long(bytes) => bytes,
        }
    }

    /// The same in memory of its own, no part of the message it came in.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self::from(self.as_bytes())
    }
}

impl From<&[u8]> for PoolHandle {
    fn from(bytes: &[u8]) -> Self {
        Self::short(bytes).unwrap_or_else(|| Self(Name::Long(Bytes::copy_from_slice(bytes))))
    }
}

impl From<&str> for PoolHandle {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl PartialEq for PoolHandle {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PoolHandle {}

impl PartialOrd for PoolHandle {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PoolHandle {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for PoolHandle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for PoolHandle {
    /// Printable ASCII as it is, everything else escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Registration life (RFC 5354 3.10): signed seconds on the wire, -1 is infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistrationLife {
    /// Until deregistration or failure.
    Infinite,
    /// Seconds, at most `i32::MAX`.
    Seconds(u32),
}

impl RegistrationLife {
    /// None when infinite.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        match self {
            RegistrationLife::Infinite => None,
            RegistrationLife::Seconds(seconds) => Some(Duration::from_secs(u64::from(seconds))),
        }
    }
}

/// Transport Use field of an SCTP transport (RFC 5354 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportUse {
    /// 0x0000: user data only.
    DataOnly,
    /// 0x0001: user data and ASAP control (cookies, business cards) on one association.
    DataAndControl,
}

/// Addresses of an SCTP transport. Most have one, which costs no memory of its own: servers hold two transports for each of
/// many elements, and compare them at each registration.
pub type Addresses = SmallVec<[IpAddr; 1]>;

/// SCTP Transport (RFC 5354 3.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SctpTransport {
    /// SCTP port.
    pub port: u16,
    /// What it is for.
    pub transport_use: TransportUse,
    /// One or more addresses, v4 and v6 mixed.
    pub addresses: Addresses,
}

/// TCP, UDP or UDP-Lite Transport (RFC 5354 3.5 to 3.7): data only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpTransport {
    /// Port.
    pub port: u16,
    /// The one address.
    pub address: IpAddr,
}

/// DCCP Transport (RFC 5354 3.3): data only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DccpTransport {
    /// DCCP port.
    pub port: u16,
    /// DCCP service code.
    pub service_code: u32,
    /// The one address.
    pub address: IpAddr,
}

/// A user transport (RFC 5354 3.3 to 3.7, 3.16).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transport {
    /// 0x0003.
    Dccp(DccpTransport),
    /// 0x0004.
    Sctp(SctpTransport),
    /// 0x0005.
    Tcp(IpTransport),
    /// 0x0006.
    Udp(IpTransport),
    /// 0x0007.
    UdpLite(IpTransport),
    /// 0x0010: meaning known to the application only.
    Opaque(Bytes),
}

impl Transport {
    /// How long an element with it is in an answer to a pool user, about.
    pub(super) fn octets_about(&self) -> usize {
        const REST: usize = 48;
        const ADDRESS: usize = 20;
        REST + match self {
            Transport::Sctp(sctp) => ADDRESS * sctp.addresses.len(),
            Transport::Opaque(data) => data.len(),
            Transport::Dccp(_) | Transport::Tcp(_) | Transport::Udp(_) | Transport::UdpLite(_) => ADDRESS,
        }
    }
}

/// Pool Member Selection Policy (RFC 5354 3.8, RFC 5356): type and the element's values. 0xffffffff is 100 %.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Policy {
    /// 0x00000001, the default.
    RoundRobin,
    /// 0x00000002.
    WeightedRoundRobin {
        /// Share; 0: not to be used.
        weight: u32,
    },
    /// 0x00000003.
    Random,
    /// 0x00000004.
    WeightedRandom {
        /// Share; 0: not to be used.
        weight: u32,
    },
    /// 0x00000005.
    Priority {
        /// Larger is preferred.
        priority: u32,
    },
    /// 0x40000001.
    LeastUsed {
        /// Current load.
        load: u32,
    },
    /// 0x40000002.
    LeastUsedDegradation {
        /// Current load.
        load: u32,
        /// Load a new request adds.
        degradation: u32,
    },
    /// 0x40000003.
    PriorityLeastUsed {
        /// Current load.
        load: u32,
        /// Load a new request adds.
        degradation: u32,
    },
    /// 0x40000004.
    RandomizedLeastUsed {
        /// Current load.
        load: u32,
    },
    /// 0xc0000001, of the range for private use (RFC 5356 7.1): RFC 5356 has no number for the Most Used of RFC 3237.
    MostUsed {
        /// Current load.
        load: u32,
    },
    /// Any other type; carried, compared, and selected like round robin.
    Other {
        /// Policy type.
        policy_type: u32,
        /// What follows the type.
        data: Box<[u8]>,
    },
}

/// Pool Element (RFC 5354 3.10).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolElement {
    /// PE identifier.
    pub id: PeId,
    /// Home ENRP server; 0 when the element registers and does not know it.
    pub home: ServerId,
    /// Registration life.
    pub life: RegistrationLife,
    /// Where pool users reach it.
    pub user_transport: Transport,
    /// Its policy values.
    pub policy: Policy,
    /// Where its home server reaches it; filled in by the home server, present in ENRP.
    pub asap_transport: Option<SctpTransport>,
}

/// What a pool user measured at one pool element (Element Report, not in the RFCs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ElementReport {
    /// Which element.
    pub pe_id: PeId,
    /// How loaded it seems; 0xffffffff is 100 %.
    pub load: u32,
    /// Round trip in microseconds, below 0xffffffff; none: not measured (0xffffffff on the wire).
    pub round_trip_us: Option<u32>,
}

/// Server Information (RFC 5354 3.11).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerInformation {
    /// Server identifier.
    pub id: ServerId,
    /// Its ENRP transport.
    pub transport: SctpTransport,
}

/// Operation Error (RFC 5354 3.12): one or more causes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperationError {
    /// The causes, in order.
    pub causes: Vec<ErrorCause>,
}

impl From<ErrorCause> for OperationError {
    fn from(cause: ErrorCause) -> Self {
        Self { causes: vec![cause] }
    }
}

/// One error cause (RFC 5354 3.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorCause {
    /// 0x0.
    Unspecified,
    /// 0x1 with the whole parameter.
    UnrecognizedParameter(Bytes),
    /// 0x2 with the whole message.
    UnrecognizedMessage(Bytes),
    /// 0x3 with the offending parameter.
    InvalidValues(Bytes),
    /// 0x4.
    NonUniquePeId,
    /// 0x5 with the pool's policy (rsplib leaves it out).
    InconsistentPolicy(Option<Policy>),
    /// 0x6.
    LackOfResources,
    /// 0x7 with the pool's transport.
    InconsistentTransportType(Option<Transport>),
    /// 0x8.
    InconsistentDataControl,
    /// 0x9.
    UnknownPoolHandle,
    /// 0xa.
    Security,
    /// Any other code, or a known code with information that does not fit it.
    Other {
        /// Cause code.
        code: u16,
        /// Cause information.
        info: Bytes,
    },
}

impl SctpTransport {
    /// True when `address` is one of its addresses.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }
}
