//! What the home server, or one that wants to be it, says.

use super::PeMachine;
use super::entry::State;
use crate::config::{PeConfig, ms};
use crate::event::{ConnId, DeregisterCause, PeEvent};
use crate::wire::{ErrorCause, Message, OperationError, PeId, PoolHandle, ServerId};
use std::time::{Duration, Instant};

impl PeMachine {
    pub(super) fn handle_message(&mut self, now: Instant, conn: ConnId, message: Message) {
        match message {
            Message::EndpointKeepAlive { home, server, handle, pe_id } => {
                self.keep_alive(now, conn, home.then_some(server), server, &handle, pe_id);
            }
            Message::RegistrationResponse { reject, handle, pe_id, error }
                if pe_id == self.id && self.hunt.home() == Some(conn) =>
            {
                self.registration_response(now, &handle, reject, error);
            }
            Message::DeregistrationResponse { handle, pe_id, error }
                if pe_id == self.id && self.hunt.home() == Some(conn) =>
            {
                self.deregistration_response(now, &handle, error);
            }
            // A server's complaint about our bytes: nothing to repeat, nothing to answer.
            Message::Error { .. } => self.counters.errors_in += 1,
            Message::RegistrationResponse { .. }
            | Message::DeregistrationResponse { .. }
            | Message::Registration { .. }
            | Message::Deregistration { .. }
            | Message::HandleResolution { .. }
            | Message::HandleResolutionResponse { .. }
            | Message::EndpointKeepAliveAck { .. }
            | Message::EndpointUnreachable { .. }
            | Message::ServerAnnounce { .. }
            | Message::Cookie { .. }
            | Message::CookieEcho { .. }
            | Message::BusinessCard { .. } => self.counters.unexpected += 1,
        }
    }

    /// RFC 5352 3.4. `adopt`: H = 1.
    fn keep_alive(
        &mut self,
        now: Instant,
        conn: ConnId,
        adopt: Option<ServerId>,
        server: ServerId,
        handle: &PoolHandle,
        pe_id: Option<PeId>,
    ) {
        let ours = self.entries.get(handle).is_some_and(|entry| entry.sent && !entry.is_refused());
        if !ours || pe_id.is_some_and(|id| id != self.id) {
            self.counters.keep_alives_wrong_handle += 1;
            return;
        }
        self.counters.keep_alives += 1;
        self.send(conn, &Message::EndpointKeepAliveAck { handle: handle.clone(), pe_id: self.id });
        if self.hunt.home() == Some(conn) {
            self.server = Some(server);
            self.confirm(now, handle);
        } else if adopt.is_some() && (self.hunt.home().is_none() || self.server != adopt) {
            self.accepted.retain(|&other| other != conn);
            self.hunt.adopt(conn, &mut self.transmits);
            self.server = adopt;
            self.counters.taken_over += 1;
            self.doubt(now, handle);
            self.found_home(now, conn);
        }
    }

    /// A server took over and said so for `certain`: the other handles are registered again, unless it says so for them too.
    fn doubt(&mut self, now: Instant, certain: &PoolHandle) {
        let until = now + self.t2();
        for (_, entry) in self.entries.iter_mut().filter(|(handle, _)| *handle != certain) {
            if matches!(entry.state, State::Registered { .. }) {
                entry.state = State::Waiting { until };
            }
        }
    }

    /// The home server says that it has this handle.
    fn confirm(&mut self, now: Instant, handle: &PoolHandle) {
        let t4 = self.t4(handle);
        if let Some(entry) = self.entries.get_mut(handle)
            && entry.told
            && matches!(entry.state, State::Waiting { .. })
        {
            entry.state = State::Registered { t4: now + t4 };
        }
    }

    fn registration_response(
        &mut self,
        now: Instant,
        handle: &PoolHandle,
        reject: bool,
        error: Option<OperationError>,
    ) {
        let t4 = self.t4(handle);
        let Some(entry) = self.entries.get_mut(handle).filter(|entry| entry.is_registering()) else {
            self.counters.unexpected += 1;
            return;
        };
        if reject {
            self.counters.registrations_refused += 1;
            entry.told = false;
            if std::mem::take(&mut entry.changed) {
                // Corrected meanwhile.
                entry.state = State::Pending;
                return self.go_on(now, handle);
            }
            let error = error.unwrap_or_default();
            let tell = match retry_after(&error, entry.refusals, &self.config) {
                None => {
                    entry.state = State::Refused;
                    true
                }
                Some(wait) => {
                    entry.state = State::Waiting { until: now + wait };
                    entry.refusals += 1;
                    entry.refusals == 1
                }
            };
            if tell {
                self.events.push_back(PeEvent::Refused { handle: handle.clone(), error });
            }
            return;
        }
        self.counters.registrations_granted += 1;
        entry.refusals = 0;
        let changed = std::mem::take(&mut entry.changed);
        entry.state = if changed { State::Pending } else { State::Registered { t4: now + t4 } };
        if !std::mem::replace(&mut entry.told, true) || error.is_some() {
            self.events.push_back(PeEvent::Registered { handle: handle.clone(), warning: error });
        }
        self.go_on(now, handle);
    }

    fn deregistration_response(&mut self, now: Instant, handle: &PoolHandle, error: Option<OperationError>) {
        let t2 = self.t2();
        let Some(entry) = self.entries.get_mut(handle) else {
            self.counters.unexpected += 1;
            return;
        };
        if entry.is_leaving() {
            match error {
                None => self.remove(handle, DeregisterCause::Requested),
                Some(error) => {
                    self.entries.remove(handle);
                    self.events.push_back(PeEvent::Refused { handle: handle.clone(), error });
                    self.close_when_stopped();
                }
            }
        } else if entry.told {
            // The life ran out. Not again at once: a server that does this always must not make a storm.
            entry.told = false;
            entry.state = State::Waiting { until: now + t2 };
            let cause = DeregisterCause::Expired;
            self.events.push_back(PeEvent::Deregistered { handle: handle.clone(), cause });
        } else {
            self.counters.unexpected += 1;
        }
    }
}

/// When to try a refused registration again without a change of it: the server lacks resources and nothing else is wrong.
fn retry_after(error: &OperationError, refusals: u32, config: &PeConfig) -> Option<Duration> {
    let only_resources =
        !error.causes.is_empty() && error.causes.iter().all(|cause| *cause == ErrorCause::LackOfResources);
    if !only_resources || config.refused_retry_ms == 0 {
        return None;
    }
    let wait = ms(config.refused_retry_ms).saturating_mul(1 << refusals.min(16));
    Some(wait.min(ms(config.hunt.retran_max_ms.max(config.refused_retry_ms))))
}
