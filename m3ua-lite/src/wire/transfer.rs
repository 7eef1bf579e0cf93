//! Transfer messages (RFC 4666 section 3.3).

use crate::error::DecodeError;
use crate::wire::tag::{self, Fields, Sink};

/// Octets of Protocol Data before the user data.
const LABEL_LEN: usize = 12;

/// Protocol Data: routing label and user part of one MSU.
/// ```text
/// |                     Originating Point Code                    |
/// |                     Destination Point Code                    |
/// |       SI      |       NI      |       MP      |      SLS      |
/// \                     User Protocol Data                        \
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProtocolData<'a> {
    /// Originating point code.
    pub opc: u32,
    /// Destination point code.
    pub dpc: u32,
    /// Service indicator; 5 is ISUP.
    pub si: u8,
    /// Network indicator: 0 international, 2 national.
    pub ni: u8,
    /// Message priority (ANSI, TTC), else 0.
    pub mp: u8,
    /// Signalling link selection.
    pub sls: u8,
    /// What follows the routing label, for ISUP the CIC first.
    pub user_data: &'a [u8],
}

impl<'a> ProtocolData<'a> {
    fn read(value: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((label, user_data)) = value.split_first_chunk::<LABEL_LEN>() else {
            return Err(tag::wrong_length(tag::PROTOCOL_DATA, value));
        };
        let [o0, o1, o2, o3, d0, d1, d2, d3, si, ni, mp, sls] = *label;
        let (opc, dpc) = (u32::from_be_bytes([o0, o1, o2, o3]), u32::from_be_bytes([d0, d1, d2, d3]));
        Ok(ProtocolData { opc, dpc, si, ni, mp, sls, user_data })
    }

    fn write<S: Sink>(&self, sink: &mut S) {
        sink.param_with(tag::PROTOCOL_DATA, LABEL_LEN + self.user_data.len(), |sink| {
            sink.put(&self.opc.to_be_bytes());
            sink.put(&self.dpc.to_be_bytes());
            sink.put(&[self.si, self.ni, self.mp, self.sls]);
            sink.put(self.user_data);
        });
    }
}

/// Payload Data (RFC 4666 section 3.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Network Appearance; written first, as the RFC demands, accepted in any place.
    pub network_appearance: Option<u32>,
    /// Routing Context; one value, needed when the association serves more than one AS.
    pub routing_context: Option<u32>,
    /// The MSU.
    pub protocol_data: ProtocolData<'a>,
    /// Correlation Id.
    pub correlation_id: Option<u32>,
}

impl<'a> Data<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        Ok(Data {
            network_appearance: fields.word(tag::NETWORK_APPEARANCE)?,
            routing_context: fields.word(tag::ROUTING_CONTEXT)?,
            protocol_data: ProtocolData::read(fields.require(tag::PROTOCOL_DATA)?)?,
            correlation_id: fields.word(tag::CORRELATION_ID)?,
        })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        sink.optional_word(tag::NETWORK_APPEARANCE, self.network_appearance);
        sink.optional_word(tag::ROUTING_CONTEXT, self.routing_context);
        self.protocol_data.write(sink);
        sink.optional_word(tag::CORRELATION_ID, self.correlation_id);
    }
}
