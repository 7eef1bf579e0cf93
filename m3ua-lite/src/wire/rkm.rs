//! Routing key management messages (RFC 4666 section 3.6). Their parameters nest and repeat; lists are views: over the
//! received octets after decoding, over a slice of the caller when encoding.

use crate::error::DecodeError;
use crate::wire::tag::{self, Fields, Params, Sink};
use crate::wire::types::words;
use crate::wire::{
    AffectedPc, DeregistrationStatus, MAX_ROUTING_KEYS, RegistrationStatus, RoutingContexts, TrafficMode, ssnm,
};

/// A list that lies in received octets (checked when they were decoded) or in a slice of the caller.
#[derive(Clone, Copy, Debug)]
enum Source<'a, T> {
    Octets(&'a [u8]),
    Slice(&'a [T]),
}

macro_rules! view {
    ($(#[$meta:meta])* $name:ident<$item:ty>, $walk:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(Source<'a, $item>);

        impl<'a> $name<'a> {
            /// A list to be written.
            #[must_use]
            pub const fn new(list: &'a [$item]) -> Self {
                $name(Source::Slice(list))
            }

            /// The entries.
            pub fn iter(&self) -> impl Iterator<Item = $item> + use<'a> {
                let (octets, slice): (&'a [u8], &'a [$item]) = match self.0 {
                    Source::Octets(octets) => (octets, &[]),
                    Source::Slice(slice) => (&[], slice),
                };
                // Octets were checked by decode, so no error is hidden here.
                $walk(octets).map_while(Result::ok).chain(slice.iter().copied())
            }
        }

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $name<'_> {}
    };
}

view! {
    /// Routing keys of a REG REQ.
    RoutingKeys<RoutingKey<'a>>, walk_keys
}
view! {
    /// The (DPC, service indicators, OPCs) groups of a routing key.
    KeyParts<KeyPart<'a>>, walk_parts
}
view! {
    /// Point codes with masks.
    PointCodes<AffectedPc>, walk_point_codes
}

/// One Routing Key (RFC 4666 section 3.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingKey<'a> {
    /// Local-RK-Identifier, ties the result to the request.
    pub local_id: u32,
    /// Routing Context, when an existing key is to be changed.
    pub routing_context: Option<u32>,
    /// Traffic Mode Type asked for.
    pub traffic_mode: Option<TrafficMode>,
    /// Network Appearance.
    pub network_appearance: Option<u32>,
    /// What traffic is asked for; at least one part.
    pub parts: KeyParts<'a>,
}

/// One group of a routing key: traffic to `dpc`, from these OPCs, of these user parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPart<'a> {
    /// Destination point code, 24 bits.
    pub dpc: u32,
    /// Service indicators; empty means any.
    pub service_indicators: &'a [u8],
    /// Originating point codes; empty means any.
    pub opcs: PointCodes<'a>,
}

fn walk_point_codes<'a>(octets: &'a [u8]) -> impl Iterator<Item = Result<AffectedPc, DecodeError>> + use<'a> {
    octets.as_chunks::<4>().0.iter().map(|word| Ok(AffectedPc(u32::from_be_bytes(*word))))
}

/// Walks a Routing Key's value; a new part begins where a parameter of the current one comes again.
struct WalkParts<'a> {
    params: Params<'a>,
    /// The parameter that began the next part.
    carried: Option<(u16, &'a [u8])>,
}

impl<'a> WalkParts<'a> {
    fn step(&mut self) -> Option<Result<KeyPart<'a>, DecodeError>> {
        let mut part = Fields::empty();
        let mut any = false;
        loop {
            let (tag, value) = match self.carried.take() {
                Some(carried) => carried,
                None => match self.params.next() {
                    None => break,
                    Some(Err(error)) => return Some(Err(error)),
                    Some(Ok(param)) => param,
                },
            };
            if !matches!(tag, tag::DESTINATION_POINT_CODE | tag::SERVICE_INDICATORS | tag::OPC_LIST) {
                continue;
            }
            if part.get(tag).is_some() {
                self.carried = Some((tag, value));
                break;
            }
            any = true;
            if let Err(error) = part.put(tag, value) {
                return Some(Err(error));
            }
        }
        any.then(|| KeyPart::read(&part))
    }
}

impl<'a> Iterator for WalkParts<'a> {
    type Item = Result<KeyPart<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step()
    }
}

const fn walk_parts(octets: &[u8]) -> WalkParts<'_> {
    WalkParts { params: Params::new(octets), carried: None }
}

fn walk_keys<'a>(octets: &'a [u8]) -> impl Iterator<Item = Result<RoutingKey<'a>, DecodeError>> + use<'a> {
    Params::new(octets).filter_map(|param| match param {
        Ok((tag::ROUTING_KEY, value)) => Some(RoutingKey::read(value)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

impl<'a> KeyPart<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, DecodeError> {
        let dpc = AffectedPc(fields.require_word(tag::DESTINATION_POINT_CODE)?);
        if dpc.mask() != 0 {
            return Err(DecodeError::InvalidValue { tag: tag::DESTINATION_POINT_CODE });
        }
        let opcs = fields.get(tag::OPC_LIST).unwrap_or(&[]);
        if !opcs.len().is_multiple_of(4) {
            return Err(tag::wrong_length(tag::OPC_LIST, opcs));
        }
        Ok(KeyPart {
            dpc: dpc.pc(),
            service_indicators: fields.get(tag::SERVICE_INDICATORS).unwrap_or(&[]),
            opcs: PointCodes(Source::Octets(opcs)),
        })
    }

    fn write<S: Sink>(&self, sink: &mut S) {
        sink.word(tag::DESTINATION_POINT_CODE, AffectedPc::one(self.dpc).0);
        let indicators = Some(self.service_indicators).filter(|list| !list.is_empty());
        sink.optional(tag::SERVICE_INDICATORS, indicators);
        sink.words(tag::OPC_LIST, self.opcs.iter().count(), self.opcs.iter().map(|entry| entry.0));
    }
}

impl<'a> RoutingKey<'a> {
    fn read(value: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::empty();
        for param in Params::new(value) {
            let (tag, value) = param?;
            if !matches!(tag, tag::DESTINATION_POINT_CODE | tag::SERVICE_INDICATORS | tag::OPC_LIST) {
                fields.put(tag, value)?;
            }
        }
        let mut parts = 0_usize;
        for part in walk_parts(value) {
            part?;
            parts += 1;
        }
        if parts == 0 {
            return Err(DecodeError::MissingParameter { tag: tag::DESTINATION_POINT_CODE });
        }
        Ok(RoutingKey {
            local_id: fields.require_word(tag::LOCAL_RK_IDENTIFIER)?,
            routing_context: fields.word(tag::ROUTING_CONTEXT)?,
            traffic_mode: fields.word(tag::TRAFFIC_MODE_TYPE)?.map(TrafficMode::from_code).transpose()?,
            network_appearance: fields.word(tag::NETWORK_APPEARANCE)?,
            parts: KeyParts(Source::Octets(value)),
        })
    }

    fn write<S: Sink>(&self, sink: &mut S) {
        sink.word(tag::LOCAL_RK_IDENTIFIER, self.local_id);
        sink.optional_word(tag::ROUTING_CONTEXT, self.routing_context);
        sink.optional_word(tag::TRAFFIC_MODE_TYPE, self.traffic_mode.map(TrafficMode::code));
        // The structure of section 3.6.1 has the Network Appearance behind the first DPC; any place is allowed.
        sink.optional_word(tag::NETWORK_APPEARANCE, self.network_appearance);
        self.parts.iter().for_each(|part| part.write(sink));
    }
}

/// Writes a parameter made of parameters: measured first, because its length stands before them.
fn nested<S: Sink>(sink: &mut S, tag: u16, write: impl Fn(&mut tag::Counter), write_real: impl FnOnce(&mut S)) {
    let mut counter = tag::Counter::default();
    write(&mut counter);
    match counter.finish() {
        Ok(len) => sink.param_with(tag, len, write_real),
        Err(error) => sink.fail(error),
    }
}

/// REG REQ (RFC 4666 section 3.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegReq<'a> {
    /// The routing keys; at least one, at most [`MAX_ROUTING_KEYS`].
    pub keys: RoutingKeys<'a>,
}

impl<'a> RegReq<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut count = 0;
        for key in walk_keys(body) {
            key?;
            count += 1;
        }
        match count {
            0 => Err(DecodeError::MissingParameter { tag: tag::ROUTING_KEY }),
            1..=MAX_ROUTING_KEYS => Ok(RegReq { keys: RoutingKeys(Source::Octets(body)) }),
            _ => Err(DecodeError::TooMany { tag: tag::ROUTING_KEY, limit: MAX_ROUTING_KEYS }),
        }
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        for key in self.keys.iter() {
            nested(sink, tag::ROUTING_KEY, |counter| key.write(counter), |sink| key.write(sink));
        }
    }
}

/// One result of a REG RSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationResult {
    /// Local-RK-Identifier of the request.
    pub local_id: u32,
    /// What became of it.
    pub status: RegistrationStatus,
    /// The routing context given; 0 when not registered.
    pub routing_context: u32,
}

impl RegistrationResult {
    fn read(value: &[u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(value)?;
        Ok(RegistrationResult {
            local_id: fields.require_word(tag::LOCAL_RK_IDENTIFIER)?,
            status: RegistrationStatus::from_code(fields.require_word(tag::REGISTRATION_STATUS)?),
            routing_context: fields.require_word(tag::ROUTING_CONTEXT)?,
        })
    }

    fn write<S: Sink>(&self, sink: &mut S) {
        sink.word(tag::LOCAL_RK_IDENTIFIER, self.local_id);
        sink.word(tag::REGISTRATION_STATUS, self.status.code());
        sink.word(tag::ROUTING_CONTEXT, self.routing_context);
    }
}

/// One result of a DEREG RSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeregistrationResult {
    /// The routing context of the request.
    pub routing_context: u32,
    /// What became of it.
    pub status: DeregistrationStatus,
}

impl DeregistrationResult {
    fn read(value: &[u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(value)?;
        Ok(DeregistrationResult {
            routing_context: fields.require_word(tag::ROUTING_CONTEXT)?,
            status: DeregistrationStatus::from_code(fields.require_word(tag::DEREGISTRATION_STATUS)?),
        })
    }

    fn write<S: Sink>(&self, sink: &mut S) {
        sink.word(tag::ROUTING_CONTEXT, self.routing_context);
        sink.word(tag::DEREGISTRATION_STATUS, self.status.code());
    }
}

/// Collects one repeated parameter; others are skipped.
fn repeated<T, const N: usize>(
    body: &[u8],
    wanted: u16,
    read: impl Fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<heapless::Vec<T, N>, DecodeError> {
    let mut list = heapless::Vec::new();
    for param in Params::new(body) {
        let (tag, value) = param?;
        if tag == wanted {
            list.push(read(value)?).map_err(|_| DecodeError::TooMany { tag, limit: N })?;
        }
    }
    if list.is_empty() {
        return Err(DecodeError::MissingParameter { tag: wanted });
    }
    Ok(list)
}

/// REG RSP (RFC 4666 section 3.6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegRsp {
    /// One result a routing key.
    pub results: heapless::Vec<RegistrationResult, MAX_ROUTING_KEYS>,
}

impl RegRsp {
    pub(crate) fn read(body: &[u8]) -> Result<Self, DecodeError> {
        Ok(RegRsp { results: repeated(body, tag::REGISTRATION_RESULT, RegistrationResult::read)? })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        for result in &self.results {
            nested(sink, tag::REGISTRATION_RESULT, |counter| result.write(counter), |sink| result.write(sink));
        }
    }
}

/// DEREG REQ (RFC 4666 section 3.6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeregReq {
    /// The routing contexts to give up; at least one.
    pub routing_contexts: RoutingContexts,
}

impl DeregReq {
    pub(crate) fn read(body: &[u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        let value = fields.require(tag::ROUTING_CONTEXT)?;
        Ok(DeregReq { routing_contexts: words(tag::ROUTING_CONTEXT, value, |word| word)? })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        ssnm::write_contexts(&self.routing_contexts, sink);
    }
}

/// DEREG RSP (RFC 4666 section 3.6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeregRsp {
    /// One result a routing context, at most [`MAX_ROUTING_KEYS`]; more results take more messages.
    pub results: heapless::Vec<DeregistrationResult, MAX_ROUTING_KEYS>,
}

impl DeregRsp {
    pub(crate) fn read(body: &[u8]) -> Result<Self, DecodeError> {
        Ok(DeregRsp { results: repeated(body, tag::DEREGISTRATION_RESULT, DeregistrationResult::read)? })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        for result in &self.results {
            nested(sink, tag::DEREGISTRATION_RESULT, |counter| result.write(counter), |sink| result.write(sink));
        }
    }
}
