//! The gateways of a run: one, or two that are mates. Who leads, what is done to them, what they say.

use super::RunError;
use super::address::{Host, UDP_PORT};
use super::admin::{self, GatewayState};
use super::config::{gateway_config, gateway_name};
use super::lab::{Lab, START_PATIENCE, STOP_PATIENCE, start_process};
use super::process::Process;
use crate::results::CaptureFigures;
use crate::scenario::{Fault, FaultKind, Target};
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// A gateway's place: its address and its files stay.
#[derive(Debug, Default)]
struct Place {
    /// None while it is killed.
    process: Option<Process>,
    /// It hangs.
    stopped: bool,
    starts: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    places: Vec<Place>,
    /// Which one was meant by a role (`gateway`) when something was done to it: what brings it back is for the same one.
    meant: HashMap<Target, usize>,
}

impl Gateways {
    /// Those that run.
    pub(super) fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        self.places.iter_mut().filter_map(|place| place.process.as_mut())
    }

    /// Name and process id of those that run, with their index.
    pub(super) fn list(&self) -> impl Iterator<Item = (usize, String, u32)> {
        let running =
            self.places.iter().enumerate().filter_map(|(index, place)| Some((index, place.process.as_ref()?)));
        running.map(|(index, process)| (index, process.name().to_owned(), process.id()))
    }
}

impl Lab {
    /// Starts all gateways.
    pub(super) fn start_gateways(&mut self) -> Result<(), RunError> {
        self.gateways.places.resize_with(self.plan.gateways(), Place::default);
        (0..self.plan.gateways()).try_for_each(|index| self.start_gateway(index))
    }

    fn start_gateway(&mut self, index: usize) -> Result<(), RunError> {
        let name = gateway_name(index);
        let place = &mut self.gateways.places[index];
        if place.starts > 0 {
            // It would write over what the one before it wrote.
            let capture = capture_name(index);
            keep(&self.plan.out, &capture, place.starts);
            keep(&self.plan.out.join("records"), &format!("{name}.csv"), place.starts);
        }
        place.starts += 1;
        let process = start_process(&self.plan, &name, "sg", &gateway_config(&self.plan, self.net, index))?;
        (place.process, place.stopped) = (Some(process), false);
        Ok(())
    }

    /// Waits until all gateways answer.
    pub(super) fn wait_gateways(&mut self) -> Result<(), RunError> {
        (0..self.plan.gateways()).try_for_each(|index| {
            let address = self.net.first(Host::Gateway(index));
            self.wait_answering(&gateway_name(index), address, START_PATIENCE)
        })
    }

    /// The gateways' UDP addresses for the network side.
    #[must_use]
    pub fn gateways(&self) -> Vec<Vec<SocketAddr>> {
        let of = |index| self.net.known(Host::Gateway(index)).into_iter().map(|ip| SocketAddr::new(ip, UDP_PORT));
        (0..self.plan.gateways()).map(|index| of(index).collect()).collect()
    }

    /// The addresses of the gateways' admin HTTP, whether they run or not.
    #[must_use]
    pub fn gateway_ips(&self) -> Vec<IpAddr> {
        (0..self.plan.gateways()).map(|index| self.net.first(Host::Gateway(index))).collect()
    }

    /// The same of those that run and do not hang.
    fn answering(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let there = |index: &usize| {
            let place = &self.gateways.places[*index];
            place.process.is_some() && !place.stopped
        };
        (0..self.gateways.places.len()).filter(there).map(|index| self.net.first(Host::Gateway(index)))
    }

    /// The state of each gateway that runs and does not hang.
    ///
    /// # Errors
    /// One of them does not answer, or none is there.
    pub fn states(&self) -> std::io::Result<Vec<GatewayState>> {
        let states = self.answering().map(admin::gateway_state).collect::<Result<Vec<_>, _>>()?;
        if states.is_empty() { Err(std::io::Error::other("no gateway runs")) } else { Ok(states) }
    }

    /// What went through the sockets of the gateways that answer.
    pub(super) fn gateway_traffic(&self) -> std::io::Result<admin::UdpTraffic> {
        self.answering().map(admin::udp_traffic).sum()
    }

    /// What the captures of the gateways that answer hold.
    pub(super) fn capture_figures(&self) -> Option<CaptureFigures> {
        let figures: Vec<_> = self.answering().filter_map(|ip| admin::capture_figures(ip).ok()).collect();
        let sum = |of: fn(&CaptureFigures) -> u64| figures.iter().map(of).sum();
        (!figures.is_empty()).then(|| CaptureFigures { packets: sum(|f| f.packets), dropped: sum(|f| f.dropped) })
    }

    /// Which gateway a fault hits.
    pub(super) fn meant(&mut self, fault: &Fault) -> Option<usize> {
        let back = matches!(fault.kind, FaultKind::Cont | FaultKind::Start | FaultKind::Clear);
        if let Some(index) = self.gateways.meant.get(&fault.target).filter(|_| back) {
            return Some(*index);
        }
        let index = self.gateway_of(fault.target)?;
        self.gateways.meant.insert(fault.target, index);
        Some(index)
    }

    /// Which gateway is named so now.
    pub(super) fn gateway_of(&self, target: Target) -> Option<usize> {
        match target {
            Target::GatewayNumber(index) => Some(index),
            Target::Gateway => Some(self.leading()),
            Target::GatewayFollower => Some(1_usize.saturating_sub(self.leading())),
            Target::Machine
            | Target::Controller(_)
            | Target::NameServer(_)
            | Target::Population(_)
            | Target::Link(..)
            | Target::Path(_) => None,
        }
    }

    /// The gateway that leads; the first one if nobody says so.
    fn leading(&self) -> usize {
        let leads = |index: &usize| {
            let place = &self.gateways.places[*index];
            let there = place.process.is_some() && !place.stopped;
            there && admin::gateway_state(self.net.first(Host::Gateway(*index))).is_ok_and(|state| state.leads())
        };
        // Alone it has no mate to lead.
        (0..self.gateways.places.len()).filter(|_| self.plan.gateways() > 1).find(leads).unwrap_or(0)
    }

    /// Does a fault to a gateway; gives its name.
    ///
    /// # Errors
    /// `start`: it cannot be started. `command`: it refuses.
    pub(super) fn gateway_fault(&mut self, fault: &Fault) -> Result<String, RunError> {
        let Some(index) = self.meant(fault) else { return Ok(String::new()) };
        let place = &mut self.gateways.places[index];
        match fault.kind {
            FaultKind::Kill => drop(place.process.take()),
            FaultKind::Term | FaultKind::Leave => {
                if let Some(mut process) = place.process.take() {
                    process.signal(Signal::SIGTERM);
                    std::thread::spawn(move || process.wait_until(Instant::now() + STOP_PATIENCE));
                }
            }
            FaultKind::Stop | FaultKind::Cont => {
                place.stopped = fault.kind == FaultKind::Stop;
                if let Some(process) = &mut place.process {
                    process.signal(if place.stopped { Signal::SIGSTOP } else { Signal::SIGCONT });
                }
            }
            FaultKind::Starve => {
                if let Some(process) = &place.process {
                    process.starve(Duration::from_millis(fault.duration_ms.unwrap_or_default()));
                }
            }
            FaultKind::Start => self.start_gateway(index)?,
            // The check lets no other kind through.
            FaultKind::Restart
            | FaultKind::StealCore
            | FaultKind::CutPath
            | FaultKind::RestorePath
            | FaultKind::CutLink
            | FaultKind::RestoreLink
            | FaultKind::Isolate
            | FaultKind::Rejoin
            | FaultKind::StickWorker
            | FaultKind::FreeWorker
            | FaultKind::Impair
            | FaultKind::Clear
            | FaultKind::Command => {}
        }
        Ok(gateway_name(index))
    }
}

/// The capture in the run's folder.
pub(super) fn capture_name(index: usize) -> String {
    if index == 0 { "capture.pcapng".to_owned() } else { format!("capture-{}.pcapng", index + 1) }
}

/// Puts a file of a process's earlier life aside: `sg-1.csv` becomes `sg-1.life-1.csv`. Without the file there is nothing to do.
fn keep(folder: &Path, file: &str, life: u32) {
    let Some((name, extension)) = file.rsplit_once('.') else { return };
    let aside = folder.join(format!("{name}.life-{life}.{extension}"));
    if let Err(error) = std::fs::rename(folder.join(file), aside) {
        tracing::warn!("{file} of the gateway before is lost: {error}");
    }
}
