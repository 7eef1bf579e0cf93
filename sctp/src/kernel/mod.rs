//! What is asked of the kernel's SCTP, and what it says (RFC 6458). Pure; the sockets are in `driver::kernel`.

/// What the kernel's SCTP says.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Notice {
    /// A socket failed for good; the system's message.
    Failed(String),
}

/// What the kernel's SCTP is asked to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// Takes associations on this SCTP port.
    Listen(u16),
}
