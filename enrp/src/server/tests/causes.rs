//! Every error cause of RFC 5354 section 3.12 that a name server has reason to send, as bytes: what came, what is answered.
//! (Causes 0x0 to 0xa; the pool "GatewayPool" has PE 1: round robin, SCTP, data and control.)

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A message of this type and flags around parameters.
fn message(type_and_flags: u16, parameters: &str) -> Vec<u8> {
    let parameters = hex(parameters);
    let mut bytes = type_and_flags.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(4 + parameters.len()).unwrap().to_be_bytes());
    bytes.extend(parameters);
    bytes
}

const HANDLE: &str = "00090010 476174657761795f506f6f6c";
const POOL: &str = "0009000f 47617465776179506f6f6c 00";
/// PE 2's life, user transport and policy.
const LIFE: &str = "ffffffff";
const SCTP: &str = "00040010 0b590001 00010008 7f000002";
const ROUND_ROBIN: &str = "00080008 00000001";

/// The Pool Element parameter of a PE with these fields.
fn pool_element(id: &str, life: &str, transport: &str, policy: &str) -> String {
    let value = format!("{id} 00000000 {life} {transport} {policy}");
    format!("000a {:04x} {value}", 4 + hex(&value).len())
}

fn registering(id: &str, life: &str, transport: &str, policy: &str) -> Vec<u8> {
    message(0x0100, &format!("{POOL} {}", pool_element(id, life, transport, policy)))
}

/// Operation Error with one cause.
fn operation_error(code: u16, info: &str) -> String {
    let info_bytes = hex(info).len();
    format!("000c {:04x} {code:04x} {:04x} {info}", 8 + info_bytes, 4 + info_bytes)
}

/// Registration response with R = 1 to PE 2.
fn refused_with(code: u16, info: &str) -> Vec<u8> {
    message(0x0301, &format!("{POOL} 000e0008 00000002 {}", operation_error(code, info)))
}

/// The pool of the module's description; client 2, or another, says something; all that is answered.
fn answers(client: ClientId, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lab = Lab::new(|_| {});
    lab.register(1);
    let events = lab.events();
    lab.server.handle_message(lab.now, client, &source(2), bytes);
    assert_eq!(lab.events(), events, "refused: nothing changes");
    std::iter::from_fn(|| lab.server.poll_output()).map(|output| output.asap().unwrap().1.to_vec()).collect()
}

fn answer(bytes: &[u8]) -> Vec<u8> {
    let mut answers = answers(ClientId(2), bytes);
    assert_eq!(answers.len(), 1, "{bytes:02x?}");
    answers.remove(0)
}

#[test]
fn unspecified_0x0_for_what_has_no_cause_of_its_own() {
    // Two pool elements in one registration.
    let element = pool_element("00000002", LIFE, SCTP, ROUND_ROBIN);
    let two = message(0x0100, &format!("{POOL} {element} {element}"));
    assert_eq!(answer(&two), refused_with(0x0, ""));
    // Deregistration without PE Identifier: nobody to name, so ASAP_ERROR.
    assert_eq!(answer(&message(0x0200, POOL)), message(0x0e00, &operation_error(0x0, "")));
    // A second handle in a resolution.
    let twice = message(0x0500, &format!("{POOL} {POOL}"));
    assert_eq!(answer(&twice), message(0x0600, &format!("{POOL} {}", operation_error(0x0, ""))));
}

#[test]
fn unrecognized_parameter_0x1_one_cause_each() {
    let unknown = "41230008 01020304";
    let element = pool_element("00000002", LIFE, SCTP, ROUND_ROBIN);
    let request = message(0x0100, &format!("{POOL} {element} {unknown}"));
    assert_eq!(answer(&request), refused_with(0x1, unknown));
    // To be skipped and reported (bits 11): understood, and reported beside the answer.
    let two = message(0x0200, &format!("{POOL} 000e0008 00000007 c1230004 c1240008 0a0b0c0d"));
    let granted = message(0x0400, &format!("{POOL} 000e0008 00000007"));
    let report = message(0x0e00, "000c 0018 0001 0008 c1230004 0001 000c c1240008 0a0b0c0d");
    assert_eq!(answers(ClientId(2), &two), [granted, report]);
}

#[test]
fn unrecognized_message_0x2_with_the_message() {
    assert_eq!(answer(&hex("4f000008 01020304")), message(0x0e00, &operation_error(0x2, "4f000008 01020304")));
}

#[test]
fn invalid_values_0x3_with_the_parameter() {
    let rows = [
        // A PE identifier of 0, and a life of 0 seconds: the element.
        ("00000000", LIFE, SCTP, ROUND_ROBIN, None),
        ("00000002", "00000000", SCTP, ROUND_ROBIN, None),
        // A life below -1, no user transport, two: the element too.
        ("00000002", "fffffffe", SCTP, ROUND_ROBIN, None),
        ("00000002", LIFE, "", ROUND_ROBIN, None),
        // Not the association's address (RFC 5352 2.2.1), whatever the transport: it.
        (
            "00000002",
            LIFE,
            "00040018 0b590001 00010008 7f000002 00010008 7f000009",
            ROUND_ROBIN,
            Some("00040018 0b590001 00010008 7f000002 00010008 7f000009"),
        ),
        (
            "00000002",
            LIFE,
            "00060010 0b590000 00010008 7f000009",
            ROUND_ROBIN,
            Some("00060010 0b590000 00010008 7f000009"),
        ),
        // An unknown transport use, no address (RFC 5354 3.4).
        (
            "00000002",
            LIFE,
            "00040010 0b590002 00010008 7f000002",
            ROUND_ROBIN,
            Some("00040010 0b590002 00010008 7f000002"),
        ),
        ("00000002", LIFE, "00040008 0b590001", ROUND_ROBIN, Some("00040008 0b590001")),
        // Reserved policies (RFC 5356 7.1), a weight cut short.
        ("00000002", LIFE, SCTP, "00080008 00000000", Some("00080008 00000000")),
        ("00000002", LIFE, SCTP, "00080008 40000000", Some("00080008 40000000")),
        ("00000002", LIFE, SCTP, "00080008 00000002", Some("00080008 00000002")),
    ];
    for (id, life, transport, policy, offending) in rows {
        let element = pool_element(id, life, transport, policy);
        let expected = refused_with(0x3, offending.unwrap_or(&element));
        let expected = match id {
            "00000000" => hex(&hex_of(&expected).replacen("000e000800000002", "000e000800000000", 1)),
            _ => expected,
        };
        assert_eq!(
            hex_of(&answer(&registering(id, life, transport, policy))),
            hex_of(&expected),
            "{transport} {policy}"
        );
    }
    // A handle of no bytes: there is no pool to name.
    assert_eq!(answer(&message(0x0500, "00090004")), message(0x0e00, &operation_error(0x3, "00090004")));
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_does_not_fit_the_pool_0x4_0x5_0x7_0x8_with_what_the_pool_has() {
    let rows = [
        ("00000001", SCTP, ROUND_ROBIN, 0x4, ""),
        ("00000002", SCTP, "0008000c 00000002 00000001", 0x5, ROUND_ROBIN),
        ("00000002", "00050010 0b590000 00010008 7f000002", ROUND_ROBIN, 0x7, "00040010 0b590001 00010008 7f000001"),
        ("00000002", "00040010 0b590000 00010008 7f000002", ROUND_ROBIN, 0x8, ""),
    ];
    for (id, transport, policy, code, info) in rows {
        let expected = hex_of(&refused_with(code, info)).replacen("000e000800000002", &format!("000e0008{id}"), 1);
        assert_eq!(hex_of(&answer(&registering(id, LIFE, transport, policy))), expected);
    }
}

#[test]
fn lack_of_resources_0x6_for_limits_and_pools_out_of_service() {
    let mut lab = Lab::new(|c| c.pes_max = 1);
    lab.register(1);
    let mut exchange = |bytes: &[u8]| {
        lab.server.handle_message(lab.now, ClientId(2), &source(2), bytes);
        lab.server.poll_output().and_then(Output::asap).unwrap().1.to_vec()
    };
    assert_eq!(exchange(&registering("00000002", LIFE, SCTP, ROUND_ROBIN)), refused_with(0x6, ""));
    lab.server.set_usable(lab.now, &pool(), pe(1), false);
    let mut exchange = |bytes: &[u8]| {
        lab.server.handle_message(lab.now, ClientId(2), &source(2), bytes);
        lab.server.poll_output().and_then(Output::asap).unwrap().1.to_vec()
    };
    // With the S bit: no PE now, but updates (A = 1) when there is one.
    assert_eq!(exchange(&message(0x0501, POOL)), message(0x0601, &format!("{POOL} {}", operation_error(0x6, ""))));
}

#[test]
fn unknown_pool_handle_0x9() {
    let request = message(0x0501, HANDLE);
    assert_eq!(answer(&request), message(0x0600, &format!("{HANDLE} {}", operation_error(0x9, ""))));
}

#[test]
fn security_0xa_for_who_deregisters_another() {
    let by_proxy = message(0x0200, &format!("{POOL} 000e0008 00000001"));
    let refused = message(0x0400, &format!("{POOL} 000e0008 00000001 {}", operation_error(0xa, "")));
    assert_eq!(answer(&by_proxy), refused);
    // RFC 5352 2.1: a PE uses SCTP.
    let tcp = ClientId(ClientId::OUTSIDE.0 + 2);
    let register = registering("00000002", LIFE, SCTP, ROUND_ROBIN);
    assert_eq!(answers(tcp, &register), [refused_with(0x3, &pool_element("00000002", LIFE, SCTP, ROUND_ROBIN))]);
    assert_eq!(answers(tcp, &by_proxy), [refused]);
    // Users over TCP are served.
    assert_eq!(answers(tcp, &message(0x0500, POOL))[0][..2], [6, 0]);
}

/// No error is answered with an error (RFC 5354 4 leaves it open; two that did would never stop).
#[test]
fn an_error_is_not_answered() {
    for error in ["000c0004", "000c0008 00020004", "41230004", ""] {
        assert_eq!(answers(ClientId(2), &message(0x0e00, error)), Vec::<Vec<u8>>::new(), "{error}");
    }
}
