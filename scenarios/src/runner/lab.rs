//! A gateway and a pool of controllers as real processes: their addresses, configuration files, start and end.
//!
//! Used by scenarios and by `sigpool replay`: [`Lab::start`], connect a traffic source to [`Lab::gateways`] from [`Lab::network`],
//! [`Lab::wait_ready`], ..., [`Lab::stop`]. Dropping a lab kills what is left of it.

use super::RunError;
use super::address::{Host, Net, UDP_PORT};
use super::admin::{self, GatewayState};
use super::config::{
    check_settings, controller_config, controller_name, gateway_name, name_server_config, name_server_name, needs,
    pe_id, population_config, relay_ports,
};
use super::gateways::Gateways;
use super::names::{resolver_name, scope_server_name};
use super::population::{self, Crowd};
use super::process::Process;
use super::relay::{Relay, RelayReport};
use crate::scenario::{Fault, FaultKind, NameServer, Population, Resolver, Target};
use nix::sys::signal::Signal;
use sctp::Transport;
use sctp::driver::DriverConfig;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use toml::Table;

/// Routing Context of the network side.
pub const NETWORK_ROUTING_CONTEXT: u32 = 100;
/// How long the gateway gets to listen.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long a daemon gets for a clean end before it is killed.
pub(super) const STOP_PATIENCE: Duration = Duration::from_millis(3_000);

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct LabPlan {
    /// Folder of the run; `config/`, `logs/`, `records/` and `capture.pcapng` are made in it.
    pub out: PathBuf,
    /// Gateways, 1 or 2; 0 counts as 1.
    pub gateways: usize,
    /// How many controllers have a place.
    pub controllers: usize,
    /// How many of them run from the start; absent: all.
    pub at_start: Option<usize>,
    /// How many of them, the last ones, are ordinary ASPs.
    pub ordinary: usize,
    /// Who carries SCTP, in every process.
    pub transport: Transport,
    /// Addresses of each process, each on a network of its own; 0 counts as 1.
    pub paths: usize,
    /// A relay stands between all processes: it can cut paths, and adds `round_trip_ms`.
    pub relayed: bool,
    /// The round trip that the relay adds to each controller's way, ms; what is missing is 0.
    pub round_trip_ms: Vec<u32>,
    /// The name server: in the gateway, or a process of its own.
    pub name_server: NameServer,
    /// Other pools in the name space.
    pub population: Option<Population>,
    /// A pool user that asks for them all the time.
    pub resolver: Option<Resolver>,
    /// Point codes of the network.
    pub network_pcs: Vec<u32>,
    /// Point codes of the pool.
    pub pool_pcs: Vec<u32>,
    /// Laid over the gateway's configuration.
    pub gateway_settings: Table,
    /// Laid over each controller's configuration.
    pub controller_settings: Table,
}

impl LabPlan {
    /// How many gateways there are.
    #[must_use]
    pub fn gateways(&self) -> usize {
        self.gateways.max(1)
    }

    /// The controllers that are ordinary ASPs, by their indices.
    pub(super) fn ordinary(&self) -> std::ops::Range<usize> {
        self.controllers.saturating_sub(self.ordinary)..self.controllers
    }
}

/// A controller's place: its address stays, its process and PE identifier change with each start.
#[derive(Debug)]
struct Place {
    process: Option<Process>,
    /// How often it was started; part of the PE identifier.
    starts: u32,
}

/// A running gateway with its pool.
#[derive(Debug)]
pub struct Lab {
    pub(super) plan: LabPlan,
    pub(super) net: Net,
    pub(super) gateways: Gateways,
    /// Stand-alone name servers; none while it is killed.
    name_servers: Vec<Option<Process>>,
    controllers: Vec<Place>,
    population: Crowd,
    pub(super) relay: Option<Relay>,
}

impl Lab {
    /// Checks the settings, writes the configuration files, and starts all processes (on the main thread, see `Process::start`).
    ///
    /// # Errors
    /// Usage: the settings are wrong (nothing was started). Environment: no addresses, no files, no processes.
    pub fn start(plan: LabPlan) -> Result<Self, RunError> {
        check_settings(&plan)?;
        let net = Net::find(needs(&plan))?;
        for folder in ["config", "logs", "records"] {
            let folder = plan.out.join(folder);
            std::fs::create_dir_all(&folder)
                .map_err(|e| environment(&folder, &e, "give a writable folder with --out"))?;
        }
        let relay = if plan.relayed { Some(Relay::start(relay_ports(&plan, net))?) } else { None };
        let servers = 0..plan.name_server.stand_alone();
        let name_servers =
            servers.map(|index| start_name_server(&plan, net, index).map(Some)).collect::<Result<Vec<_>, _>>()?;
        let (gateways, population) = (Gateways::default(), Crowd::default());
        let mut lab = Self { gateways, name_servers, controllers: Vec::new(), population, relay, plan, net };
        lab.start_gateways()?;
        // A controller that does not find its name server waits before it tries again.
        for index in 0..lab.name_servers.len() {
            lab.wait_answering(&name_server_name(index), net.first(Host::NameServer(index)), START_PATIENCE)?;
        }
        lab.wait_gateways()?;
        lab.population = start_population(&lab.plan, net)?;
        lab.controllers.resize_with(lab.plan.controllers, || Place { process: None, starts: 0 });
        for index in 0..lab.at_start() {
            lab.start_controller(index)?;
        }
        Ok(lab)
    }

    pub(super) fn wait_answering(&mut self, who: &str, address: IpAddr, patience: Duration) -> Result<(), RunError> {
        let deadline = Instant::now() + patience;
        while let Err(error) = admin::healthy(address) {
            self.check_alive()?;
            if Instant::now() > deadline {
                let logs = self.plan.out.join("logs");
                return Err(RunError::Environment(format!("{who} does not answer: {error}; see {}", logs.display())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// How many controllers run from the start.
    fn at_start(&self) -> usize {
        self.plan.at_start.unwrap_or(self.plan.controllers)
    }

    /// Who carries SCTP, in every process.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.plan.transport
    }

    /// The UDP addresses from which a traffic source connects.
    #[must_use]
    pub fn network(&self) -> DriverConfig {
        let (addresses, known) = (self.net.own(Host::Network), self.net.known(Host::Network));
        let advertise = if self.net.is_relayed() { known } else { Vec::new() };
        DriverConfig { addresses, advertise, port: UDP_PORT, ..DriverConfig::default() }
    }

    /// Name, path (from 1) and address of everybody, as others know them.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, usize, IpAddr)> {
        let name = |host| match host {
            Host::Gateway(index) => gateway_name(index),
            Host::Network => "network".to_owned(),
            Host::NameServer(index) => name_server_name(index),
            Host::Resolver(index) => resolver_name(&self.plan, index),
            Host::ScopeServer(place) => scope_server_name(&self.plan, place),
            Host::Controller(index) => controller_name(index),
            Host::Population(index) => population::name(index),
        };
        let of = |host| {
            let known = self.net.known(host).into_iter().enumerate();
            known.map(move |(path, ip)| (name(host), path + 1, ip))
        };
        needs(&self.plan).hosts().flat_map(of).collect()
    }

    /// Bytes between the population and its name servers so far.
    pub(super) fn population_bytes(&self) -> std::io::Result<u64> {
        self.population.bytes()
    }

    /// Datagrams that the relay passed on so far, on each path; empty without a relay.
    #[must_use]
    pub fn carried(&self) -> Vec<u64> {
        self.relay.as_ref().map(Relay::carried).unwrap_or_default()
    }

    /// Name and address of each stand-alone name server that runs.
    #[must_use]
    pub fn name_servers(&self) -> Vec<(String, IpAddr)> {
        let running = self.name_servers.iter().enumerate().filter(|(_, process)| process.is_some());
        running.map(|(index, _)| (name_server_name(index), self.net.first(Host::NameServer(index)))).collect()
    }

    /// The folder for records.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.plan.out.join("records")
    }

    /// PE identifier of a controller's present (or last) process.
    #[must_use]
    pub fn pe(&self, index: usize) -> u32 {
        pe_id(&self.plan, self.net, index, self.controllers[index].starts)
    }

    /// The controller (index) that has a PE identifier now.
    #[must_use]
    pub fn controller_of(&self, pe: u32) -> Option<usize> {
        (0..self.controllers.len()).find(|index| self.pe(*index) == pe)
    }

    /// Name and address of a controller, whether it runs or not.
    #[must_use]
    pub fn place(&self, index: usize) -> (String, IpAddr) {
        (controller_name(index), self.net.first(Host::Controller(index)))
    }

    /// Name, process id and address of every process.
    #[must_use]
    pub fn processes(&self) -> Vec<(String, u32, IpAddr)> {
        let gateways = self.gateways.list().map(|(index, name, id)| (name, id, self.net.first(Host::Gateway(index))));
        let mut all: Vec<_> = gateways.collect();
        for (index, process) in self.name_servers.iter().enumerate() {
            if let Some(process) = process {
                all.push((process.name().to_owned(), process.id(), self.net.first(Host::NameServer(index))));
            }
        }
        for (index, place) in self.controllers.iter().enumerate() {
            if let Some(process) = &place.process {
                all.push((process.name().to_owned(), process.id(), self.net.first(Host::Controller(index))));
            }
        }
        all.extend(self.population.iter().map(|(process, ip)| (process.name().to_owned(), process.id(), *ip)));
        all
    }

    /// Waits until the gateway's queues are empty: what the controllers are still at when they are ended would count as lost. Not longer
    /// than `patience`, and not once `look`, called each time in between, says true.
    pub fn wait_settled(&self, patience: Duration, pause: Duration, look: &mut dyn FnMut() -> bool) {
        let deadline = Instant::now() + patience;
        let mut empty = 0;
        // Twice in a row: a message may be between the traffic source and the gateway.
        while empty < 2 && Instant::now() < deadline && !look() {
            let settled = self.states().is_ok_and(|states| states.iter().all(|state| state.queued() == 0));
            empty = if settled { empty + 1 } else { 0 };
            std::thread::sleep(pause);
        }
    }

    /// Waits until all controllers that run from the start are active at the gateway, and the population is registered (for which it may
    /// take longer).
    ///
    /// # Errors
    /// A process ended, or the time is over: who is missing. Interrupted: `interrupted` said so.
    pub fn wait_ready(&mut self, patience: Duration, interrupted: &dyn Fn() -> bool) -> Result<(), RunError> {
        let patience = patience + self.population.patience();
        let deadline = Instant::now() + patience;
        loop {
            self.check_alive()?;
            if interrupted() {
                return Err(RunError::Interrupted);
            }
            let states = self.states();
            let active = states.as_ref().map(|states| states.iter().map(GatewayState::active).min().unwrap_or(0));
            let all_active = active.as_ref().is_ok_and(|active| *active == self.at_start());
            let mates = states.as_ref().is_ok_and(|states| GatewayState::are_mates(states));
            let missing = self.population.missing()?;
            if all_active && mates && missing.is_none() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let seen = match active {
                    Ok(_) if all_active && !mates => "no gateway leads with the other one as its mirror".to_owned(),
                    Ok(_) if all_active => missing.unwrap_or_default(),
                    Ok(active) => format!("{active} of {} are active", self.at_start()),
                    Err(error) => format!("the gateway's admin says: {error}"),
                };
                return Err(RunError::Environment(format!(
                    "not all were ready within {} s: {seen}; see {}",
                    patience.as_secs(),
                    self.plan.out.join("logs").display()
                )));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Finds processes that ended though nobody ended them.
    ///
    /// # Errors
    /// The first such process, with the end of its log.
    pub fn check_alive(&mut self) -> Result<(), RunError> {
        let controllers = self.controllers.iter_mut().filter_map(|place| place.process.as_mut());
        for process in self
            .gateways
            .processes()
            .chain(self.name_servers.iter_mut().flatten())
            .chain(controllers)
            .chain(self.population.iter_mut())
        {
            if let Some(error) = process.obituary() {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Does a fault to a process.
    ///
    /// # Errors
    /// `start`: the process cannot be started. `stick-worker`, `free-worker`: it does not answer.
    pub fn fault(&mut self, fault: &Fault) -> Result<(), RunError> {
        let &Fault { target, kind, .. } = fault;
        let place = match target {
            Target::Machine => return Ok(()),
            Target::Gateway | Target::GatewayFollower | Target::GatewayNumber(_) => {
                return self.gateway_fault(fault).map(drop);
            }
            Target::Path(path) => {
                if let Some(relay) = &self.relay {
                    relay.set_cut(path, kind == FaultKind::CutPath);
                }
                return Ok(());
            }
            Target::Link(a, b) => {
                let [a, b] = [a, b].map(|index| self.net.first(Host::NameServer(index)));
                if let Some(relay) = &self.relay {
                    relay.set_link_cut(a, b, kind == FaultKind::CutLink);
                }
                return Ok(());
            }
            Target::Population(index) => {
                self.population.fault(index, kind);
                return Ok(());
            }
            Target::Controller(index) => &mut self.controllers[index].process,
            Target::NameServer(index) => &mut self.name_servers[index],
        };
        let signal = match kind {
            FaultKind::Kill => Signal::SIGKILL,
            FaultKind::Stop => Signal::SIGSTOP,
            FaultKind::Cont => Signal::SIGCONT,
            FaultKind::Term | FaultKind::Leave => Signal::SIGTERM,
            FaultKind::Start => return self.start_again(target),
            FaultKind::Isolate | FaultKind::Rejoin => {
                self.isolate(target, (kind == FaultKind::Isolate).then(|| fault.direction.unwrap_or_default()));
                return Ok(());
            }
            FaultKind::StickWorker => return self.command(target, "stuck", ""),
            FaultKind::FreeWorker => return self.command(target, "unstuck", ""),
            FaultKind::Starve => {
                let duration = Duration::from_millis(fault.duration_ms.unwrap_or_default());
                if let Some(process) = place {
                    process.starve(duration);
                }
                return Ok(());
            }
            // The time line has made a kill and a start of it.
            FaultKind::Restart
            | FaultKind::StealCore
            | FaultKind::CutPath
            | FaultKind::RestorePath
            | FaultKind::CutLink
            | FaultKind::RestoreLink
            | FaultKind::Impair
            | FaultKind::Clear
            | FaultKind::Command => return Ok(()),
        };
        if matches!(kind, FaultKind::Kill | FaultKind::Term | FaultKind::Leave) {
            // From now on its end is no surprise.
            if let Some(mut process) = place.take() {
                process.signal(signal);
                if signal == Signal::SIGTERM {
                    std::thread::spawn(move || process.wait_until(Instant::now() + STOP_PATIENCE));
                }
            }
        } else if let Some(process) = place {
            process.signal(signal);
        }
        Ok(())
    }

    fn start_again(&mut self, target: Target) -> Result<(), RunError> {
        match target {
            Target::Controller(index) => self.start_controller(index)?,
            Target::NameServer(index) => {
                self.name_servers[index] = Some(start_name_server(&self.plan, self.net, index)?);
            }
            // Nothing starts them again here: gateways see to it themselves.
            Target::Machine
            | Target::Path(_)
            | Target::Link(..)
            | Target::Population(_)
            | Target::Gateway
            | Target::GatewayFollower
            | Target::GatewayNumber(_) => {}
        }
        Ok(())
    }

    /// Tells every controller to originate no more calls.
    pub fn quiet(&self) {
        for (index, place) in self.controllers.iter().enumerate() {
            if place.process.is_some()
                && let Err(error) = admin::command(self.net.first(Host::Controller(index)), "stop-originating")
            {
                tracing::warn!("gwc-{}: cannot stop its calls: {error}", index + 1);
            }
        }
    }

    /// Ends all processes: controllers first, so that they can deregister, then the gateways and the name servers. What does not end is killed.
    /// What the relay did, if there is one.
    pub fn stop(mut self) -> Option<RelayReport> {
        let mut controllers: Vec<_> = self.controllers.iter_mut().filter_map(|place| place.process.take()).collect();
        for process in &mut controllers {
            process.signal(Signal::SIGCONT);
            process.signal(Signal::SIGTERM);
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        self.population.stop(deadline);
        for process in &mut controllers {
            if !process.wait_until(deadline) {
                tracing::warn!("{} did not end by itself", process.name());
            }
        }
        for process in self.gateways.processes().chain(self.name_servers.iter_mut().flatten()) {
            process.signal(Signal::SIGCONT);
            process.signal(Signal::SIGTERM);
        }
        for process in self.gateways.processes().chain(self.name_servers.iter_mut().flatten()) {
            if !process.wait_until(Instant::now() + STOP_PATIENCE) {
                tracing::warn!("{} did not end by itself", process.name());
            }
        }
        self.relay.take().map(Relay::finish)
    }

    fn start_controller(&mut self, index: usize) -> Result<(), RunError> {
        let place = &mut self.controllers[index];
        place.starts += 1;
        let starts = place.starts;
        let name = controller_name(index);
        let config = controller_config(&self.plan, self.net, index, starts);
        let process = start_process(&self.plan, &name, "gwc-pe", &config)?;
        self.controllers[index].process = Some(process);
        Ok(())
    }
}

fn start_population(plan: &LabPlan, net: Net) -> Result<Crowd, RunError> {
    let Some(population) = &plan.population else { return Ok(Crowd::default()) };
    let mut processes = Vec::new();
    for (index, share) in population::shares(population).into_iter().enumerate() {
        let config = population_config(plan, population, net, index, share);
        let process = start_process(plan, &population::name(index), crate::population::PROGRAM_NAME, &config)?;
        processes.push((process, net.first(Host::Population(index))));
    }
    Ok(Crowd::new(processes, population::elements(population)))
}

fn start_name_server(plan: &LabPlan, net: Net, index: usize) -> Result<Process, RunError> {
    start_process(plan, &name_server_name(index), "enrp", &name_server_config(plan, net, index))
}

fn config_path(out: &Path, name: &str) -> PathBuf {
    out.join("config").join(format!("{name}.toml"))
}

pub(super) fn start_process(plan: &LabPlan, name: &str, role: &str, config: &Table) -> Result<Process, RunError> {
    let path = config_path(&plan.out, name);
    std::fs::write(&path, config.to_string())
        .map_err(|e| environment(&path, &e, "give a writable folder with --out"))?;
    let log = (0..).map(|n| if n == 0 { format!("{name}.log") } else { format!("{name}-{n}.log") });
    let log = log.map(|file| plan.out.join("logs").join(file)).find(|path| !path.exists());
    Process::start(name, role, &path, &log.expect("invariant: an endless row of names has a free one"))
}

fn environment(path: &Path, error: &std::io::Error, remedy: &str) -> RunError {
    RunError::Environment(format!("{}: {error}; {remedy}", path.display()))
}
