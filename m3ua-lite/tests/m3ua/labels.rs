//! MTP3 label, point code formats, ISUP fields.

use m3ua_lite::isup::{self, MessageType};
use m3ua_lite::mtp3::{PointCodeFormat, decode_draft_data, decode_itu};

use crate::hex;

#[test]
fn itu_label() {
    // SIO 0x85: national network, ISUP. DPC 2-77-3 = 4715 = 0x126b, OPC 1-2-3 = 2067 = 0x813, SLS 5.
    let label: u32 = 5 << 28 | 0x0813 << 14 | 0x126b;
    let msu = [&[0x85][..], &label.to_le_bytes(), &[0xd5, 0x00, 0x01]].concat();
    let message = decode_itu(&msu).unwrap();
    assert_eq!((message.opc, message.dpc, message.sls), (0x813, 0x126b, 5));
    assert_eq!((message.si, message.ni, message.mp), (5, 2, 0));
    assert_eq!(isup::cic(message.user_data), Some(213));
    assert_eq!(
        decode_itu(&hex("b3 ffffffff")).map(|m| (m.opc, m.dpc, m.sls, m.si, m.ni, m.mp)),
        Some((0x3fff, 0x3fff, 15, 3, 2, 3))
    );
    for len in 0..5 {
        assert_eq!(decode_itu(&msu[..len]), None);
    }
}

#[test]
fn point_codes_both_ways() {
    let forms = [
        (PointCodeFormat::Plain, "0", 0),
        (PointCodeFormat::Plain, "16777215", 0xff_ffff),
        (PointCodeFormat::Itu383, "2-77-3", 4715),
        (PointCodeFormat::Itu383, "7-255-7", 0x3fff),
        (PointCodeFormat::Ansi888, "251-4-2", 0xfb_0402),
        (PointCodeFormat::Ansi888, "255-255-255", 0xff_ffff),
    ];
    for (format, text, pc) in forms {
        assert_eq!(format.parse(text), Ok(pc), "{text}");
        assert_eq!(format.display(pc).to_string(), text);
    }
    let wrong = [
        (PointCodeFormat::Plain, &["", "x", "16777216", "-1", "+1", "1-2-3", " 1", "99999999999999999999"][..]),
        (PointCodeFormat::Itu383, &["", "1", "1-2", "1-2-3-4", "8-0-0", "0-256-0", "0-0-8", "1--3", "1-+2-3", "a-b-c"]),
        (PointCodeFormat::Ansi888, &["256-0-0", "0-256-0", "0-0-256", "1-2-", "1.2.3"]),
    ];
    for (format, texts) in wrong {
        for text in texts {
            let error = format.parse(text).expect_err(text);
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }
}

#[test]
fn isup_fields() {
    let acm = hex("d5 00 06 14 04 00");
    assert_eq!((isup::cic(&acm), isup::message_type(&acm)), (Some(213), Some(MessageType::Acm)));
    assert_eq!(isup::cic(&hex("ff ff")), Some(4095), "12 bits");
    assert_eq!((isup::cic(&[1]), isup::cic(&[]), isup::message_type(&[1, 0])), (None, None, None));
    for code in 0..=u8::MAX {
        assert_eq!(MessageType::from_code(code).code(), code);
    }
    for message_type in MessageType::ALL {
        assert_ne!(MessageType::from_code(message_type.code()), MessageType::Other(message_type.code()));
        assert_ne!(message_type.name(), "?");
    }
    // The rows of the wire sheet.
    let sheet = [
        (0x01, "IAM"),
        (0x02, "SAM"),
        (0x05, "COT"),
        (0x0d, "SUS"),
        (0x0e, "RES"),
        (0x06, "ACM"),
        (0x07, "CON"),
        (0x09, "ANM"),
        (0x10, "RLC"),
        (0x0c, "REL"),
        (0x2f, "CFN"),
        (0x2c, "CPG"),
        (0x11, "CCR"),
        (0x12, "RSC"),
        (0x13, "BLO"),
        (0x14, "UBL"),
        (0x15, "BLA"),
        (0x16, "UBA"),
        (0x24, "LPA"),
        (0x2e, "UCIC"),
        (0x30, "OLM"),
        (0x08, "FOT"),
        (0x17, "GRS"),
        (0x29, "GRA"),
        (0x18, "CGB"),
        (0x19, "CGU"),
        (0x1a, "CGBA"),
        (0x1b, "CGUA"),
        (0x2a, "CQM"),
        (0x2b, "CQR"),
        (0x34, "UPT"),
        (0x35, "UPA"),
        (0x03, "INR"),
        (0x04, "INF"),
    ];
    for (code, name) in sheet {
        assert_eq!(MessageType::from_code(code).name(), name);
    }
    assert_eq!(MessageType::from_code(0xee).name(), "?");
}

/// The two forms of old drafts; tshark 4.0 (m3ua.version Draft-6) gives the same fields.
#[test]
fn draft_data() {
    let first = hex("01 00 01 01 00000018  0002 000f  c5 02ede05b d5000604 24 00 00");
    let second = hex("01 00 01 01 00000018  0003 0010  0b c5 02ede05b d5000604 24 00");
    for octets in [&first, &second] {
        let message = decode_draft_data(octets).unwrap();
        assert_eq!((message.opc, message.dpc, message.sls, message.ni, message.si), (12_163, 11_522, 5, 3, 5));
        assert_eq!(isup::message_type(message.user_data), Some(MessageType::Acm));
    }
    assert_eq!(decode_draft_data(&hex("01 00 01 01 0000000c  0003 0004")), None);
    assert_eq!(decode_draft_data(&first[..20]), None);
    assert_eq!(decode_draft_data(&hex("01 00 03 01 00000008")), None);
}
