//! The processes of a run on this machine: a gateway and its controllers, each with its own loopback address, so that every
//! port is the standard one. They are this program itself, executed again as one of the daemons.

use super::RunError;
use super::admin;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use toml::{Table, Value as Toml};

/// UDP encapsulation port (RFC 6951).
pub(crate) const UDP_PORT: u16 = 9899;
/// Admin HTTP of every daemon of a lab.
const ADMIN_PORT: u16 = 8080;
/// Routing context of the pool's AS.
const POOL_CONTEXT: u32 = 1;
/// Routing context of the network side.
pub(crate) const NETWORK_CONTEXT: u32 = 100;
/// Controllers of one lab at most: the addresses of one /24 after the gateway's and the network's.
pub(crate) const CONTROLLERS_MAX: usize = 200;
/// How long a process may take to listen, and a lab to be ready.
const READY: Duration = Duration::from_secs(10);
/// How long a process may take to end cleanly.
const STOP: Duration = Duration::from_secs(4);

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct LabConfig {
    /// Directory of the run: gets `config/`, `logs/`, `records/` and the capture.
    pub(crate) out: PathBuf,
    /// Number of controllers.
    pub(crate) controllers: usize,
    /// Point codes of the pool.
    pub(crate) pool_pcs: Vec<u32>,
    /// Point codes of the network.
    pub(crate) network_pcs: Vec<u32>,
    /// Service indicators that go to the pool; empty: any.
    pub(crate) service_indicators: Vec<u8>,
    /// Write `capture.pcapng`.
    pub(crate) capture: bool,
    /// Settings of the gateway on top, as in its file.
    pub(crate) gateway: Table,
    /// Settings of every controller on top.
    pub(crate) controller: Table,
}

/// A running lab. Dropping it kills what still runs.
#[derive(Debug)]
pub(crate) struct Lab {
    config: LabConfig,
    /// The first three octets of the lab's addresses.
    net: [u8; 3],
    gateway: Process,
    controllers: Vec<Process>,
}

/// One daemon, or the place of one that ended.
#[derive(Debug)]
struct Process {
    name: String,
    role: &'static str,
    config_file: PathBuf,
    log_file: PathBuf,
    admin: SocketAddr,
    child: Option<Child>,
    /// It was killed or told to end: its end is no failure.
    expected_end: bool,
}

impl Lab {
    /// Writes the configurations and starts the processes. They are not ready yet: see [`Lab::wait_active`].
    ///
    /// # Errors
    /// [`RunError::Environment`]: no free addresses, files not writable, a process that does not start.
    pub(crate) fn start(config: LabConfig) -> Result<Self, RunError> {
        let net = free_net(config.controllers)?;
        for part in ["config", "logs", "records"] {
            let path = config.out.join(part);
            std::fs::create_dir_all(&path).map_err(|e| {
                RunError::Environment(format!(
                    "cannot create {}: {e}; give a writable directory with --out",
                    path.display()
                ))
            })?;
        }
        let address = |host: usize| Ipv4Addr::new(net[0], net[1], net[2], host as u8);
        let gateway = Process::new("sg", "sg", address(1), &config.out);
        write_config(&gateway.config_file, gateway_config(&config, address(1)), &config.gateway)?;
        let mut controllers = Vec::new();
        for i in 1..=config.controllers {
            let process = Process::new(&format!("gwc-{i}"), "gwc-pe", address(10 + i), &config.out);
            let base = controller_config(&config, i, address(10 + i), address(1));
            write_config(&process.config_file, base, &config.controller)?;
            controllers.push(process);
        }
        let mut lab = Self { config, net, gateway, controllers };
        lab.gateway.spawn()?;
        lab.gateway.wait_listening()?;
        for controller in &mut lab.controllers {
            controller.spawn()?;
        }
        Ok(lab)
    }

    /// Address of the network side's traffic source.
    pub(crate) fn network_address(&self) -> SocketAddr {
        self.udp(2)
    }

    /// UDP address of the gateway.
    pub(crate) fn gateway_address(&self) -> SocketAddr {
        self.udp(1)
    }

    fn udp(&self, host: u8) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(self.net[0], self.net[1], self.net[2], host)), UDP_PORT)
    }

    /// The gateway's `/state`.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn gateway_state(&self) -> Result<Value, RunError> {
        admin::state(self.gateway.admin).map_err(|e| RunError::Environment(format!("the gateway does not answer: {e}")))
    }

    /// A controller's `/state`; `None` when it does not answer (killed, stopped).
    pub(crate) fn controller_state(&self, controller: usize) -> Option<Value> {
        admin::state(self.controllers.get(controller)?.admin).ok()
    }

    /// Waits until so many controllers are ASP-ACTIVE at the gateway.
    ///
    /// # Errors
    /// A process ended, or it took too long; the text says where the logs are.
    pub(crate) fn wait_active(&mut self, controllers: usize, interrupted: &dyn Fn() -> bool) -> Result<(), RunError> {
        let end = Instant::now() + READY;
        loop {
            self.check_alive()?;
            let active = self.gateway_state().map_or(0, |state| admin::active_controllers(&state));
            if active >= controllers {
                return Ok(());
            }
            if interrupted() {
                return Err(RunError::Interrupted);
            }
            if Instant::now() > end {
                return Err(RunError::Environment(format!(
                    "{active} of {controllers} controllers are active after {} s; see {}",
                    READY.as_secs(),
                    self.config.out.join("logs").display()
                )));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Fails when a process ended that nobody asked to end.
    ///
    /// # Errors
    /// [`RunError::Environment`] with its exit status and the end of its log.
    pub(crate) fn check_alive(&mut self) -> Result<(), RunError> {
        std::iter::once(&mut self.gateway).chain(&mut self.controllers).try_for_each(Process::check_alive)
    }

    /// Number of processes started here.
    pub(crate) fn processes(&self) -> usize {
        1 + self.controllers.len()
    }

    /// Sends a signal to a process by its name (`sg`, `gwc-1`, ...).
    ///
    /// # Errors
    /// No such process, or it does not run.
    pub(crate) fn signal(&mut self, name: &str, signal: Signal) -> Result<(), RunError> {
        let process = self.find(name)?;
        process.expected_end |= matches!(signal, Signal::SIGKILL | Signal::SIGTERM);
        process.signal(signal)?;
        if signal == Signal::SIGKILL {
            process.reap(STOP);
        }
        Ok(())
    }

    /// Starts a process that ended again, as a new incarnation with the same configuration.
    ///
    /// # Errors
    /// No such process, or it cannot be started.
    pub(crate) fn restart(&mut self, name: &str) -> Result<(), RunError> {
        let process = self.find(name)?;
        process.reap(STOP);
        process.spawn()
    }

    /// The PE identifier of a controller by its name.
    pub(crate) fn pe_id(name: &str) -> Option<u32> {
        name.strip_prefix("gwc-")?.parse().ok()
    }

    fn find(&mut self, name: &str) -> Result<&mut Process, RunError> {
        let all = 1 + self.controllers.len();
        std::iter::once(&mut self.gateway)
            .chain(&mut self.controllers)
            .find(|p| p.name == name)
            .ok_or_else(|| RunError::Usage(format!("no process {name}; there are sg and gwc-1 to gwc-{}", all - 1)))
    }

    /// Ends all processes cleanly, controllers first; what does not end in time is killed.
    pub(crate) fn stop(mut self) -> Vec<String> {
        let mut stubborn = Vec::new();
        for process in self.controllers.iter_mut().chain(std::iter::once(&mut self.gateway)) {
            process.expected_end = true;
            // A stopped process takes SIGTERM only once it goes on.
            if process.child.is_some()
                && (process.signal(Signal::SIGCONT).is_err() || process.signal(Signal::SIGTERM).is_err())
            {
                continue;
            }
        }
        for process in self.controllers.iter_mut().chain(std::iter::once(&mut self.gateway)) {
            if !process.reap(STOP) {
                stubborn.push(process.name.clone());
                process.kill();
            }
        }
        stubborn
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for process in self.controllers.iter_mut().chain(std::iter::once(&mut self.gateway)) {
            process.kill();
        }
    }
}

impl Process {
    fn new(name: &str, role: &'static str, address: Ipv4Addr, out: &Path) -> Self {
        Self {
            name: name.into(),
            role,
            config_file: out.join("config").join(format!("{name}.toml")),
            log_file: out.join("logs").join(format!("{name}.log")),
            admin: SocketAddr::new(IpAddr::V4(address), ADMIN_PORT),
            child: None,
            expected_end: false,
        }
    }

    fn spawn(&mut self) -> Result<(), RunError> {
        let failed = |what: &str, e: std::io::Error| RunError::Environment(format!("{}: {what}: {e}", self.name));
        let program = std::env::current_exe().map_err(|e| failed("own program file", e))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log_file)
            .map_err(|e| failed(&format!("cannot write {}", self.log_file.display()), e))?;
        let also = log.try_clone().map_err(|e| failed("log file", e))?;
        let child = Command::new(program)
            .arg(self.role)
            .arg("--config")
            .arg(&self.config_file)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            // A Ctrl-C on the terminal is for sigpool, which then ends its children in order.
            .process_group(0)
            .spawn()
            .map_err(|e| failed("cannot start", e))?;
        self.child = Some(child);
        self.expected_end = false;
        Ok(())
    }

    fn wait_listening(&mut self) -> Result<(), RunError> {
        let end = Instant::now() + READY;
        while admin::state(self.admin).is_err() {
            self.check_alive()?;
            if Instant::now() > end {
                return Err(RunError::Environment(format!(
                    "{} does not answer at {}; see {}",
                    self.name,
                    self.admin,
                    self.log_file.display()
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn check_alive(&mut self) -> Result<(), RunError> {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        match ended {
            Some(status) if !self.expected_end => Err(RunError::Environment(self.obituary(status))),
            Some(_) | None => Ok(()),
        }
    }

    fn obituary(&self, status: ExitStatus) -> String {
        let log = std::fs::read_to_string(&self.log_file).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        let tail: String = last.into_iter().rev().map(|line| format!("\n  {line}")).collect();
        format!("{} ended by itself ({status}); the end of {}:{tail}", self.name, self.log_file.display())
    }

    fn signal(&self, signal: Signal) -> Result<(), RunError> {
        let child = self.child.as_ref().ok_or_else(|| RunError::Usage(format!("{} does not run", self.name)))?;
        // The child is reaped only here, so its pid is still its own.
        kill(Pid::from_raw(child.id().cast_signed()), signal)
            .map_err(|e| RunError::Environment(format!("cannot signal {}: {e}", self.name)))
    }

    /// Waits for the end; true when it ended (or does not run).
    fn reap(&mut self, bound: Duration) -> bool {
        let end = Instant::now() + bound;
        while let Some(child) = &mut self.child {
            match child.try_wait() {
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(2)),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => self.child = None,
            }
        }
        true
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A /24 of loopback addresses in which nobody has the UDP port: random, so that labs run side by side.
fn free_net(controllers: usize) -> Result<[u8; 3], RunError> {
    let mut random = u64::from(std::process::id()) ^ enrp::daemon::clock_anchor().monotonic_ns;
    let mut last = String::new();
    for _ in 0..64 {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let net = [127, 1 + ((random >> 40) % 254) as u8, ((random >> 50) % 256) as u8];
        let hosts = [1, 2].into_iter().chain(11..11 + controllers as u8);
        let taken = hosts.filter_map(|host| {
            let address = Ipv4Addr::new(net[0], net[1], net[2], host);
            UdpSocket::bind((address, UDP_PORT)).err().map(|e| format!("{address}:{UDP_PORT}: {e}"))
        });
        match taken.last() {
            None => return Ok(net),
            Some(error) => last = error,
        }
    }
    Err(RunError::Environment(format!(
        "no free loopback addresses with UDP port {UDP_PORT} ({last}); end what listens on it at 0.0.0.0 (`ss -lunp sport = :{UDP_PORT}`)"
    )))
}

fn gateway_config(config: &LabConfig, address: Ipv4Addr) -> Table {
    let mut udp = Table::from_iter([("addresses".to_owned(), Toml::from(vec![address.to_string()]))]);
    if config.capture {
        udp.insert("capture".into(), config.out.join("capture.pcapng").display().to_string().into());
    }
    let service_indicators: Vec<i64> = config.service_indicators.iter().map(|si| i64::from(*si)).collect();
    let application_server = Table::from_iter([
        ("routing_context".to_owned(), Toml::from(i64::from(POOL_CONTEXT))),
        ("dpc".to_owned(), point_codes(&config.pool_pcs)),
        ("si".to_owned(), Toml::from(service_indicators)),
    ]);
    let network = Table::from_iter([
        ("routing_context".to_owned(), Toml::from(i64::from(NETWORK_CONTEXT))),
        ("point_codes".to_owned(), point_codes(&config.network_pcs)),
    ]);
    let node = Table::from_iter([("records".to_owned(), Toml::from(config.out.join("records").display().to_string()))]);
    Table::from_iter([
        ("daemon".to_owned(), daemon(address)),
        ("udp".to_owned(), Toml::from(udp)),
        ("node".to_owned(), Toml::from(node)),
        ("as".to_owned(), Toml::from(vec![application_server])),
        ("network".to_owned(), Toml::from(network)),
    ])
}

fn controller_config(config: &LabConfig, number: usize, address: Ipv4Addr, gateway: Ipv4Addr) -> Table {
    let udp = Table::from_iter([("addresses".to_owned(), Toml::from(vec![address.to_string()]))]);
    let node = Table::from_iter([
        ("name".to_owned(), Toml::from(format!("gwc-{number}"))),
        ("pe_id".to_owned(), Toml::from(number as i64)),
        ("records".to_owned(), Toml::from(config.out.join("records").display().to_string())),
    ]);
    let server = Table::from_iter([("addresses".to_owned(), Toml::from(vec![gateway.to_string()]))]);
    let hunt = Table::from_iter([("servers".to_owned(), Toml::from(vec![server]))]);
    let asap = Table::from_iter([("hunt".to_owned(), Toml::from(hunt))]);
    Table::from_iter([
        ("daemon".to_owned(), daemon(address)),
        ("udp".to_owned(), Toml::from(udp)),
        ("node".to_owned(), Toml::from(node)),
        ("asap".to_owned(), Toml::from(asap)),
    ])
}

fn daemon(address: Ipv4Addr) -> Toml {
    Toml::from(Table::from_iter([
        ("admin".to_owned(), Toml::from(format!("{address}:{ADMIN_PORT}"))),
        ("die_with_parent".to_owned(), Toml::from(true)),
    ]))
}

fn point_codes(pcs: &[u32]) -> Toml {
    Toml::from(pcs.iter().map(|pc| i64::from(*pc)).collect::<Vec<_>>())
}

/// Puts `extra` over `base`: tables are merged, everything else is replaced. A table given for an array of tables goes over
/// each of its elements, so that a scenario can set a key of the one `[[as]]` there is.
fn merge(base: &mut Table, extra: &Table) {
    for (key, value) in extra {
        match (base.get_mut(key), value) {
            (Some(Toml::Table(inner)), Toml::Table(extra)) => merge(inner, extra),
            (Some(Toml::Array(list)), Toml::Table(extra)) => {
                for element in list.iter_mut().filter_map(Toml::as_table_mut) {
                    merge(element, extra);
                }
            }
            (Some(_) | None, _) => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

fn write_config(path: &Path, mut base: Table, extra: &Table) -> Result<(), RunError> {
    merge(&mut base, extra);
    let text = toml::to_string(&base).map_err(|e| RunError::Usage(format!("{}: {e}", path.display())))?;
    std::fs::write(path, text).map_err(|e| RunError::Environment(format!("cannot write {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_scenario_go_over_the_lab_s_own() {
        let mut base: Table = "a = 1\n[t]\nx = 1\ny = 2\n[[as]]\nz = 1".parse().expect("valid");
        let extra: Table = "b = 2\n[t]\nx = 3\n[as]\nt_r_ms = 9".parse().expect("valid");
        merge(&mut base, &extra);
        let expected: Table = "a = 1\nb = 2\n[t]\nx = 3\ny = 2\n[[as]]\nz = 1\nt_r_ms = 9".parse().expect("valid");
        assert_eq!(base, expected);
    }

    #[test]
    fn two_labs_find_different_addresses() {
        let first = free_net(3).expect("there are free addresses");
        let _held = UdpSocket::bind((Ipv4Addr::new(first[0], first[1], first[2], 1), UDP_PORT)).expect("free");
        assert_ne!(free_net(3).expect("there are free addresses"), first);
    }
}
