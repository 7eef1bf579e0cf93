//! `with` of an `impair` fault: what a poor network does to datagrams, and to which.

use m3ua_lite::wire::MessageType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest delay and jitter, ms.
const TIME_MAX_MS: f64 = 10_000.0;
/// M3UA, ASAP and ENRP: RFC 4666 section 7.1, RFC 5352 section 7.2, RFC 5353 section 6.2.
const M3UA: u32 = 3;
const ASAP: u32 = 11;
const ENRP: u32 = 12;
/// RFC 5352 section 2.2, in the order of the types, from 1.
const ASAP_NAMES: [&str; 14] = [
    "ASAP_REGISTRATION",
    "ASAP_DEREGISTRATION",
    "ASAP_REGISTRATION_RESPONSE",
    "ASAP_DEREGISTRATION_RESPONSE",
    "ASAP_HANDLE_RESOLUTION",
    "ASAP_HANDLE_RESOLUTION_RESPONSE",
    "ASAP_ENDPOINT_KEEP_ALIVE",
    "ASAP_ENDPOINT_KEEP_ALIVE_ACK",
    "ASAP_ENDPOINT_UNREACHABLE",
    "ASAP_SERVER_ANNOUNCE",
    "ASAP_COOKIE",
    "ASAP_COOKIE_ECHO",
    "ASAP_BUSINESS_CARD",
    "ASAP_ERROR",
];
/// RFC 5353 section 2, in the order of the types, from 1.
const ENRP_NAMES: [&str; 10] = [
    "ENRP_PRESENCE",
    "ENRP_HANDLE_TABLE_REQUEST",
    "ENRP_HANDLE_TABLE_RESPONSE",
    "ENRP_HANDLE_UPDATE",
    "ENRP_LIST_REQUEST",
    "ENRP_LIST_RESPONSE",
    "ENRP_INIT_TAKEOVER",
    "ENRP_INIT_TAKEOVER_ACK",
    "ENRP_TAKEOVER_SERVER",
    "ENRP_ERROR",
];

/// What is done to datagrams between processes, each by chance of its own, and which of them are meant; without `ppid` and `message` all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Impairment {
    /// So many per cent are lost.
    #[schemars(range(min = 0.0, max = 100.0), example = 5.0)]
    pub loss_percent: f64,
    /// All others are on their way for so much longer, ms.
    #[schemars(range(min = 0.0, max = TIME_MAX_MS), example = 20.0)]
    pub delay_ms: f64,
    /// On top of that between nothing and so much, ms; the order between two processes stays.
    #[schemars(range(min = 0.0, max = TIME_MAX_MS), example = 10.0)]
    pub jitter_ms: f64,
    /// So many per cent arrive twice.
    #[schemars(range(min = 0.0, max = 100.0), example = 1.0)]
    pub duplicate_percent: f64,
    /// So many per cent do not wait for `delay_ms` and `jitter_ms`, and so overtake others.
    #[schemars(range(min = 0.0, max = 100.0), example = 2.0)]
    pub reorder_percent: f64,
    /// Only datagrams with a DATA chunk of this SCTP payload protocol: 3 M3UA, 11 ASAP, 12 ENRP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 11)]
    pub ppid: Option<u32>,
    /// Only datagrams with this message: `BEAT`, `BEAT ACK`, `ASPAC`, ... of RFC 4666, `ASAP_ENDPOINT_KEEP_ALIVE`, ... of RFC 5352,
    /// `ENRP_PRESENCE`, ... of RFC 5353. What is bundled with it shares its fate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"BEAT")]
    pub message: Option<String>,
}

impl Impairment {
    /// What it needs of a DATA chunk to mean its datagram: the payload protocol, and of the message class and type (M3UA), or type.
    /// `None`: it means every datagram. A name that does not exist means none; the check of the scenario refuses it.
    #[must_use]
    pub fn wanted(&self) -> Option<Wanted> {
        match (&self.message, self.ppid) {
            (Some(name), _) => {
                let (ppid, code) = named(name).unwrap_or((u32::MAX, 0));
                Some(Wanted { ppid, code: Some(code) })
            }
            (None, Some(ppid)) => Some(Wanted { ppid, code: None }),
            (None, None) => None,
        }
    }

    /// How long datagrams wait at least, and how much longer at most.
    #[must_use]
    pub fn times(&self) -> (Duration, Duration) {
        let of = |ms: f64| Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default();
        (of(self.delay_ms), of(self.jitter_ms))
    }

    /// The key that is wrong, and how.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let percents = [
            ("with.loss_percent", self.loss_percent),
            ("with.duplicate_percent", self.duplicate_percent),
            ("with.reorder_percent", self.reorder_percent),
        ];
        if let Some((key, _)) = percents.into_iter().find(|(_, percent)| !(0.0..=100.0).contains(percent)) {
            return Err((key, "expected 0 to 100 per cent".into()));
        }
        let times = [("with.delay_ms", self.delay_ms), ("with.jitter_ms", self.jitter_ms)];
        if let Some((key, _)) = times.into_iter().find(|(_, ms)| !(0.0..=TIME_MAX_MS).contains(ms)) {
            return Err((key, format!("expected 0 to {TIME_MAX_MS} ms")));
        }
        let waits = self.delay_ms > 0.0 || self.jitter_ms > 0.0;
        if self.reorder_percent > 0.0 && !waits {
            return Err((
                "with.reorder_percent",
                "what does not wait overtakes what does: expected delay_ms or jitter_ms too".into(),
            ));
        }
        if !waits && self.loss_percent <= 0.0 && self.duplicate_percent <= 0.0 {
            return Err(("with", "expected one of loss_percent, delay_ms, jitter_ms, duplicate_percent over 0".into()));
        }
        match (&self.message, self.ppid) {
            (Some(_), Some(_)) => Err(("with.ppid", "a message has its payload protocol: expected one of them".into())),
            (Some(name), None) if named(name).is_none() => Err((
                "with.message",
                format!(
                    "no message `{name}`: expected one of RFC 4666 (BEAT), RFC 5352 (ASAP_COOKIE) or RFC 5353 (ENRP_PRESENCE)"
                ),
            )),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// A DATA chunk that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Payload protocol identifier (RFC 9260 section 3.3.1).
    pub ppid: u32,
    /// Of M3UA class and type in the two octets, of ASAP and ENRP the type; any message without it.
    pub code: Option<u16>,
}

/// Payload protocol and code of a message.
fn named(name: &str) -> Option<(u32, u16)> {
    let place = |names: &[&str]| names.iter().position(|known| *known == name).map(|index| index as u16 + 1);
    let m3ua = MessageType::ALL.iter().find(|kind| kind.name() == name).map(|kind| (M3UA, kind.code()));
    m3ua.or_else(|| Some((ASAP, place(&ASAP_NAMES)?))).or_else(|| Some((ENRP, place(&ENRP_NAMES)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_their_names() {
        for (name, ppid, code) in [
            ("DATA", 3, 0x0101),
            ("BEAT ACK", 3, 0x0306),
            ("ASAP_ENDPOINT_KEEP_ALIVE", 11, 7),
            ("ASAP_ERROR", 11, 14),
            ("ENRP_PRESENCE", 12, 1),
            ("ENRP_ERROR", 12, 10),
        ] {
            let impairment = Impairment { loss_percent: 1.0, message: Some(name.into()), ..Impairment::default() };
            assert_eq!(impairment.wanted(), Some(Wanted { ppid, code: Some(code) }), "{name}");
            assert_eq!(impairment.check(), Ok(()));
        }
        let by_ppid = Impairment { ppid: Some(11), ..Impairment::default() };
        assert_eq!(by_ppid.wanted(), Some(Wanted { ppid: 11, code: None }));
        assert_eq!(Impairment::default().wanted(), None);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let good = Impairment { loss_percent: 1.0, ..Impairment::default() };
        for (wrong, key) in [
            (Impairment::default(), "with"),
            (Impairment { loss_percent: 100.1, ..good.clone() }, "with.loss_percent"),
            (Impairment { duplicate_percent: f64::NAN, ..good.clone() }, "with.duplicate_percent"),
            (Impairment { delay_ms: -1.0, ..good.clone() }, "with.delay_ms"),
            (Impairment { jitter_ms: 10_001.0, ..good.clone() }, "with.jitter_ms"),
            (Impairment { reorder_percent: 1.0, ..good.clone() }, "with.reorder_percent"),
            (Impairment { message: Some("BEEP".into()), ..good.clone() }, "with.message"),
            (Impairment { message: Some("BEAT".into()), ppid: Some(3), ..good.clone() }, "with.ppid"),
        ] {
            assert_eq!(wrong.check().unwrap_err().0, key);
        }
        assert_eq!(good.check(), Ok(()));
    }
}
