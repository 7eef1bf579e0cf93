//! TCAP within UDT: what is read beyond the head ([`m3ua_lite::tcap`]), and what is written (Q.773, X.690, Q.713 section 4.10).

use m3ua_lite::sccp::Unitdata;

/// P-Abort causes (Q.773 section 4.2.1.3).
pub(super) const UNRECOGNIZED_TRANSACTION: u8 = 1;
pub(super) const RESOURCE_LIMITATION: u8 = 4;

const CONTINUE: u8 = 0x65;
const END: u8 = 0x64;
const ABORT: u8 = 0x67;
const OTID: u8 = 0x48;
const DTID: u8 = 0x49;
const P_ABORT_CAUSE: u8 = 0x4a;
const DIALOGUE_PORTION: u8 = 0x6b;
const COMPONENT_PORTION: u8 = 0x6c;
const INVOKE: u8 = 0xa1;
const RETURN_RESULT_LAST: u8 = 0xa2;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const EXTERNAL: u8 = 0x28;
const SINGLE_ASN1: u8 = 0xa0;
const AARQ: u8 = 0x60;
const AARE: u8 = 0x61;
const PROTOCOL_VERSION: u8 = 0x80;
const APPLICATION_CONTEXT: u8 = 0xa1;
const RESULT: u8 = 0xa2;
const RESULT_SOURCE: u8 = 0xa3;
/// dialogue-as-id, version 1 (Q.773 section 4.2.3).
const DIALOGUE_AS_ID: [u8; 7] = [0x00, 0x11, 0x86, 0x05, 0x01, 0x01, 0x01];
/// Invocations of one message that are answered.
const INVOKES_MAX: usize = 8;
/// Longest application context name that is answered.
const CONTEXT_MAX: usize = 32;

/// What an answer must know of the message that it answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// Invoke ids, in order.
    pub(super) invokes: Vec<u8>,
    /// Application context name of a dialogue request (AARQ).
    pub(super) context: Option<&'a [u8]>,
}

/// Takes one element of definite length off the front: tag (one octet), contents.
fn element<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let [tag, first, after @ ..] = *rest else { return None };
    let octets = usize::from(first & 0x7f);
    let (length, after) = match first {
        0..=0x7f => (usize::from(*first), after),
        0x81 | 0x82 => {
            let (length, after) = after.split_at_checked(octets)?;
            (length.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), after)
        }
        _ => return None,
    };
    let (contents, behind) = after.split_at_checked(length)?;
    *rest = behind;
    Some((*tag, contents))
}

/// The first element with a tag.
fn find(mut rest: &[u8], wanted: u8) -> Option<&[u8]> {
    std::iter::from_fn(|| element(&mut rest)).find(|(tag, _)| *tag == wanted).map(|(_, contents)| contents)
}

/// Looks for what is to be answered. What is not there, or cannot be read, is not answered: the dialogue itself goes on.
pub(super) fn asked(tcap: &[u8]) -> Asked<'_> {
    let mut rest = tcap;
    let Some((_, message)) = element(&mut rest) else { return Asked::default() };
    let mut components = find(message, COMPONENT_PORTION).unwrap_or_default();
    let invokes = std::iter::from_fn(|| element(&mut components)).filter(|(tag, _)| *tag == INVOKE);
    let id = |contents| match find(contents, INTEGER) {
        Some([id]) => Some(*id),
        _ => None,
    };
    let invokes = invokes.filter_map(|(_, contents)| id(contents)).take(INVOKES_MAX).collect();
    let context = find(message, DIALOGUE_PORTION)
        .and_then(|portion| find(portion, EXTERNAL))
        .and_then(|external| find(external, SINGLE_ASN1))
        .and_then(|single| find(single, AARQ))
        .and_then(|request| find(request, APPLICATION_CONTEXT))
        .and_then(|context| find(context, OBJECT_IDENTIFIER))
        .filter(|name| name.len() <= CONTEXT_MAX);
    Asked { invokes, context }
}

/// Appends an element; its contents are shorter than 128 octets, or than 256.
fn put(out: &mut Vec<u8>, tag: u8, contents: &[u8]) {
    out.push(tag);
    let length = u8::try_from(contents.len()).expect("invariant: what we write is shorter than 256 octets");
    if length > 0x7f {
        out.push(0x81);
    }
    out.push(length);
    out.extend_from_slice(contents);
}

fn of(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, tag, contents);
    out
}

/// Results of what was asked: AARE (accepted) for AARQ, a result without parameters for each invocation.
fn portions(asked: &Asked, out: &mut Vec<u8>) {
    if let Some(context) = asked.context {
        let mut response = of(PROTOCOL_VERSION, &[0x07, 0x80]);
        put(&mut response, APPLICATION_CONTEXT, &of(OBJECT_IDENTIFIER, context));
        put(&mut response, RESULT, &of(INTEGER, &[0]));
        put(&mut response, RESULT_SOURCE, &of(APPLICATION_CONTEXT, &of(INTEGER, &[0])));
        let mut external = of(OBJECT_IDENTIFIER, &DIALOGUE_AS_ID);
        put(&mut external, SINGLE_ASN1, &of(AARE, &response));
        put(out, DIALOGUE_PORTION, &of(EXTERNAL, &external));
    }
    if !asked.invokes.is_empty() {
        let mut components = Vec::new();
        for id in &asked.invokes {
            put(&mut components, RETURN_RESULT_LAST, &of(INTEGER, &[*id]));
        }
        put(out, COMPONENT_PORTION, &components);
    }
}

/// Continue: `own` is our transaction id, `peer` the other end's.
pub(super) fn go_on(own: u32, peer: &[u8], asked: &Asked) -> Vec<u8> {
    let mut contents = of(OTID, &own.to_be_bytes());
    put(&mut contents, DTID, peer);
    portions(asked, &mut contents);
    of(CONTINUE, &contents)
}

/// End.
pub(super) fn end(peer: &[u8], asked: &Asked) -> Vec<u8> {
    let mut contents = of(DTID, peer);
    portions(asked, &mut contents);
    of(END, &contents)
}

/// Abort by the transaction sublayer.
pub(super) fn abort(peer: &[u8], cause: u8) -> Vec<u8> {
    let mut contents = of(DTID, peer);
    put(&mut contents, P_ABORT_CAUSE, &[cause]);
    of(ABORT, &contents)
}

/// UDT back to where a message came from, in its protocol class, without return option. `None`: it does not say where from.
pub(super) fn back(unitdata: &Unitdata, class: u8, tcap: &[u8]) -> Option<Vec<u8>> {
    let (called, calling) = (unitdata.calling, unitdata.called);
    let lengths = (u8::try_from(called.len()).ok()?, u8::try_from(calling.len()).ok()?);
    if called.is_empty() {
        return None;
    }
    // Each pointer counts from itself; the addresses' length octets come first.
    let second = 3 + lengths.0;
    let third = u8::try_from(3 + called.len() + calling.len()).ok()?;
    let mut out = vec![0x09, class & 0x0f, 3, second, third, lengths.0];
    out.extend_from_slice(called);
    out.push(lengths.1);
    out.extend_from_slice(calling);
    out.push(u8::try_from(tcap.len()).ok()?);
    out.extend_from_slice(tcap);
    Some(out)
}
