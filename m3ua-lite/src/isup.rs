//! The ISUP fields a gateway looks at (Q.763): circuit identification code and message type. The rest of a message is
//! the controller's.
//! ```text
//! | CIC, low 8 bits | 0000 | CIC, high 4 bits | Message Type | ...
//! ```

/// Service indicator of ISUP in MTP3.
pub const SERVICE_INDICATOR: u8 = 5;

/// The circuit identification code, 12 bits; `None` when `user_data` is too short to have one.
#[must_use]
pub fn cic(user_data: &[u8]) -> Option<u16> {
    let octets = user_data.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*octets) & 0x0fff)
}

/// The message type; `None` when `user_data` is too short, [`MessageType::Other`] for a code Q.763 does not have.
#[must_use]
pub fn message_type(user_data: &[u8]) -> Option<MessageType> {
    user_data.get(2).map(|code| MessageType::from_code(*code))
}

macro_rules! message_types {
    ($($variant:ident = $code:literal $name:literal $text:literal,)*) => {
        /// ISUP message type (Q.763 table 4).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum MessageType {
            $(#[doc = $text] $variant,)*
            /// A code that is not in the table.
            Other(u8),
        }

        impl MessageType {
            /// All message types of the table.
            pub const ALL: &'static [MessageType] = &[$(MessageType::$variant,)*];

            /// The code on the wire.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self {
                    $(MessageType::$variant => $code,)*
                    MessageType::Other(code) => code,
                }
            }

            /// The meaning of a code; never fails.
            #[must_use]
            pub const fn from_code(code: u8) -> Self {
                match code {
                    $($code => MessageType::$variant,)*
                    other => MessageType::Other(other),
                }
            }

            /// The abbreviation of Q.762, `"?"` for an unknown code.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(MessageType::$variant => $name,)*
                    MessageType::Other(_) => "?",
                }
            }
        }
    };
}

message_types! {
    Iam = 0x01 "IAM" "Initial address.",
    Sam = 0x02 "SAM" "Subsequent address.",
    Inr = 0x03 "INR" "Information request.",
    Inf = 0x04 "INF" "Information.",
    Cot = 0x05 "COT" "Continuity.",
    Acm = 0x06 "ACM" "Address complete.",
    Con = 0x07 "CON" "Connect.",
    Fot = 0x08 "FOT" "Forward transfer.",
    Anm = 0x09 "ANM" "Answer.",
    Rel = 0x0c "REL" "Release.",
    Sus = 0x0d "SUS" "Suspend.",
    Res = 0x0e "RES" "Resume.",
    Rlc = 0x10 "RLC" "Release complete.",
    Ccr = 0x11 "CCR" "Continuity check request.",
    Rsc = 0x12 "RSC" "Reset circuit.",
    Blo = 0x13 "BLO" "Blocking.",
    Ubl = 0x14 "UBL" "Unblocking.",
    Bla = 0x15 "BLA" "Blocking acknowledgement.",
    Uba = 0x16 "UBA" "Unblocking acknowledgement.",
    Grs = 0x17 "GRS" "Circuit group reset.",
    Cgb = 0x18 "CGB" "Circuit group blocking.",
    Cgu = 0x19 "CGU" "Circuit group unblocking.",
    Cgba = 0x1a "CGBA" "Circuit group blocking acknowledgement.",
    Cgua = 0x1b "CGUA" "Circuit group unblocking acknowledgement.",
    Far = 0x1f "FAR" "Facility request.",
    Faa = 0x20 "FAA" "Facility accepted.",
    Frj = 0x21 "FRJ" "Facility reject.",
    Lpa = 0x24 "LPA" "Loop back acknowledgement.",
    Pam = 0x28 "PAM" "Pass-along.",
    Gra = 0x29 "GRA" "Circuit group reset acknowledgement.",
    Cqm = 0x2a "CQM" "Circuit group query.",
    Cqr = 0x2b "CQR" "Circuit group query response.",
    Cpg = 0x2c "CPG" "Call progress.",
    Usr = 0x2d "USR" "User-to-user information.",
    Ucic = 0x2e "UCIC" "Unequipped CIC.",
    Cfn = 0x2f "CFN" "Confusion.",
    Olm = 0x30 "OLM" "Overload.",
    Crg = 0x31 "CRG" "Charge information.",
    Nrm = 0x32 "NRM" "Network resource management.",
    Fac = 0x33 "FAC" "Facility.",
    Upt = 0x34 "UPT" "User part test.",
    Upa = 0x35 "UPA" "User part available.",
    Idr = 0x36 "IDR" "Identification request.",
    Irs = 0x37 "IRS" "Identification response.",
    Sgm = 0x38 "SGM" "Segmentation.",
    Lop = 0x40 "LOP" "Loop prevention.",
    Apm = 0x41 "APM" "Application transport.",
    Pri = 0x42 "PRI" "Pre-release information.",
    Sdn = 0x43 "SDN" "Subsequent directory number.",
}
