//! How much a client, and all of them together, may ask for in a second.
//!
//! What is refused costs little, so that one client (or thousands that lost their server together) cannot keep the others from
//! being served. The program that the server lives in is not limited.

use super::{ClientId, Server};
use std::time::{Duration, Instant};

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// ASAP_REGISTRATION.
    Registration,
    /// ASAP_HANDLE_RESOLUTION.
    Resolution,
    /// ASAP_ENDPOINT_UNREACHABLE, and each Element Report.
    Report,
}

/// Taken so far in the second that began at an instant.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rate(Option<(Instant, u32)>);

impl Rate {
    fn is_over(&self, now: Instant) -> bool {
        self.0.is_none_or(|(start, _)| now.saturating_duration_since(start) >= Duration::from_secs(1))
    }

    /// One more, if that is not more than `limit`.
    pub(crate) fn take(&mut self, now: Instant, limit: u32) -> bool {
        let (start, count) = self.0.filter(|_| !self.is_over(now)).unwrap_or((now, 0));
        let taken = count < limit;
        self.0 = Some((start, count + u32::from(taken)));
        taken
    }
}

/// What one client took, or all of them.
#[derive(Debug, Default)]
pub(super) struct Rates {
    registrations: Rate,
    resolutions: Rate,
    reports: Rate,
}

impl Rates {
    fn of(&mut self, request: Request) -> &mut Rate {
        match request {
            Request::Registration => &mut self.registrations,
            Request::Resolution => &mut self.resolutions,
            Request::Report => &mut self.reports,
        }
    }

    /// Nothing was taken in this second: what is remembered says nothing any more.
    fn is_over(&self, now: Instant) -> bool {
        [&self.registrations, &self.resolutions, &self.reports].iter().all(|rate| rate.is_over(now))
    }

    /// Nothing was taken yet: there is nothing to remember.
    pub(super) fn is_unused(&self) -> bool {
        self.registrations.0.is_none() && self.resolutions.0.is_none() && self.reports.0.is_none()
    }
}

impl Server {
    /// With as many clients as there may be, forgets those of which only a rate is remembered, and that of a second that is over: who
    /// asked once and then stays connected takes no place from a PE. At most once a second, as all are looked at.
    fn make_room(&mut self, now: Instant) {
        let looked = self.room_made.is_some_and(|at| now.saturating_duration_since(at) < Duration::from_secs(1));
        if self.clients.len() < self.config.clients_max || looked {
            return;
        }
        self.room_made = Some(now);
        self.clients.retain(|_, client| !client.is_idle() || !client.rates.is_over(now));
    }

    /// Whether the client may have one more of these now. A client that there is no room to remember counts only among all.
    pub(super) fn admit(&mut self, now: Instant, client: ClientId, request: Request) -> bool {
        if client == ClientId::LOCAL {
            return true;
        }
        let config = &self.config;
        let (each, all) = match request {
            Request::Registration => (config.registrations_per_client_per_s, config.registrations_per_s),
            Request::Resolution => (config.resolutions_per_client_per_s, config.resolutions_per_s),
            Request::Report => (config.reports_per_client_per_s, config.reports_per_s),
        };
        self.make_room(now);
        let known = self.clients.contains_key(&client) || self.clients.len() < self.config.clients_max;
        if known && !self.clients.entry(client).or_default().rates.of(request).take(now, each) {
            return false;
        }
        self.rates.of(request).take(now, all)
    }
}
