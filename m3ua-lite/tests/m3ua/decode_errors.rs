//! Each way bytes can be wrong, and the ERR that answers it (RFC 4666 section 3.8.1).

use m3ua_lite::DecodeError;
use m3ua_lite::wire::*;

use crate::hex;

/// Sets the length field to what is there.
fn framed(text: &str) -> Vec<u8> {
    let mut octets = hex(text);
    let len = octets.len() as u32;
    octets[4..8].copy_from_slice(&len.to_be_bytes());
    octets
}

#[track_caller]
fn wrong(octets: &[u8], error: DecodeError, code: ErrorCode) {
    assert_eq!(Message::decode(octets), Err(error));
    let answer = error.answer(octets).expect("an ERR answers it");
    assert_eq!(answer.code, code);
    assert_eq!(answer.diagnostic.map(|d| d.0), octets.get(..octets.len().min(40)));
    assert!(!error.to_string().is_empty());
}

#[test]
fn too_short_has_no_answer() {
    for len in 0..8 {
        let error = DecodeError::TooShort { len };
        assert_eq!(Message::decode(&vec![1; len]), Err(error));
        assert_eq!(error.answer(&vec![1; len]), None);
    }
}

#[test]
fn header() {
    wrong(&framed("02 00 03 01 00000000"), DecodeError::Version { version: 2 }, ErrorCode::InvalidVersion);
    for class in [5, 6, 7, 8, 10, 127, 128, 255] {
        let octets = framed(&format!("01 00 {class:02x} 01 00000000"));
        wrong(&octets, DecodeError::UnsupportedClass { class }, ErrorCode::UnsupportedMessageClass);
    }
    for (class, message_type) in
        [(0, 2), (1, 0), (1, 2), (2, 0), (2, 7), (3, 0), (3, 7), (4, 0), (4, 5), (9, 0), (9, 5)]
    {
        let octets = framed(&format!("01 00 {class:02x} {message_type:02x} 00000000"));
        wrong(&octets, DecodeError::UnsupportedType { class, message_type }, ErrorCode::UnsupportedMessageType);
    }
    for (claimed, received) in [(0_u32, 8), (7, 8), (9, 8), (u32::MAX, 8), (8, 12), (8, 16)] {
        let mut octets = hex("01 00 03 02 00000000");
        octets[4..8].copy_from_slice(&claimed.to_be_bytes());
        octets.resize(received, 0);
        wrong(&octets, DecodeError::Length { claimed, received }, ErrorCode::ProtocolError);
    }
}

#[test]
fn parameter_length() {
    let cases = [
        // Less than its own header.
        ("01 00 03 01 00000000  0011 0003 00000001", 0x0011, 3),
        // Over the end.
        ("01 00 03 01 00000000  0011 0009 00000001", 0x0011, 9),
        ("01 00 03 03 00000000  0009 ffff 00000001", 0x0009, 0xffff),
        // A stump of a parameter.
        ("01 00 03 01 00000000  0011", 0, 2),
        // Words that are not words.
        ("01 00 03 01 00000000  0011 0006 0001 0000", 0x0011, 6),
        ("01 00 04 01 00000000  000b 0004", 0x000b, 4),
        ("01 00 04 01 00000000  0006 0004", 0x0006, 4),
        ("01 00 04 01 00000000  0006 000a 00000001 0002 0000", 0x0006, 10),
        ("01 00 02 01 00000000  0012 0004", 0x0012, 4),
        ("01 00 02 05 00000000  0012 000c 00000001 00000002  0204 0008 00000005", 0x0012, 12),
        // DATA has one Routing Context, and Protocol Data at least a label.
        ("01 00 01 01 00000000  0006 000c 00000001 00000002  0210 0010 0000000100000002 05020003", 0x0006, 12),
        ("01 00 01 01 00000000  0210 000f 0000000100000002 050200 00", 0x0210, 15),
        // Nested.
        ("01 00 09 01 00000000  0207 0014  020a 0008 00000001  020b 0006 0000 0000", 0x020b, 6),
        ("01 00 09 02 00000000  0208 0008  020a 00ff", 0x020a, 0xff),
        ("01 00 09 01 00000000  0207 001a  020a 0008 00000001  020b 0008 00000001  020e 0006 0001 0000", 0x020e, 6),
    ];
    for (octets, tag, length) in cases {
        wrong(&framed(octets), DecodeError::ParameterLength { tag, length }, ErrorCode::ParameterFieldError);
    }
    let info = "78".repeat(256);
    let octets = framed(&format!("01 00 03 02 00000000  0004 0104 {info}"));
    wrong(&octets, DecodeError::ParameterLength { tag: 4, length: 260 }, ErrorCode::ParameterFieldError);
}

#[test]
fn missing_parameter() {
    let cases = [
        ("01 00 00 01 00000000", 0x000d),
        ("01 00 01 01 00000000  0006 0008 00000001", 0x0210),
        ("01 00 02 01 00000000", 0x0012),
        ("01 00 02 02 00000000", 0x0012),
        ("01 00 02 03 00000000", 0x0012),
        ("01 00 02 04 00000000", 0x0012),
        ("01 00 02 05 00000000", 0x0012),
        ("01 00 02 05 00000000  0012 0008 00000001", 0x0204),
        ("01 00 02 06 00000000", 0x0012),
        ("01 00 09 01 00000000", 0x0207),
        ("01 00 09 01 00000000  0207 000c  020b 0008 00000001", 0x020a),
        ("01 00 09 01 00000000  0207 000c  020a 0008 00000001", 0x020b),
        ("01 00 09 01 00000000  0207 0014  020a 0008 00000001  020c 0008 03050000", 0x020b),
        // A second SI list begins a second part.
        (
            "01 00 09 01 00000000  0207 0024  020a 0008 00000001  020b 0008 00000001  020c 0005 03000000  020c 0005 05000000",
            0x020b,
        ),
        ("01 00 09 02 00000000", 0x0208),
        ("01 00 09 02 00000000  0208 0014  020a 0008 00000001  0212 0008 00000000", 0x0006),
        ("01 00 09 03 00000000", 0x0006),
        ("01 00 09 04 00000000", 0x0209),
        ("01 00 09 04 00000000  0209 000c  0006 0008 00000001", 0x0213),
    ];
    for (octets, tag) in cases {
        wrong(&framed(octets), DecodeError::MissingParameter { tag }, ErrorCode::MissingParameter);
    }
}

#[test]
fn duplicate_parameter() {
    let octets = framed("01 00 03 01 00000000  0011 0008 00000001  0011 0008 00000001");
    wrong(&octets, DecodeError::DuplicateParameter { tag: 0x11 }, ErrorCode::ProtocolError);
}

#[test]
fn invalid_value() {
    // The RFC's example: DUPU with a mask.
    let dupu = framed("01 00 02 05 00000000  0012 0008 01 000001  0204 0008 00000005");
    wrong(&dupu, DecodeError::InvalidValue { tag: 0x12 }, ErrorCode::InvalidParameterValue);
    let scon = framed("01 00 02 04 00000000  0012 0008 00 000001  0205 0008 00000004");
    wrong(&scon, DecodeError::InvalidValue { tag: 0x0205 }, ErrorCode::InvalidParameterValue);
    let key = framed("01 00 09 01 00000000  0207 0014  020a 0008 00000001  020b 0008 01 000001");
    wrong(&key, DecodeError::InvalidValue { tag: 0x020b }, ErrorCode::InvalidParameterValue);
    for mode in [0, 4, 0xffff_ffff_u32] {
        let octets = framed(&format!("01 00 04 01 00000000  000b 0008 {mode:08x}"));
        wrong(&octets, DecodeError::TrafficMode { mode }, ErrorCode::UnsupportedTrafficMode);
    }
}

#[test]
fn lists_are_bounded() {
    let words = |count: usize| "00000001".repeat(count);
    let contexts = |count: usize| framed(&format!("01 00 04 01 00000000  0006 {:04x} {}", 4 + 4 * count, words(count)));
    assert!(Message::decode(&contexts(MAX_ROUTING_CONTEXTS)).is_ok());
    let error = DecodeError::TooMany { tag: 6, limit: MAX_ROUTING_CONTEXTS };
    wrong(&contexts(MAX_ROUTING_CONTEXTS + 1), error, ErrorCode::InvalidParameterValue);
    let affected = |count: usize| framed(&format!("01 00 02 01 00000000  0012 {:04x} {}", 4 + 4 * count, words(count)));
    assert!(Message::decode(&affected(MAX_AFFECTED)).is_ok());
    let error = DecodeError::TooMany { tag: 0x12, limit: MAX_AFFECTED };
    wrong(&affected(MAX_AFFECTED + 1), error, ErrorCode::InvalidParameterValue);
    let key = "0207 0014  020a 0008 00000001  020b 0008 00000001";
    let keys = |count: usize| framed(&format!("01 00 09 01 00000000  {}", key.repeat(count)));
    assert!(Message::decode(&keys(MAX_ROUTING_KEYS)).is_ok());
    let error = DecodeError::TooMany { tag: 0x0207, limit: MAX_ROUTING_KEYS };
    wrong(&keys(MAX_ROUTING_KEYS + 1), error, ErrorCode::InvalidParameterValue);
}

/// RFC 4666 section 3.8.1: ERR MUST NOT be answered with ERR.
#[test]
fn err_is_never_answered_with_err() {
    let broken = [
        // No Error Code; a wrong version; a wrong length; a wrong parameter.
        framed("01 00 00 00 00000000"),
        framed("07 00 00 00 00000000"),
        hex("01 00 00 00 000000ff"),
        framed("01 00 00 00 00000000  000c 0007 000000 00"),
    ];
    for octets in broken {
        let error = Message::decode(&octets).expect_err("broken");
        assert_eq!(error.answer(&octets), None, "{error}");
    }
}

/// RFC 4666 section 3.8.1: the first 40 octets of the offending message.
#[test]
fn diagnostic_has_40_octets_at_most() {
    let mut octets = framed(&format!("01 00 07 01 00000000 {}", "ab".repeat(100)));
    let error = Message::decode(&octets).expect_err("class 7");
    let answer = error.answer(&octets).expect("ERR");
    assert_eq!(answer.diagnostic, Some(Diagnostic(&octets[..40])));
    octets.truncate(12);
    assert_eq!(error.answer(&octets).and_then(|err| err.diagnostic), Some(Diagnostic(&octets[..12])));
}
