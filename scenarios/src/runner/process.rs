//! One daemon as a child process: this program, executed again.

use super::RunError;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much of the end of a log is shown in an error, bytes.
const LOG_TAIL_BYTES: u64 = 2_000;

/// A child process.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
    /// Its id is its own: it was not waited for yet. Locked while somebody signals it.
    is_ours: Arc<Mutex<bool>>,
}

/// A starved process stands still and runs in turn for so long.
const STARVED: [Duration; 2] = [Duration::from_millis(90), Duration::from_millis(10)];

impl Process {
    /// Starts `sigpool <role> --config <config>` with its output in `log`, in a process group of its own, so that Ctrl-C reaches
    /// only us. Must be called on the main thread: the child ends with the thread that started it (PR_SET_PDEATHSIG).
    pub(super) fn start(name: &str, role: &str, config: &Path, log: &Path) -> Result<Self, RunError> {
        let cannot = |what: &Path, error: std::io::Error| {
            RunError::Environment(format!("{name}: cannot use {}: {error}", what.display()))
        };
        let out = File::create(log).map_err(|error| cannot(log, error))?;
        let err = out.try_clone().map_err(|error| cannot(log, error))?;
        // The link also works when the file was replaced by a newer build meanwhile.
        let program = Path::new("/proc/self/exe");
        let child = Command::new(program)
            .arg(role)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(|error| cannot(program, error))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), ended: None, is_ours: Arc::new(Mutex::new(true)) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            let mut is_ours = self.is_ours.lock().unwrap_or_else(PoisonError::into_inner);
            self.ended = self.child.try_wait().ok().flatten();
            *is_ours = self.ended.is_none();
        }
        self.ended
    }

    /// Sends a signal, unless it has ended (its id may be another's by then).
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // It can end in this moment; then there is nobody to tell, and the id is ours until we wait for it.
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
        }
    }

    /// Lets it run a tenth of the time, for so long, in a thread of its own.
    pub(super) fn starve(&self, duration: Duration) {
        let (pid, is_ours) = (Pid::from_raw(self.child.id().cast_signed()), self.is_ours.clone());
        let until = Instant::now() + duration;
        std::thread::spawn(move || {
            let signal = |signal| {
                let is_ours = is_ours.lock().unwrap_or_else(PoisonError::into_inner);
                *is_ours && kill(pid, signal).is_ok()
            };
            while Instant::now() < until && signal(Signal::SIGSTOP) {
                std::thread::sleep(STARVED[0]);
                if !signal(Signal::SIGCONT) {
                    break;
                }
                std::thread::sleep(STARVED[1]);
            }
        });
    }

    /// Waits for its end until `deadline`; true when it came.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> bool {
        while self.ended().is_none() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// What to tell when it ended by itself: how, and the end of its log.
    pub(super) fn obituary(&mut self) -> Option<RunError> {
        let status = self.ended()?;
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        let text = format!("{} {how}; its log {} ends with:\n{}", self.name, self.log.display(), tail(&self.log));
        // Its code says whether the settings or the machine is to blame.
        Some(if status.code() == Some(2) { RunError::Usage(text) } else { RunError::Environment(text) })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        if self.ended.is_none() {
            // Nothing survives SIGKILL; this only collects it.
            let mut is_ours = self.is_ours.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = self.child.wait();
            *is_ours = false;
        }
    }
}

fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("({error})"))
}
