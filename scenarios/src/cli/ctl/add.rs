//! `sigpool ctl add` and `ctl remove`: what a running gateway serves besides its configuration.

use crate::cli::point_code::point_code;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json as object};
use std::net::IpAddr;

/// What to add.
#[derive(Debug, Subcommand)]
pub(super) enum Addition {
    /// An application server and its pool.
    As(NewAs),
    /// A routing key for an application server that is there. No message may fit it and another key.
    Key(Key),
    /// An address from which an ordinary ASP, or a peer of the network side, may come.
    Peer(NewPeer),
}

/// What to take away again.
#[derive(Debug, Subcommand)]
pub(super) enum Removal {
    /// A routing key that was added, given as it was.
    Key(Key),
}

/// A routing key.
#[derive(Debug, Args)]
pub(super) struct Key {
    /// Routing Context of its application server.
    #[arg(long, value_name = "NUMBER")]
    routing_context: u32,
    /// Destination point codes: 4715, 0x126b, 2-77-3 (ITU), ansi:251-4-2, china:1-2-3.
    #[arg(long, value_name = "PC,...", value_delimiter = ',', value_parser = point_code, required = true)]
    dpc: Vec<u32>,
    /// Service indicators; 5 is ISUP; left out: any.
    #[arg(long, value_name = "SI,...", value_delimiter = ',')]
    si: Vec<u8>,
    /// Originating point codes; left out: any.
    #[arg(long, value_name = "PC,...", value_delimiter = ',', value_parser = point_code)]
    opc: Vec<u32>,
}

/// An application server; what is not said is as `sigpool sg --print-config` has it.
#[derive(Debug, Args)]
pub(super) struct NewAs {
    /// Pool handle.
    #[arg(long, value_name = "HANDLE")]
    pool: String,
    #[command(flatten)]
    key: Key,
    /// Network indicators; left out: any.
    #[arg(long, value_name = "NI,...", value_delimiter = ',')]
    ni: Vec<u8>,
    /// Network Appearance.
    #[arg(long, value_name = "NUMBER")]
    network_appearance: Option<u32>,
    /// Traffic mode that its ASPs ask for.
    #[arg(long, value_name = "MODE", default_value = "loadshare")]
    traffic_mode: Mode,
    /// Addresses of its ordinary ASPs.
    #[arg(long, value_name = "ADDRESS,...", value_delimiter = ',')]
    asps: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Loadshare,
    Override,
}

/// An address.
#[derive(Debug, Args)]
pub(super) struct NewPeer {
    /// Where it comes from.
    address: IpAddr,
    /// It is an ordinary ASP of this application server; left out: a peer of the network side.
    #[arg(long, value_name = "NUMBER")]
    routing_context: Option<u32>,
}

impl Addition {
    /// The admin command and what it is given.
    pub(super) fn command(&self) -> (&'static str, Value) {
        match self {
            Self::As(server) => ("add-as", server.body()),
            Self::Key(key) => ("add-key", key.body()),
            Self::Peer(NewPeer { address, routing_context }) => {
                ("add-peer", object!({ "address": address, "routing_context": routing_context }))
            }
        }
    }
}

impl Removal {
    /// The admin command and what it is given.
    pub(super) fn command(&self) -> (&'static str, Value) {
        match self {
            Self::Key(key) => ("remove-key", key.body()),
        }
    }
}

impl Key {
    fn body(&self) -> Value {
        let Self { routing_context, dpc, si, opc } = self;
        object!({ "routing_context": routing_context, "dpc": dpc, "si": si, "opc": opc })
    }
}

impl NewAs {
    fn body(&self) -> Value {
        let Self { pool, key, ni, network_appearance, traffic_mode, asps } = self;
        let Key { routing_context, dpc, si, opc } = key;
        let traffic_mode = match traffic_mode {
            Mode::Loadshare => "loadshare",
            Mode::Override => "override",
        };
        object!({
            "pool": pool, "routing_context": routing_context, "dpc": dpc, "si": si, "opc": opc, "ni": ni,
            "network_appearance": network_appearance, "traffic_mode": traffic_mode, "asps": asps,
        })
    }
}
