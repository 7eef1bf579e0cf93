//! Which path: for data, for what timed out, for acknowledgements; the primary (RFC 9260 sections 6.4 and 6.4.1, RFC 7829
//! sections 3.2, 4.1 and 5). And which of our addresses talks to which of the peer's.

use super::{Assoc, Ctx};
use crate::PathState;
use crate::path::{Path, rank};
use std::net::{IpAddr, SocketAddr};

impl Assoc {
    /// Index of the path for data: the primary while it is active, else an active one, else of those in the best state the one with
    /// the fewest errors. Among equals the one with another address of ours than the primary has, which is more divergent.
    pub(crate) fn data_path(&self) -> usize {
        self.best(|_, _| true).unwrap_or(0)
    }

    /// Another active path than this one, for what timed out or may have been lost there (section 6.4).
    pub(super) fn alternate(&self, path: usize) -> Option<usize> {
        self.best(|i, p| i != path && p.usable())
    }

    fn best(&self, fits: impl Fn(usize, &Path) -> bool) -> Option<usize> {
        let primary_from = self.paths.get(self.primary).map(|p| p.from);
        let key = |(i, p): &(usize, &Path)| {
            let errors = if p.state == PathState::Active { 0 } else { p.errors };
            let other = *i != self.primary;
            (!p.confirmed, rank(p.state), errors, other, other && Some(p.from) == primary_from, *i)
        };
        self.paths.iter().enumerate().filter(|(i, p)| fits(*i, p)).min_by_key(key).map(|(i, _)| i)
    }

    /// Where an acknowledgement goes: back to where the DATA came from, as long as nothing is known to be better (section 6.4).
    pub(super) fn sack_way(&self) -> Option<(IpAddr, SocketAddr)> {
        let best = self.paths.get(self.data_path())?;
        let came = self.data_from.and_then(|(i, to)| self.paths.get(i).map(|p| (p, to)));
        Some(match came {
            Some((path, to)) if path.confirmed && rank(path.state) <= rank(best.state) => (to, path.to),
            Some(_) | None => (best.from, best.to),
        })
    }

    /// A second way for an acknowledgement of duplicates: the first one may be broken, which nobody tells us (section 6.4).
    pub(super) fn other_way(&self, (_, first): (IpAddr, SocketAddr)) -> Option<(IpAddr, SocketAddr)> {
        let other = self.best(|_, p| p.to != first && p.usable())?;
        Some((self.paths[other].from, self.paths[other].to))
    }

    /// The user chooses the primary path (section 11.1, SET PRIMARY). False: no such address, or it did not prove itself yet.
    pub(crate) fn set_primary(&mut self, address: SocketAddr) -> bool {
        let found = self.path_of(address).filter(|i| self.paths[*i].confirmed);
        self.primary = found.unwrap_or(self.primary);
        found.is_some()
    }

    /// RFC 7829 section 5, with Primary.Switchover.Max.Retrans = PotentiallyFailed.Max.Retrans.
    pub(super) fn switch_primary(&mut self, ctx: &Ctx<'_>, failed: usize) {
        let now_used = self.data_path();
        if ctx.config.primary_switchover && failed == self.primary && self.paths[now_used].usable() {
            self.primary = now_used;
        }
    }
}

/// Our address to talk to that one from: of the same family, loopback to loopback, and of these the one that has the longest prefix
/// in common with it, which is most likely in the same network. Among equals the one that the fewest of `paths` use.
pub(crate) fn local_for(local: &[IpAddr], paths: &[Path], peer: IpAddr) -> Option<IpAddr> {
    let key = |own: &&IpAddr| {
        let used = paths.iter().filter(|p| p.from == **own).count();
        (own.is_loopback() == peer.is_loopback(), common_prefix(**own, peer), std::cmp::Reverse(used))
    };
    let same_family = local.iter().filter(|own| own.is_ipv4() == peer.is_ipv4());
    // The first among equals.
    same_family.rev().max_by_key(key).copied()
}

/// Leading bits that two addresses of one family have in common.
fn common_prefix(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use std::time::Instant;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn own_address_by_family_scope_and_prefix() {
        let own = ["10.1.0.5", "10.2.0.5", "127.0.0.1", "2001:db8::5", "::1"].map(ip);
        let pick = |peer: &str| local_for(&own, &[], ip(peer));
        assert_eq!(pick("10.1.0.9"), Some(ip("10.1.0.5")));
        assert_eq!(pick("10.2.7.9"), Some(ip("10.2.0.5")));
        assert_eq!(pick("127.9.9.9"), Some(ip("127.0.0.1")));
        assert_eq!(pick("2001:db8::77"), Some(ip("2001:db8::5")));
        assert_eq!(pick("::1"), Some(ip("::1")));
        assert_eq!(local_for(&own[..2], &[], ip("2001:db8::1")), None);
        // Nothing better than another scope.
        assert_eq!(local_for(&own[2..3], &[], ip("10.1.0.9")), Some(ip("127.0.0.1")));
    }

    #[test]
    fn equals_are_spread() {
        let own = ["10.1.0.5", "10.2.0.5"].map(ip);
        let mut paths = Vec::new();
        for last in 1..=4 {
            let to = SocketAddr::new(IpAddr::from([192, 168, last, 1]), 9899);
            let from = local_for(&own, &paths, to.ip()).unwrap();
            paths.push(Path::new(to, from, true, &Config::default(), Instant::now()));
        }
        assert_eq!(paths.iter().map(|p| p.from).collect::<Vec<_>>(), [own[0], own[1], own[0], own[1]]);
    }
}
