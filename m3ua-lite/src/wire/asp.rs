//! ASP state and traffic maintenance messages (RFC 4666 sections 3.5 and 3.7). Each acknowledgement has the
//! parameters of its request, so one struct serves both.

use crate::error::DecodeError;
use crate::wire::tag::{self, Fields, Sink};
use crate::wire::{RoutingContexts, TrafficMode, ssnm};

/// ASPUP and ASPUP ACK (RFC 4666 sections 3.5.1, 3.5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AspUp<'a> {
    /// ASP Identifier; toward a pool's gateway this is the PE identifier.
    pub asp_id: Option<u32>,
    /// INFO String, 0 to 255 octets.
    pub info: Option<&'a [u8]>,
}

impl<'a> AspUp<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        Ok(AspUp { asp_id: fields.word(tag::ASP_IDENTIFIER)?, info: ssnm::info(&fields)? })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        sink.optional_word(tag::ASP_IDENTIFIER, self.asp_id);
        ssnm::write_info(self.info, sink);
    }
}

/// ASPDN and ASPDN ACK (RFC 4666 sections 3.5.3, 3.5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AspDown<'a> {
    /// INFO String, 0 to 255 octets.
    pub info: Option<&'a [u8]>,
}

impl<'a> AspDown<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(AspDown { info: ssnm::info(&Fields::collect(body)?)? })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        ssnm::write_info(self.info, sink);
    }
}

/// BEAT and BEAT ACK (RFC 4666 sections 3.5.5, 3.5.6). What our own data means: [`crate::session::Heartbeat`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat<'a> {
    /// Heartbeat Data, echoed unchanged.
    pub data: Option<&'a [u8]>,
}

impl<'a> Beat<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Beat { data: Fields::collect(body)?.get(tag::HEARTBEAT_DATA) })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        sink.optional(tag::HEARTBEAT_DATA, self.data);
    }
}

/// ASPAC and ASPAC ACK (RFC 4666 sections 3.7.1, 3.7.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AspActive<'a> {
    /// Traffic Mode Type.
    pub traffic_mode: Option<TrafficMode>,
    /// The ASs; empty means all that the ASP is configured for.
    pub routing_contexts: RoutingContexts,
    /// INFO String, 0 to 255 octets.
    pub info: Option<&'a [u8]>,
}

impl<'a> AspActive<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        Ok(AspActive {
            traffic_mode: fields.word(tag::TRAFFIC_MODE_TYPE)?.map(TrafficMode::from_code).transpose()?,
            routing_contexts: ssnm::routing_contexts(&fields)?,
            info: ssnm::info(&fields)?,
        })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        sink.optional_word(tag::TRAFFIC_MODE_TYPE, self.traffic_mode.map(TrafficMode::code));
        ssnm::write_contexts(&self.routing_contexts, sink);
        ssnm::write_info(self.info, sink);
    }
}

/// ASPIA and ASPIA ACK (RFC 4666 sections 3.7.3, 3.7.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AspInactive<'a> {
    /// The ASs; empty means all that the ASP is configured for.
    pub routing_contexts: RoutingContexts,
    /// INFO String, 0 to 255 octets.
    pub info: Option<&'a [u8]>,
}

impl<'a> AspInactive<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::collect(body)?;
        Ok(AspInactive { routing_contexts: ssnm::routing_contexts(&fields)?, info: ssnm::info(&fields)? })
    }

    pub(crate) fn write<S: Sink>(&self, sink: &mut S) {
        ssnm::write_contexts(&self.routing_contexts, sink);
        ssnm::write_info(self.info, sink);
    }
}
