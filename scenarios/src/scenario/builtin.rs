//! The scenarios that come with the command.

/// A scenario inside the binary.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// Its name on the command line.
    pub name: &'static str,
    /// The TOML text.
    pub text: &'static str,
}

/// All of them, in the order of `sigpool list`.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn { name: "failover", text: include_str!("../../scenarios/failover.toml") },
    BuiltIn { name: "failover-silent", text: include_str!("../../scenarios/failover-silent.toml") },
    BuiltIn { name: "hang", text: include_str!("../../scenarios/hang.toml") },
    BuiltIn { name: "zombie", text: include_str!("../../scenarios/zombie.toml") },
    BuiltIn { name: "zombie-long", text: include_str!("../../scenarios/zombie-long.toml") },
    BuiltIn { name: "blackhole", text: include_str!("../../scenarios/blackhole.toml") },
    BuiltIn { name: "half-hung", text: include_str!("../../scenarios/half-hung.toml") },
    BuiltIn { name: "double-fault", text: include_str!("../../scenarios/double-fault.toml") },
    BuiltIn { name: "flapping", text: include_str!("../../scenarios/flapping.toml") },
    BuiltIn { name: "queue-overflow", text: include_str!("../../scenarios/queue-overflow.toml") },
    BuiltIn { name: "long-calls", text: include_str!("../../scenarios/long-calls.toml") },
    BuiltIn { name: "loss", text: include_str!("../../scenarios/loss.toml") },
    BuiltIn { name: "all-away", text: include_str!("../../scenarios/all-away.toml") },
    BuiltIn { name: "rate-12000", text: include_str!("../../scenarios/rate-12000.toml") },
    BuiltIn { name: "rolling", text: include_str!("../../scenarios/rolling.toml") },
    BuiltIn { name: "scale-out", text: include_str!("../../scenarios/scale-out.toml") },
    BuiltIn { name: "drain", text: include_str!("../../scenarios/drain.toml") },
    BuiltIn { name: "drain-command", text: include_str!("../../scenarios/drain-command.toml") },
    BuiltIn { name: "legacy-asp", text: include_str!("../../scenarios/legacy-asp.toml") },
    BuiltIn { name: "transit", text: include_str!("../../scenarios/transit.toml") },
    BuiltIn { name: "stand-alone-enrp", text: include_str!("../../scenarios/stand-alone-enrp.toml") },
    BuiltIn { name: "forty", text: include_str!("../../scenarios/forty.toml") },
    BuiltIn { name: "latencies", text: include_str!("../../scenarios/latencies.toml") },
    BuiltIn { name: "gateway-death", text: include_str!("../../scenarios/gateway-death.toml") },
    BuiltIn { name: "gateway-follower-death", text: include_str!("../../scenarios/gateway-follower-death.toml") },
    BuiltIn { name: "gateway-hang", text: include_str!("../../scenarios/gateway-hang.toml") },
    BuiltIn { name: "path-cut", text: include_str!("../../scenarios/path-cut.toml") },
    BuiltIn { name: "overload", text: include_str!("../../scenarios/overload.toml") },
    BuiltIn { name: "pools-500", text: include_str!("../../scenarios/pools-500.toml") },
    BuiltIn { name: "takeover", text: include_str!("../../scenarios/takeover.toml") },
    BuiltIn { name: "split", text: include_str!("../../scenarios/split.toml") },
    BuiltIn { name: "mass-failure", text: include_str!("../../scenarios/mass-failure.toml") },
    BuiltIn { name: "namespaces", text: include_str!("../../scenarios/namespaces.toml") },
    BuiltIn { name: "policies", text: include_str!("../../scenarios/policies.toml") },
    BuiltIn { name: "plug-in", text: include_str!("../../scenarios/plug-in.toml") },
];
