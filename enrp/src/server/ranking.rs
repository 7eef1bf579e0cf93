//! Resolution of pools that have a selection plug-in, and what users measured at PEs.

use super::rate::Request;
use super::resolution::Wanted;
use super::{ClientId, Server, ms};
use crate::ConfigError;
use crate::handlespace::Element;
use crate::plugin::{Order, Outcome, PluginFiles, Plugins, PluginsConfig, PluginsSnapshot, Question, Reported};
use asap::wire::{ElementReport, Message, Policy, PoolElement, PoolHandle};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Instant;

impl Server {
    /// Gives pools selection plug-ins, in place of those they had. A plug-in that is no WebAssembly, or not one of ours, is
    /// logged; its pools go by their own policy.
    ///
    /// # Errors
    /// A setting that cannot work; a plug-in whose file is not there; a table that is wrong.
    pub fn set_plugins(&mut self, config: &PluginsConfig, files: &PluginFiles) -> Result<(), ConfigError> {
        config.check()?;
        let seed = self.random.next_u64();
        let plugins = Plugins::new(config.clone(), files, seed)?;
        self.plugins = (!config.pools.is_empty()).then(|| Box::new(plugins));
        Ok(())
    }

    /// Changes the tables that plug-ins read: lines `set TABLE KEY NUMBER...`, `delete TABLE KEY`, `clear TABLE`, all of them or
    /// none. Subscribers of pools with plug-ins get updates. Gives the number of lines.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn change_tables(&mut self, now: Instant, text: &str) -> Result<usize, String> {
        let Some(plugins) = &mut self.plugins else {
            return Err("no pool has a plug-in that could read a table; see [plugins] in --print-config".to_owned());
        };
        let lines = plugins.command(text)?;
        self.plugins_changed(now);
        Ok(lines)
    }

    /// Puts another plug-in in the place of one that some pool has. `text` is its name in a line of its own, then WebAssembly as text.
    /// Subscribers get updates.
    ///
    /// # Errors
    /// What is wrong with it; the old one stays.
    pub fn replace_plugin(&mut self, now: Instant, text: &str) -> Result<(), String> {
        let (name, module) =
            text.split_once('\n').ok_or("give the plug-in's name in a line of its own, then its text")?;
        let plugins = self.plugins.as_mut().ok_or("no pool has a plug-in; see [plugins] in --print-config")?;
        plugins.replace(name.trim(), module.as_bytes())?;
        self.plugins_changed(now);
        Ok(())
    }

    /// Subscribers of pools with plug-ins are to be told.
    fn plugins_changed(&mut self, now: Instant) {
        let Some(plugins) = &self.plugins else { return };
        let subscribed: Vec<PoolHandle> =
            self.subscribers.keys().filter(|handle| plugins.of(handle).is_some()).cloned().collect();
        subscribed.iter().for_each(|handle| self.pool_changed(now, handle));
        self.send_updates(now);
    }

    /// The plug-ins and tables, for admin.
    #[must_use]
    pub fn plugins(&self) -> PluginsSnapshot {
        self.plugins.as_ref().map(|plugins| plugins.snapshot()).unwrap_or_default()
    }

    /// The order that the pool's plug-in gives for this user; none: the pool's policy decides.
    pub(super) fn ranked(
        &mut self,
        now: Instant,
        client: ClientId,
        handle: &PoolHandle,
        wanted: &Wanted,
    ) -> Option<Order> {
        let plugins = self.plugins.as_mut()?;
        let which = plugins.of(handle)?;
        let pool = self.handlespace.pool(handle)?;
        let (first, count) = plugins.window(pool.selectable());
        let life = ms(self.config.report_life_ms);
        let (handlespace, measures) = (&self.handlespace, &self.measures);
        let selectable = || handlespace.members(handle).filter(|element| element.is_selectable());
        let seen = selectable().chain(selectable()).skip(first).take(count).map(|element| {
            let slot = if measures.is_empty() { None } else { handlespace.find(handle, element.id()) };
            let measure = slot.and_then(|slot| measures.get(now, life, slot));
            let reported = measure.map(|measure| Reported {
                load: measure.load,
                round_trip_us: measure.round_trip_us,
                age_ms: u32::try_from(now.saturating_duration_since(measure.at).as_millis()).unwrap_or(u32::MAX),
            });
            (element, handlespace.selections(element), reported)
        });
        let hint = wanted.hint.as_deref();
        let question = Question { client, handle, policy: pool.policy(), items: wanted.items, hint };
        let (counter, order) = match plugins.rank(now, which, question, seen) {
            Outcome::Ranked(order) => (&mut self.counters.plugin_answers, Some(order)),
            Outcome::Declined => (&mut self.counters.plugin_declined, None),
            Outcome::Failed => (&mut self.counters.plugin_failures, None),
            Outcome::Resting => (&mut self.counters.plugin_resting, None),
            Outcome::OverBudget => (&mut self.counters.plugin_over_budget, None),
        };
        *counter += 1;
        order
    }

    /// As Priority policy, whatever the pool's own is: that way a strict user, who selects again, comes to the same. `None` when
    /// the plug-in wants none of the PEs used.
    pub(super) fn ranked_answer(
        &mut self,
        handle: &PoolHandle,
        subscribed: bool,
        order: &Order,
        items: usize,
    ) -> Option<Bytes> {
        let first = self.handlespace.select_among(handle, items, |pe| order.is_best(pe))?;
        let listed = order.listed(&first, items);
        let elements: Vec<PoolElement> = listed
            .iter()
            .filter_map(|&(pe, priority)| {
                let registered = self.handlespace.element(handle, pe).map(Element::registered)?;
                Some(PoolElement { policy: Policy::Priority { priority }, ..registered.clone() })
            })
            .collect();
        let policy = elements.first()?.policy.clone();
        let (bytes, sent) = Message::encode_resolution(subscribed, handle, &policy, elements.iter()).ok()?;
        if sent < elements.len() {
            self.counters.resolutions_truncated += 1;
        }
        Some(bytes)
    }

    /// Element Reports: what a user measured at PEs of the pool it asks for.
    pub(super) fn take_measures(
        &mut self,
        now: Instant,
        client: ClientId,
        source: &[SocketAddr],
        handle: &PoolHandle,
        reports: &[ElementReport],
    ) {
        if reports.is_empty() {
            return;
        }
        if !self.may_measure(client, source) {
            self.counters.measures_unauthorised += reports.len() as u64;
            return;
        }
        for report in reports {
            if !self.admit(now, client, Request::Report) {
                self.counters.measures_limited += 1;
            } else if let Some(slot) = self.handlespace.find(handle, report.pe_id) {
                self.counters.measures += 1;
                self.measures.take(now, ms(self.config.report_life_ms), slot, report);
            } else {
                self.counters.measures_unknown += 1;
            }
        }
    }

    /// A user says itself which addresses it has, but cannot do without one it really has: so all must be allowed.
    fn may_measure(&self, client: ClientId, source: &[SocketAddr]) -> bool {
        let allowed = |at: &SocketAddr| self.config.report_from.iter().any(|network| network.has(at.ip()));
        client == ClientId::LOCAL || (!source.is_empty() && source.iter().all(allowed))
    }
}
