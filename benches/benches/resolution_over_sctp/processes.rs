//! Name server, population and echo as processes, on loopback addresses of their own.

use scenarios::population::node::State;
use scenarios::runner::RunError;
use scenarios::runner::address::ADMIN_PORT;
use scenarios::runner::admin;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// ASAP, RFC 5352 section 8.2.
pub(crate) const SCTP_PORT: u16 = 3_863;
/// RFC 6951 section 5.1.
pub(crate) const UDP_PORT: u16 = 9_899;
/// The load beside the resolutions.
pub(crate) const REREGISTRATIONS_PER_S: u32 = 2_000;
/// How long all elements together may take to register.
const READY_PATIENCE: Duration = Duration::from_secs(120);

/// All of them; they end with this.
pub(crate) struct Processes {
    folder: PathBuf,
    children: Vec<Child>,
    ready: String,
}

fn environment(error: impl Display) -> RunError {
    RunError::Environment(error.to_string())
}

/// Depends on the process id, so that benches side by side do not meet.
fn address(host: u8) -> IpAddr {
    let id = std::process::id();
    Ipv4Addr::new(127, 1 + (id % 250) as u8, (id / 250 % 250) as u8, host).into()
}

impl Processes {
    /// Starts all, and waits until every element is registered.
    pub(crate) fn start(pools: usize, pes_per_pool: usize) -> Result<Self, RunError> {
        let folder = std::env::temp_dir().join(format!("sigpool-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(environment)?;
        let mut processes = Self { folder, children: Vec::new(), ready: String::new() };
        let name_server = address(1);
        processes.daemon("enrp", name_server, &format!("[server]\npools_max = {pools}\n"))?;
        processes.wait(name_server)?;
        let population = format!(
            "[population]\npools = {pools}\npes_per_pool = {pes_per_pool}\npolicy = \"least-used\"\n\
             [asap.hunt]\nservers = [{{ addresses = [\"{name_server}\"] }}]\n"
        );
        let begin = Instant::now();
        processes.daemon("population", address(2), &population)?;
        processes.wait(address(2))?;
        let echo = [address(3).to_string(), std::process::id().to_string()];
        processes.spawn("echo", &echo, &processes.folder.join("echo.log"))?;
        let elements = pools * pes_per_pool;
        loop {
            let state = processes.population()?;
            if state.registered == elements {
                break;
            }
            if begin.elapsed() > READY_PATIENCE || state.refused > 0 {
                return Err(environment(format!("the elements do not register: {state:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let took = begin.elapsed().as_secs_f64();
        let memory: Vec<String> = processes.children.iter().map(|child| resident_mib(child.id())).collect();
        processes.ready =
            format!("registered in {took:.1} s; memory: name server {} MiB, population {} MiB", memory[0], memory[1]);
        Ok(processes)
    }

    /// What there is to say about the start.
    pub(crate) fn ready(&self) -> &str {
        &self.ready
    }

    pub(crate) fn name_server(&self) -> IpAddr {
        address(1)
    }

    pub(crate) fn echo(&self) -> IpAddr {
        address(3)
    }

    /// Where the questions come from.
    pub(crate) fn user(&self) -> IpAddr {
        address(4)
    }

    pub(crate) fn population(&self) -> Result<State, RunError> {
        admin::population_state(address(2)).map_err(environment)
    }

    /// From now on so many re-registrations a second.
    pub(crate) fn register_again(&self, per_s: u32) -> Result<(), RunError> {
        admin::post(address(2), "/command/re-registrations", &per_s.to_string()).map_err(environment)
    }

    fn daemon(&mut self, role: &str, address: IpAddr, settings: &str) -> Result<(), RunError> {
        let file = self.folder.join(format!("{role}.toml"));
        let parent = std::process::id();
        let text = format!(
            "[daemon]\nadmin = \"{address}:{ADMIN_PORT}\"\nparent_pid = {parent}\n[udp]\naddresses = [\"{address}\"]\n{settings}"
        );
        std::fs::write(&file, text).map_err(environment)?;
        let arguments = ["--log".to_owned(), "warn".to_owned(), "--config".to_owned(), file.display().to_string()];
        self.spawn(role, &arguments, &self.folder.join(format!("{role}.log")))
    }

    fn spawn(&mut self, role: &str, arguments: &[String], log: &Path) -> Result<(), RunError> {
        let log = std::fs::File::create(log).map_err(environment)?;
        let child = Command::new("/proc/self/exe")
            .arg(role)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(environment)?;
        self.children.push(child);
        Ok(())
    }

    fn wait(&mut self, address: IpAddr) -> Result<(), RunError> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = admin::answers(address) {
            let ended = self.children.iter_mut().any(|child| child.try_wait().ok().flatten().is_some());
            if ended || Instant::now() > deadline {
                let folder = self.folder.display();
                return Err(environment(format!("a process does not come up: {error}; see {folder}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Resident memory, from /proc.
fn resident_mib(id: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or_else(|| "?".to_owned(), |kib| (kib / 1_024).to_string())
}
