//! The command line of `sigpool resolve-bench`.

use super::client::Settings;
use super::questions::Resolutions;
use super::{PATIENCE, ResolveOptions};
use crate::population;
use crate::runner::RunError;
use asap::wire::{ASAP_PORT, HINT_BYTES_MAX, PoolHandle};
use bytes::Bytes;
use sctp::Transport;
use std::net::IpAddr;
use std::time::Duration;

/// RFC 6951 section 5.1.
const UDP_PORT: u16 = 9_899;
/// Outstanding questions of an open loop, unless given.
const OPEN_LOOP_OUTSTANDING: usize = 10_000;
/// Longest handle of a resolution: as the name servers' `handle_bytes_max` has it.
const HANDLE_BYTES_MAX: usize = 255;

/// See [`ResolveOptions`].
#[derive(Debug, Clone, clap::Args)]
pub struct ResolveArgs {
    /// Address of the name server; several times when it is multi-homed.
    #[arg(long, value_name = "IP", required = true)]
    server: Vec<IpAddr>,
    /// SCTP port of the name server.
    #[arg(long, value_name = "N", default_value_t = ASAP_PORT)]
    port: u16,
    /// UDP encapsulation port of the name server (RFC 6951).
    #[arg(long, value_name = "N", default_value_t = UDP_PORT)]
    udp_port: u16,
    /// Who carries SCTP: the name server's kernel takes `udp` only when it is told to (`sysctl net.sctp.udp_port=9899`).
    #[arg(long, value_name = "WHO", default_value = "udp", value_parser = crate::cli::transports())]
    transport: Transport,
    /// Own address [default: the one from which the server is reached].
    #[arg(long, value_name = "IP")]
    local: Option<IpAddr>,
    /// Pool handle to resolve, any number of times; instead of --pools.
    #[arg(long, value_name = "HANDLE", conflicts_with = "pools")]
    handle: Vec<String>,
    /// Resolve the pools of a population of this size, one after the other.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pools: u32,
    /// Handles of a population are this and a number.
    #[arg(long, value_name = "TEXT", default_value = "pop-")]
    prefix: String,
    /// Elements to ask for [default: the server decides, 16 unless it is set otherwise].
    #[arg(long, value_name = "N")]
    items: Option<u32>,
    /// Hint for the pools' selection plug-in, up to 255 bytes.
    #[arg(long, value_name = "TEXT")]
    hint: Option<String>,
    /// Ask over TCP instead of SCTP; --port is then the TCP port, and --udp-port, --transport and --local mean nothing.
    #[arg(long, conflicts_with_all = ["udp_port", "transport", "local"])]
    tcp: bool,
    /// Questions without an answer, at most [default: 1; with --rate 10,000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    outstanding: Option<u32>,
    /// Open loop: so many a second, each with its time, from which its latency counts [default: as fast as the answers come].
    #[arg(long, value_name = "PER_S")]
    rate: Option<f64>,
    /// End after so many answers; instead of --seconds.
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    count: Option<u64>,
    /// Measure for so long.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    seconds: f64,
    /// Ask for so long before measuring.
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    warm_up: f64,
    /// Exit status 1 when the 99th percentile is longer, in microseconds.
    #[arg(long, value_name = "US")]
    p99_max_us: Option<f64>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl ResolveArgs {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// Usage: which argument, and what is expected.
    pub fn options(self) -> Result<ResolveOptions, RunError> {
        let usage = |what: &str| Err(RunError::Usage(what.to_owned()));
        let handles: Vec<PoolHandle> = if self.handle.is_empty() {
            (0..self.pools as usize).map(|number| population::handle(&self.prefix, number)).collect()
        } else {
            self.handle.iter().map(|handle| PoolHandle::from(handle.as_str())).collect()
        };
        if handles.iter().any(|handle| !(1..=HANDLE_BYTES_MAX).contains(&handle.as_bytes().len())) {
            return usage("--handle, --prefix: a handle has 1 to 255 bytes");
        }
        if self.hint.as_ref().is_some_and(|hint| hint.len() > HINT_BYTES_MAX) {
            return usage("--hint: at most 255 bytes");
        }
        if self.rate.is_some_and(|rate| !(0.001..=1_000_000.0).contains(&rate)) {
            return usage("--rate: expected 0.001 to 1,000,000 a second");
        }
        let seconds = |value: f64, name: &str| {
            let holds = (0.0..=86_400.0).contains(&value);
            let error = || RunError::Usage(format!("{name} {value}: expected 0 to 86,400 s"));
            if holds { Ok(Duration::from_secs_f64(value)) } else { Err(error()) }
        };
        let time = seconds(self.seconds, "--seconds")?;
        let warm_up = seconds(self.warm_up, "--warm-up")?;
        let outstanding = match (self.outstanding, self.rate) {
            (Some(outstanding), _) => outstanding as usize,
            (None, Some(_)) => OPEN_LOOP_OUTSTANDING,
            (None, None) => 1,
        };
        Ok(ResolveOptions {
            server: self.server,
            port: self.port,
            udp_port: self.udp_port,
            tcp: self.tcp,
            transport: self.transport,
            local: self.local,
            questions: Resolutions::new(handles, self.items).with_hint(self.hint.map(Bytes::from)),
            settings: Settings {
                outstanding,
                rate_per_s: self.rate,
                count: self.count,
                time: self.count.is_none().then_some(time),
                warm_up,
                patience: PATIENCE,
            },
            json: self.json,
            p99_max_us: self.p99_max_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: ResolveArgs,
    }

    fn options(words: &str) -> Result<ResolveOptions, String> {
        let words = ["x", "--server", "127.0.0.1"].into_iter().chain(words.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.args.options().map_err(|error| error.to_string())
    }

    #[test]
    fn closed_and_open_loop() {
        let closed = options("").unwrap();
        assert_eq!((closed.questions.len(), closed.settings.outstanding, closed.settings.rate_per_s), (500, 1, None));
        assert_eq!(closed.settings.time, Some(Duration::from_secs(5)));
        let open = options("--rate 100 --handle a --handle b --count 7").unwrap();
        assert_eq!((open.questions.len(), open.settings.outstanding), (2, OPEN_LOOP_OUTSTANDING));
        assert_eq!((open.settings.count, open.settings.time), (Some(7), None));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (words, named) in [
            ("--rate 0", "--rate"),
            ("--rate nan", "--rate"),
            ("--seconds=-1", "--seconds"),
            ("--seconds nan", "--seconds"),
            ("--warm-up 1e9", "--warm-up"),
            ("--outstanding 0", "--outstanding"),
            ("--pools 0", "--pools"),
            ("--count 3 --seconds 3", "--count"),
            ("--tcp --transport raw", "--tcp"),
        ] {
            let error = options(words).unwrap_err();
            assert!(error.contains(named), "{words}: {error}");
        }
        let long = |bytes: usize| options(&format!("--hint {}", "h".repeat(bytes)));
        assert!(long(255).is_ok() && long(256).unwrap_err().contains("--hint"));
    }
}
