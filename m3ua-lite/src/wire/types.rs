//! Values that parameters carry.

use crate::error::DecodeError;
use crate::wire::tag;

/// Routing contexts one message may carry.
pub const MAX_ROUTING_CONTEXTS: usize = 32;
/// Affected point codes one message may carry.
pub const MAX_AFFECTED: usize = 32;
/// Routing keys one REG REQ, and results one REG RSP, may carry.
pub const MAX_ROUTING_KEYS: usize = 16;

/// Routing Context parameter (RFC 4666 section 3.4.1); empty stands for "parameter absent".
pub type RoutingContexts = heapless::Vec<u32, MAX_ROUTING_CONTEXTS>;
/// Affected Point Code parameter (RFC 4666 section 3.4.1); empty stands for "parameter absent".
pub type AffectedList = heapless::Vec<AffectedPc, MAX_AFFECTED>;

/// One routing context as a list.
#[must_use]
pub fn one_context(routing_context: u32) -> RoutingContexts {
    let mut list = RoutingContexts::new();
    list.push(routing_context).expect("invariant: an empty list has room for one");
    list
}

/// One Affected Point Code (RFC 4666 section 3.4.1), as on the wire: mask (8 bits), point code (24 bits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AffectedPc(pub(crate) u32);

impl AffectedPc {
    /// The point codes that equal `pc` (24 bits) in all but the `mask` lowest bits.
    #[must_use]
    pub const fn new(mask: u8, pc: u32) -> Self {
        AffectedPc((mask as u32) << 24 | (pc & 0x00ff_ffff))
    }

    /// Exactly one point code.
    #[must_use]
    pub const fn one(pc: u32) -> Self {
        AffectedPc::new(0, pc)
    }

    /// How many low bits of the point code are wildcards; 0 is one point code.
    #[must_use]
    pub const fn mask(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// The point code, 24 bits.
    #[must_use]
    pub const fn pc(self) -> u32 {
        self.0 & 0x00ff_ffff
    }

    /// True when `pc` is in the range this entry stands for; a mask as long as the point code covers all.
    #[must_use]
    pub const fn covers(self, pc: u32) -> bool {
        let mask = if self.mask() >= 24 { 24 } else { self.mask() };
        (self.pc() >> mask) == (pc >> mask)
    }
}

/// Traffic Mode Type (RFC 4666 section 3.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrafficMode {
    /// The newly active ASP takes all traffic.
    Override,
    /// Active ASPs share the traffic.
    Loadshare,
    /// Each active ASP gets every message.
    Broadcast,
}

impl TrafficMode {
    /// The value on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            TrafficMode::Override => 1,
            TrafficMode::Loadshare => 2,
            TrafficMode::Broadcast => 3,
        }
    }

    /// The mode for a wire value.
    ///
    /// # Errors
    /// [`DecodeError::TrafficMode`] for any other value; ERR 0x05 answers it.
    pub const fn from_code(mode: u32) -> Result<Self, DecodeError> {
        match mode {
            1 => Ok(TrafficMode::Override),
            2 => Ok(TrafficMode::Loadshare),
            3 => Ok(TrafficMode::Broadcast),
            _ => Err(DecodeError::TrafficMode { mode }),
        }
    }
}

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$vmeta:meta])* $variant:ident = $code:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vmeta])* $variant,)*
            /// A value without a meaning in RFC 4666.
            Other($repr),
        }

        impl $name {
            /// The value on the wire.
            #[must_use]
            pub const fn code(self) -> $repr {
                match self {
                    $($name::$variant => $code,)*
                    $name::Other(code) => code,
                }
            }

            /// The meaning of a wire value; never fails.
            #[must_use]
            pub const fn from_code(code: $repr) -> Self {
                match code {
                    $($code => $name::$variant,)*
                    other => $name::Other(other),
                }
            }

            /// The RFC's words for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                    $name::Other(_) => "unknown",
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{} ({:#x})", self.name(), self.code())
            }
        }
    };
}

codes! {
    /// Error Code (RFC 4666 section 3.8.1).
    ErrorCode: u32 {
        /// 0x01: the version is not 1.
        InvalidVersion = 0x01 "Invalid Version",
        /// 0x03: message class not supported.
        UnsupportedMessageClass = 0x03 "Unsupported Message Class",
        /// 0x04: message type not supported.
        UnsupportedMessageType = 0x04 "Unsupported Message Type",
        /// 0x05: traffic mode unknown, or another than the AS has.
        UnsupportedTrafficMode = 0x05 "Unsupported Traffic Mode Type",
        /// 0x06: not expected in the current state.
        UnexpectedMessage = 0x06 "Unexpected Message",
        /// 0x07: protocol anomaly.
        ProtocolError = 0x07 "Protocol Error",
        /// 0x09: message on a stream it may not use.
        InvalidStream = 0x09 "Invalid Stream Identifier",
        /// 0x0d: refused by management.
        ManagementBlocking = 0x0d "Refused - Management Blocking",
        /// 0x0e: ASP Up without ASP Identifier where one is required.
        AspIdentifierRequired = 0x0e "ASP Identifier Required",
        /// 0x0f: ASP Identifier not valid or not unique.
        InvalidAspIdentifier = 0x0f "Invalid ASP Identifier",
        /// 0x11: parameter value not valid.
        InvalidParameterValue = 0x11 "Invalid Parameter Value",
        /// 0x12: parameter with a wrong length field.
        ParameterFieldError = 0x12 "Parameter Field Error",
        /// 0x13: parameter not expected.
        UnexpectedParameter = 0x13 "Unexpected Parameter",
        /// 0x14: DAUD for a destination whose status is not given.
        DestinationStatusUnknown = 0x14 "Destination Status Unknown",
        /// 0x15: network appearance not configured.
        InvalidNetworkAppearance = 0x15 "Invalid Network Appearance",
        /// 0x16: mandatory parameter missing.
        MissingParameter = 0x16 "Missing Parameter",
        /// 0x19: routing context not configured.
        InvalidRoutingContext = 0x19 "Invalid Routing Context",
        /// 0x1a: no AS configured for this ASP.
        NoConfiguredAs = 0x1a "No Configured AS for ASP",
    }
}

codes! {
    /// Registration Status (RFC 4666 section 3.6.2).
    RegistrationStatus: u32 {
        /// 0.
        Success = 0 "Successfully Registered",
        /// 1.
        Unknown = 1 "Error - Unknown",
        /// 2.
        InvalidDpc = 2 "Error - Invalid DPC",
        /// 3.
        InvalidNetworkAppearance = 3 "Error - Invalid Network Appearance",
        /// 4.
        InvalidRoutingKey = 4 "Error - Invalid Routing Key",
        /// 5.
        PermissionDenied = 5 "Error - Permission Denied",
        /// 6.
        CannotSupportUniqueRouting = 6 "Error - Cannot Support Unique Routing",
        /// 7.
        NotProvisioned = 7 "Error - Routing Key not Currently Provisioned",
        /// 8.
        InsufficientResources = 8 "Error - Insufficient Resources",
        /// 9.
        UnsupportedField = 9 "Error - Unsupported RK parameter Field",
        /// 10.
        UnsupportedTrafficMode = 10 "Error - Unsupported/Invalid Traffic Handling Mode",
        /// 11.
        ChangeRefused = 11 "Error - Routing Key Change Refused",
        /// 12.
        AlreadyRegistered = 12 "Error - Routing Key Already Registered",
    }
}

codes! {
    /// Deregistration Status (RFC 4666 section 3.6.4).
    DeregistrationStatus: u32 {
        /// 0.
        Success = 0 "Successfully Deregistered",
        /// 1.
        Unknown = 1 "Error - Unknown",
        /// 2.
        InvalidRoutingContext = 2 "Error - Invalid Routing Context",
        /// 3.
        PermissionDenied = 3 "Error - Permission Denied",
        /// 4.
        NotRegistered = 4 "Error - Not Registered",
        /// 5.
        AspActive = 5 "Error - ASP Currently Active for Routing Context",
    }
}

codes! {
    /// Unavailability cause of DUPU (RFC 4666 section 3.4.5).
    UnavailabilityCause: u16 {
        /// 0.
        Unknown = 0 "Unknown",
        /// 1.
        Unequipped = 1 "Unequipped Remote User",
        /// 2.
        Inaccessible = 2 "Inaccessible Remote User",
    }
}

/// Status of NTFY (RFC 4666 section 3.8.2): type and information in one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// AS state change: AS-INACTIVE.
    AsInactive,
    /// AS state change: AS-ACTIVE.
    AsActive,
    /// AS state change: AS-PENDING.
    AsPending,
    /// Other: too few ASPs are active in the AS.
    InsufficientResources,
    /// Other: another ASP took over (override mode).
    AlternateAspActive,
    /// Other: an ASP of the AS failed.
    AspFailure,
    /// A combination without a meaning in RFC 4666.
    Other {
        /// Status Type.
        kind: u16,
        /// Status Information.
        info: u16,
    },
}

impl Status {
    /// Status Type and Status Information as one word.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Status::AsInactive => 0x0001_0002,
            Status::AsActive => 0x0001_0003,
            Status::AsPending => 0x0001_0004,
            Status::InsufficientResources => 0x0002_0001,
            Status::AlternateAspActive => 0x0002_0002,
            Status::AspFailure => 0x0002_0003,
            Status::Other { kind, info } => (kind as u32) << 16 | info as u32,
        }
    }

    /// The meaning of a word; never fails.
    #[must_use]
    pub const fn from_code(word: u32) -> Self {
        match word {
            0x0001_0002 => Status::AsInactive,
            0x0001_0003 => Status::AsActive,
            0x0001_0004 => Status::AsPending,
            0x0002_0001 => Status::InsufficientResources,
            0x0002_0002 => Status::AlternateAspActive,
            0x0002_0003 => Status::AspFailure,
            _ => Status::Other { kind: (word >> 16) as u16, info: word as u16 },
        }
    }
}

/// The four octets of User/Cause (RFC 4666 section 3.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserCause {
    /// Why the user part is not available.
    pub cause: UnavailabilityCause,
    /// MTP3 user identity, same values as the service indicator (5 = ISUP).
    pub user: u16,
}

/// Heartbeat Data and Diagnostic Information are octets without a meaning to this layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diagnostic<'a>(
    /// The octets, usually the beginning of the offending message.
    pub &'a [u8],
);

/// Reads a list of 32-bit words; a list parameter must hold at least one.
pub(crate) fn words<T, const N: usize>(
    tag: u16,
    value: &[u8],
    convert: impl Fn(u32) -> T,
) -> Result<heapless::Vec<T, N>, DecodeError> {
    let (chunks, rest) = value.as_chunks::<4>();
    if chunks.is_empty() || !rest.is_empty() {
        return Err(tag::wrong_length(tag, value));
    }
    let mut list = heapless::Vec::new();
    for word in chunks {
        list.push(convert(u32::from_be_bytes(*word))).map_err(|_| DecodeError::TooMany { tag, limit: N })?;
    }
    Ok(list)
}
