//! What the driver counts. Written by its thread only, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};

/// One counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    pub(super) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }
}

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident,)+) => {
        /// Counters of one driver, since it was bound. Names are the metric names without prefix.
        #[derive(Debug, Default)]
        pub struct DriverCounters {
            $($(#[doc = $help])+ pub $name: Counter,)+
        }

        impl DriverCounters {
            /// Every counter: name, help, value.
            #[must_use]
            pub fn snapshot(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($help),+).trim_ascii(), self.$name.get()),)+]
            }
        }
    };
}

counters! {
    /// Datagrams received.
    datagrams_in,
    /// Bytes of UDP payload received.
    bytes_in,
    /// Raw IP packets without a readable IP header.
    malformed_ip,
    /// System calls that brought datagrams.
    receive_calls,
    /// Receive calls that failed with something else than a pending ICMP error.
    receive_errors,
    /// Datagrams handed to the kernel.
    datagrams_out,
    /// Bytes of UDP payload handed to the kernel.
    bytes_out,
    /// System calls that took datagrams.
    send_calls,
    /// Datagrams sent as segments of a larger send (GSO).
    segments_out,
    /// Sends that the kernel postponed because the send buffer was full.
    send_blocked,
    /// Datagrams dropped because the send queue was full too.
    send_queue_dropped,
    /// Datagrams the kernel refused to send.
    send_errors,
    /// Datagrams with a source that is not ours or a destination that cannot be reached from it.
    unroutable,
    /// ICMP unreachable errors handed to the node.
    icmp_unreachable,
    /// ICMP "fragmentation needed" and "packet too big" handed to the node.
    icmp_too_big,
    /// Datagrams too long for our own device.
    too_big,
    /// Other entries of the error queue.
    icmp_other,
    /// Datagrams given to the capture.
    captured,
    /// Datagrams missing in the capture because its queue was full or its file cannot be written.
    capture_dropped,
}

impl DriverCounters {
    pub(super) fn count_out(&self, datagrams: usize, bytes: usize) {
        self.datagrams_out.add(datagrams);
        self.bytes_out.add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_names_what_was_counted() {
        let counters = DriverCounters::default();
        counters.datagrams_in.add(3);
        counters.capture_dropped.add(1);
        let all = counters.snapshot();
        assert!(all.contains(&("datagrams_in", "Datagrams received.", 3)));
        assert_eq!(all.iter().map(|c| c.2).sum::<u64>(), 4);
    }
}
