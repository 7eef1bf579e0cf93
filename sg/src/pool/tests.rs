//! The mechanism in virtual time, against scripted controllers: no SCTP, no name server.

mod attached;
mod bench;
mod churn;
mod explain;
mod moves;
mod overload;
mod session;
mod takeover;
