//! The numbers of a group's messages, in one direction: one count for each SLS, because on the network's side what has one SLS is
//! in order, and no more.

use m3ua_lite::session::CorrelationId;

/// The last number of each SLS that was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Numbers(Vec<(u8, CorrelationId)>);

impl Numbers {
    /// The last one of this SLS.
    pub(crate) fn last(&self, sls: u8) -> CorrelationId {
        self.0.iter().find(|(known, _)| *known == sls).map_or(CorrelationId::NONE, |(_, id)| *id)
    }

    /// This is the last one now.
    pub(crate) fn set(&mut self, sls: u8, id: CorrelationId) {
        match self.0.iter_mut().find(|(known, _)| *known == sls) {
            Some((_, last)) => *last = id,
            None => self.0.push((sls, id)),
        }
    }

    /// The next one, counted from `start`.
    pub(crate) fn next(&mut self, sls: u8, start: CorrelationId) -> CorrelationId {
        let last = Some(self.last(sls)).filter(|last| *last != CorrelationId::NONE).unwrap_or(start);
        self.set(sls, last.next());
        last.next()
    }

    /// All of them; 256 at most.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (u8, CorrelationId)> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sls_counts_on_its_own() {
        let (mut numbers, start) = (Numbers::default(), CorrelationId::start(1, 1));
        assert_eq!(numbers.last(3), CorrelationId::NONE);
        assert_eq!(numbers.next(3, start), start.next());
        assert_eq!(numbers.next(3, start), start.next().next());
        assert_eq!(numbers.next(4, start), start.next());
        numbers.set(4, CorrelationId(9));
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [(3, start.next().next()), (4, CorrelationId(9))]);
    }
}
