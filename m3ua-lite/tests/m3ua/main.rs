//! Tests of m3ua-lite through its public API, in one binary (one link on a small machine).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests: a failed unwrap is a failed test, and SKIP is printed"
)]

mod as_state;
mod asp_peer;
mod captures;
mod decode_errors;
mod golden;
mod hostile;
mod ipsp;
mod labels;
mod sccp_tcap;
mod session;
mod sgp;
mod tables;
mod two_nodes;

/// Octets from hex digits; blanks and line ends are ignored.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    assert!(rest.is_empty(), "odd number of hex digits");
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The octets of a message.
fn bytes(message: &m3ua_lite::wire::Message<'_>) -> Vec<u8> {
    let mut out = vec![0xaa; message.encoded_len().unwrap()];
    let len = message.encode(&mut out).unwrap();
    assert_eq!(len, out.len());
    out
}

#[test]
fn crate_is_no_std_without_allocator() {
    let root = include_str!("../../src/lib.rs");
    assert!(root.contains("#![no_std]"));
    let outside_tests = root.replace("#[cfg(test)]\nextern crate std;", "");
    assert!(!outside_tests.contains("extern crate"), "neither alloc nor std may be linked");
}

/// What the machines cost. A gateway has one `Sgp` an association and one `As` a pool; a change of these figures should
/// be seen by who makes it.
#[test]
fn memory_of_the_machines() {
    use std::mem::size_of;
    let sizes = [
        ("Sgp<8>", size_of::<m3ua_lite::sgp::Sgp>(), 256),
        ("As<u32, 64>", size_of::<m3ua_lite::as_state::As<u32>>(), 1_152),
        ("AspPeer", size_of::<m3ua_lite::asp_peer::AspPeer>(), 256),
        ("Message", size_of::<m3ua_lite::wire::Message<'_>>(), 320),
        ("Data", size_of::<m3ua_lite::wire::Data<'_>>(), 64),
        ("Replies", size_of::<m3ua_lite::asp::Replies<'_>>(), 1_344),
    ];
    for (name, size, limit) in sizes {
        println!("{name}: {size} octets");
        assert!(size <= limit, "{name} has {size} octets, limit {limit}");
    }
}
