//! A gateway and a pool of controllers as real processes: their addresses, configuration files, start and end.
//!
//! Used by scenarios and by `sigpool replay`: [`Lab::start`], connect a traffic source to [`Lab::gateway`] from [`Lab::network`],
//! [`Lab::wait_ready`], ..., [`Lab::stop`]. Dropping a lab kills what is left of it.

use super::RunError;
use super::address::{ADMIN_PORT, Net, UDP_PORT};
use super::admin::{self, GatewayState};
use super::process::Process;
use crate::scenario::FaultKind;
use nix::sys::signal::Signal;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use toml::{Table, Value, toml};

/// Routing Context of the network side.
pub const NETWORK_ROUTING_CONTEXT: u32 = 100;
/// How long the gateway gets to listen.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long a daemon gets for a clean end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_millis(3_000);

/// What to start.
#[derive(Debug, Clone)]
pub struct LabPlan {
    /// Folder of the run; `config/`, `logs/`, `records/` and `capture.pcapng` are made in it.
    pub out: PathBuf,
    /// How many controllers.
    pub controllers: usize,
    /// Point codes of the network.
    pub network_pcs: Vec<u32>,
    /// Point codes of the pool.
    pub pool_pcs: Vec<u32>,
    /// Laid over the gateway's configuration.
    pub gateway_settings: Table,
    /// Laid over each controller's configuration.
    pub controller_settings: Table,
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
    plan: LabPlan,
    net: Net,
    gateway: Process,
    controllers: Vec<Place>,
}

impl Lab {
    /// Checks the settings, writes the configuration files, and starts all processes (on the main thread, see `Process::start`).
    ///
    /// # Errors
    /// Usage: the settings are wrong (nothing was started). Environment: no addresses, no files, no processes.
    pub fn start(plan: LabPlan) -> Result<Self, RunError> {
        check_settings(&plan)?;
        let net = Net::find(plan.controllers)?;
        for folder in ["config", "logs", "records"] {
            let folder = plan.out.join(folder);
            std::fs::create_dir_all(&folder)
                .map_err(|e| environment(&folder, &e, "give a writable folder with --out"))?;
        }
        let gateway = start_process(&plan, "sg-1", "sg", &gateway_config(&plan, net))?;
        let mut lab = Self { gateway, controllers: Vec::new(), plan, net };
        // A controller that does not find its name server waits before it tries again.
        lab.wait_listening()?;
        for index in 0..lab.plan.controllers {
            lab.controllers.push(Place { process: None, starts: 0 });
            lab.start_controller(index)?;
        }
        Ok(lab)
    }

    fn wait_listening(&mut self) -> Result<(), RunError> {
        let deadline = Instant::now() + START_PATIENCE;
        while let Err(error) = self.state() {
            self.check_alive()?;
            if Instant::now() > deadline {
                let logs = self.plan.out.join("logs");
                return Err(RunError::Environment(format!(
                    "the gateway does not answer: {error}; see {}",
                    logs.display()
                )));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The gateway's UDP address for the network side.
    #[must_use]
    pub fn gateway(&self) -> SocketAddr {
        SocketAddr::new(self.net.gateway(), UDP_PORT)
    }

    /// The address of the gateway's admin HTTP.
    #[must_use]
    pub fn gateway_ip(&self) -> IpAddr {
        self.net.gateway()
    }

    /// The UDP address from which a traffic source connects.
    #[must_use]
    pub fn network(&self) -> SocketAddr {
        SocketAddr::new(self.net.network(), UDP_PORT)
    }

    /// The folder for records.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.plan.out.join("records")
    }

    /// The gateway's state now.
    ///
    /// # Errors
    /// It does not answer.
    pub fn state(&self) -> std::io::Result<GatewayState> {
        admin::gateway_state(self.net.gateway())
    }

    /// PE identifier of a controller's present (or last) process.
    #[must_use]
    pub fn pe(&self, index: usize) -> u32 {
        pe_id(index, self.controllers[index].starts)
    }

    /// The controller (index) that has a PE identifier now.
    #[must_use]
    pub fn controller_of(&self, pe: u32) -> Option<usize> {
        (0..self.controllers.len()).find(|index| self.pe(*index) == pe)
    }

    /// Name, process id and address of every process.
    #[must_use]
    pub fn processes(&self) -> Vec<(String, u32, IpAddr)> {
        let mut all = vec![(self.gateway.name().to_owned(), self.gateway.id(), self.net.gateway())];
        for (index, place) in self.controllers.iter().enumerate() {
            if let Some(process) = &place.process {
                all.push((process.name().to_owned(), process.id(), self.net.controller(index)));
            }
        }
        all
    }

    /// Waits until all controllers are active at the gateway.
    ///
    /// # Errors
    /// A process ended, or the time is over: who is missing. Interrupted: `interrupted` said so.
    pub fn wait_ready(&mut self, patience: Duration, interrupted: &dyn Fn() -> bool) -> Result<(), RunError> {
        let deadline = Instant::now() + patience;
        loop {
            self.check_alive()?;
            if interrupted() {
                return Err(RunError::Interrupted);
            }
            let state = self.state();
            if state.as_ref().is_ok_and(|state| state.active() == self.plan.controllers) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let seen = match state {
                    Ok(state) => format!("{} of {} are active", state.active(), self.plan.controllers),
                    Err(error) => format!("the gateway's admin says: {error}"),
                };
                return Err(RunError::Environment(format!(
                    "the controllers were not ready within {} s: {seen}; see {}",
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
        for process in std::iter::once(&mut self.gateway).chain(controllers) {
            if let Some(error) = process.obituary() {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Does a fault to a controller.
    ///
    /// # Errors
    /// `start`: the process cannot be started.
    pub fn fault(&mut self, index: usize, kind: FaultKind) -> Result<(), RunError> {
        let place = &mut self.controllers[index];
        let signal = match kind {
            FaultKind::Kill => Signal::SIGKILL,
            FaultKind::Stop => Signal::SIGSTOP,
            FaultKind::Cont => Signal::SIGCONT,
            FaultKind::Term => Signal::SIGTERM,
            FaultKind::Start => return self.start_controller(index),
            FaultKind::StealCore => return Ok(()),
        };
        if matches!(kind, FaultKind::Kill | FaultKind::Term) {
            // From now on its end is no surprise.
            if let Some(mut process) = place.process.take() {
                process.signal(signal);
                if kind == FaultKind::Term {
                    std::thread::spawn(move || process.wait_until(Instant::now() + STOP_PATIENCE));
                }
            }
        } else if let Some(process) = &mut place.process {
            process.signal(signal);
        }
        Ok(())
    }

    /// Tells every controller to originate no more calls.
    pub fn quiet(&self) {
        for (index, place) in self.controllers.iter().enumerate() {
            if place.process.is_some()
                && let Err(error) = admin::command(self.net.controller(index), "stop-originating")
            {
                tracing::warn!("gwc-{}: cannot stop its calls: {error}", index + 1);
            }
        }
    }

    /// Ends all processes: controllers first, so that they can deregister, then the gateway. What does not end is killed.
    pub fn stop(mut self) {
        let mut controllers: Vec<_> = self.controllers.iter_mut().filter_map(|place| place.process.take()).collect();
        for process in &mut controllers {
            process.signal(Signal::SIGCONT);
            process.signal(Signal::SIGTERM);
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        for process in &mut controllers {
            if !process.wait_until(deadline) {
                tracing::warn!("{} did not end by itself", process.name());
            }
        }
        self.gateway.signal(Signal::SIGTERM);
        if !self.gateway.wait_until(Instant::now() + STOP_PATIENCE) {
            tracing::warn!("{} did not end by itself", self.gateway.name());
        }
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

fn controller_name(index: usize) -> String {
    format!("gwc-{}", index + 1)
}

/// A new process is a new pool element: RFC 5352 section 3.1 wants a new identifier.
fn pe_id(index: usize, starts: u32) -> u32 {
    starts << 8 | (index as u32 + 1)
}

fn config_path(out: &Path, name: &str) -> PathBuf {
    out.join("config").join(format!("{name}.toml"))
}

fn start_process(plan: &LabPlan, name: &str, role: &str, config: &Table) -> Result<Process, RunError> {
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

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

fn path_text(path: &Path) -> Value {
    Value::String(path.display().to_string())
}

fn codes(codes: &[u32]) -> Value {
    codes.iter().map(|code| i64::from(*code)).collect::<Vec<_>>().into()
}

fn gateway_config(plan: &LabPlan, net: Net) -> Table {
    let admin = text(SocketAddr::new(net.gateway(), ADMIN_PORT));
    let addresses = Value::Array(vec![text(net.gateway())]);
    let mut config = toml! {
        [daemon]
        [udp]
        [node]
        name = "sg-1"
        [[as]]
        pool = "GatewayPool"
        routing_context = 1
        [network]
    };
    set(&mut config, "daemon", "admin", admin);
    set(&mut config, "daemon", "parent_pid", i64::from(std::process::id()).into());
    set(&mut config, "udp", "addresses", addresses);
    set(&mut config, "udp", "capture", path_text(&plan.out.join("capture.pcapng")));
    set(&mut config, "node", "records", path_text(&plan.out.join("records")));
    set(&mut config, "network", "routing_context", i64::from(NETWORK_ROUTING_CONTEXT).into());
    set(&mut config, "network", "point_codes", codes(&plan.network_pcs));
    set(&mut config, "as", "dpc", codes(&plan.pool_pcs));
    merge(&mut config, &plan.gateway_settings);
    config
}

fn controller_config(plan: &LabPlan, net: Net, index: usize, starts: u32) -> Table {
    let mut config = toml! {
        [daemon]
        [udp]
        [node]
        [pool]
        handle = "GatewayPool"
        [asap.hunt]
        [m3ua]
        routing_context = 1
    };
    let ip = net.controller(index);
    let mut server = Table::new();
    server.insert("addresses".into(), Value::Array(vec![text(net.gateway())]));
    let mut hunt = Table::new();
    hunt.insert("servers".into(), Value::Array(vec![server.into()]));
    set(&mut config, "daemon", "admin", text(SocketAddr::new(ip, ADMIN_PORT)));
    set(&mut config, "daemon", "parent_pid", i64::from(std::process::id()).into());
    set(&mut config, "udp", "addresses", Value::Array(vec![text(ip)]));
    set(&mut config, "node", "name", text(controller_name(index)));
    set(&mut config, "node", "pe_id", i64::from(pe_id(index, starts)).into());
    set(&mut config, "node", "records", path_text(&plan.out.join("records")));
    set(&mut config, "asap", "hunt", hunt.into());
    merge(&mut config, &plan.controller_settings);
    config
}

/// Sets a key of a table, or of each table of an array of tables.
fn set(config: &mut Table, table: &str, key: &str, value: Value) {
    let mut overlay = Table::new();
    overlay.insert(key.to_owned(), value);
    let mut outer = Table::new();
    outer.insert(table.to_owned(), overlay.into());
    merge(config, &outer);
}

/// Lays `over` over `config`: tables are merged, a table over an array of tables goes into each of them, all else replaces.
pub(super) fn merge(config: &mut Table, over: &Table) {
    for (key, value) in over {
        match (config.get_mut(key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Table(new)) if old.iter().all(Value::is_table) => {
                for entry in old.iter_mut().filter_map(Value::as_table_mut) {
                    merge(entry, new);
                }
            }
            (Some(_) | None, _) => {
                config.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Tries the merged settings on the daemons' own schemas.
///
/// # Errors
/// Usage: which setting is wrong.
pub fn check_settings(plan: &LabPlan) -> Result<(), RunError> {
    let net = Net::any();
    let wrong = |whose: &str, problem: &dyn std::fmt::Display| {
        let problem = problem.to_string();
        RunError::Usage(format!("[{whose}.settings]: {}", problem.trim_end().replace('\n', "; ")))
    };
    let gateway: sg::Config =
        gateway_config(plan, net).try_into().map_err(|error: toml::de::Error| wrong("gateway", &error))?;
    gateway.check().map_err(|error| wrong("gateway", &error))?;
    let controller: gwc_pe::config::Config =
        controller_config(plan, net, 0, 1).try_into().map_err(|error: toml::de::Error| wrong("controllers", &error))?;
    controller.check().map_err(|error| wrong("controllers", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> LabPlan {
        LabPlan {
            out: "/tmp/x".into(),
            controllers: 3,
            network_pcs: vec![101, 102],
            pool_pcs: vec![2],
            gateway_settings: Table::new(),
            controller_settings: Table::new(),
        }
    }

    #[test]
    fn the_daemons_take_what_is_written_for_them() {
        check_settings(&plan()).unwrap();
    }

    #[test]
    fn settings_are_laid_over_also_into_the_application_server() {
        let mut plan = plan();
        plan.gateway_settings = toml! {
            [failover]
            beat_ms = 33
            [as]
            t_r_ms = 777
        };
        let config: sg::Config = gateway_config(&plan, Net::any()).try_into().unwrap();
        assert_eq!((config.failover.beat_ms, config.application_servers[0].t_r_ms), (33, 777));
        assert_eq!(config.application_servers[0].dpc, [2]);
    }

    #[test]
    fn wrong_settings_are_named() {
        let mut wrong = plan();
        wrong.gateway_settings = toml! { [failover]
        beats = 3 };
        assert!(check_settings(&wrong).unwrap_err().to_string().contains("beats"));
        let mut wrong = plan();
        wrong.controller_settings = toml! { [session]
        lease_ms = 3 };
        let text = check_settings(&wrong).unwrap_err().to_string();
        assert!(text.starts_with("[controllers.settings]") && text.contains("lease_ms"), "{text}");
    }
}
