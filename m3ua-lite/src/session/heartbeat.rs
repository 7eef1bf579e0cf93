//! Our Heartbeat Data.

/// Room for the longest of our Heartbeat Data.
pub const HEARTBEAT_MAX: usize = 16;

const BARRIER: &[u8; 4] = b"SPBR";
const LIVENESS: &[u8; 4] = b"SPLV";
const LEASE: &[u8; 4] = b"SPLS";

/// A controller's lease: it acts only before `sent_ns` + `lease_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When the controller sent it, ns of its own monotonic clock.
    pub sent_ns: u64,
    /// How long it lasts, ms.
    pub lease_ms: u32,
}

/// What a BEAT or BEAT ACK between gateway and controller is about, by its Heartbeat Data:
/// ```text
/// 'S' 'P' 'B' 'R' | u64 id                        barrier
/// 'S' 'P' 'L' 'V' | u64 id                        liveness
/// 'S' 'P' 'L' 'S' | u64 sent_ns | u32 lease_ms    lease
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat<'a> {
    /// Ordered behind DATA; its echo says that what came before is applied and recorded.
    Barrier(u64),
    /// Unordered; echoed at once.
    Liveness(u64),
    /// The controller's, echoed by the gateway to renew the lease.
    Lease(Lease),
    /// Somebody else's; opaque, echoed at once.
    Foreign(&'a [u8]),
}

impl<'a> Heartbeat<'a> {
    /// The meaning of Heartbeat Data; what is not exactly ours is foreign.
    #[must_use]
    pub fn decode(data: &'a [u8]) -> Self {
        let known = data.split_first_chunk::<4>().and_then(|(magic, rest)| match magic {
            BARRIER => Some(Heartbeat::Barrier(u64::from_be_bytes(rest.try_into().ok()?))),
            LIVENESS => Some(Heartbeat::Liveness(u64::from_be_bytes(rest.try_into().ok()?))),
            LEASE => {
                let (sent_ns, lease_ms) = rest.split_first_chunk::<8>()?;
                let lease_ms = u32::from_be_bytes(lease_ms.try_into().ok()?);
                Some(Heartbeat::Lease(Lease { sent_ns: u64::from_be_bytes(*sent_ns), lease_ms }))
            }
            _ => None,
        });
        known.unwrap_or(Heartbeat::Foreign(data))
    }

    /// The octets, written to `room` (a foreign beat's octets are its own).
    ///
    /// ```
    /// use m3ua_lite::session::Heartbeat;
    /// use m3ua_lite::wire::{Beat, Message};
    ///
    /// let mut room = [0; 16];
    /// let beat = Message::Beat(Beat { data: Some(Heartbeat::Barrier(9).encode(&mut room)) });
    /// assert_eq!(beat.encoded_len(), Ok(24));
    /// ```
    pub fn encode<'b>(&self, room: &'b mut [u8; HEARTBEAT_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        let (magic, number, lease_ms) = match self {
            Heartbeat::Barrier(id) => (BARRIER, *id, None),
            Heartbeat::Liveness(id) => (LIVENESS, *id, None),
            Heartbeat::Lease(lease) => (LEASE, lease.sent_ns, Some(lease.lease_ms)),
            Heartbeat::Foreign(data) => return data,
        };
        room[..4].copy_from_slice(magic);
        room[4..12].copy_from_slice(&number.to_be_bytes());
        match lease_ms {
            None => &room[..12],
            Some(lease_ms) => {
                room[12..].copy_from_slice(&lease_ms.to_be_bytes());
                room
            }
        }
    }
}
