//! Octets of any kind.

use super::*;
use proptest::prelude::*;

/// Stream, PPID, octets.
fn message() -> impl Strategy<Value = (u16, u32, Vec<u8>)> {
    (0_u16..20, prop_oneof![Just(ppid::M3UA), Just(ppid::ASAP)], proptest::collection::vec(any::<u8>(), 0..80))
}

proptest! {
    #[test]
    fn octets_never_panic(messages in proptest::collection::vec(message(), 1..20)) {
        let mut bed = Bed::active(|_| ());
        for (stream, ppid, octets) in messages {
            bed.receive(stream, ppid, &octets);
            // The same behind a proper header, so that it gets further.
            if ppid == ppid::M3UA && octets.len() > 2 {
                let mut framed = vec![1, 0, octets[0] % 5, octets[1] % 7, 0, 0, 0, 8 + octets.len() as u8 - 2];
                framed.extend(&octets[2..]);
                bed.receive(stream, ppid, &framed);
            }
        }
        bed.sends();
    }
}
