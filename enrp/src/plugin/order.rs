//! From ranks to an answer.

use asap::wire::PeId;

/// Elements with the ranks that a plug-in gave them: the lower, the better.
pub(super) type Ranks = Vec<(u32, PeId)>;

/// The elements a plug-in wants used, best first.
#[derive(Debug)]
pub(crate) struct Order {
    /// By rank, equals by identifier.
    ranked: Ranks,
    /// So many share the best rank.
    best: usize,
}

impl Order {
    /// Sorts elements by their ranks.
    pub(super) fn new(mut ranked: Ranks) -> Self {
        ranked.sort_unstable();
        let best = ranked.first().map_or(0, |&(best, _)| ranked.partition_point(|&(rank, _)| rank == best));
        Self { ranked, best }
    }

    /// Whether the element is one of the best, among which the pool's policy selects.
    pub(crate) fn is_best(&self, pe: PeId) -> bool {
        self.ranked[..self.best].binary_search_by_key(&pe, |&(_, pe)| pe).is_ok()
    }

    /// Up to `items` elements with their priorities, the larger the better, equal for equal ranks: `first`, what the policy
    /// selected among the best, then the others.
    pub(crate) fn listed(&self, first: &[PeId], items: usize) -> Vec<(PeId, u32)> {
        let best = first.iter().map(|&pe| (0, pe));
        let others = &self.ranked[self.best..];
        let mut class = 0;
        let others = others.iter().enumerate().map(|(at, &(rank, pe))| {
            class += u32::from(at == 0 || others[at - 1].0 != rank);
            (class, pe)
        });
        let listed: Vec<(u32, PeId)> = best.chain(others).take(items).collect();
        let lowest = listed.last().map_or(0, |&(class, _)| class);
        listed.into_iter().map(|(class, pe)| (pe, lowest - class + 1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ranks_have_equal_priorities_and_the_best_the_largest() {
        let order = Order::new([(7, 4), (3, 9), (7, 2), (3, 1), (8, 5)].map(|(rank, pe)| (rank, PeId(pe))).to_vec());
        let best: Vec<u32> = (0..10).filter(|&pe| order.is_best(PeId(pe))).collect();
        assert_eq!(best, [1, 9]);
        let listed = |first: &[u32], items| {
            let first: Vec<PeId> = first.iter().copied().map(PeId).collect();
            order.listed(&first, items).into_iter().map(|(pe, priority)| (pe.0, priority)).collect::<Vec<_>>()
        };
        assert_eq!(listed(&[9, 1], 10), [(9, 3), (1, 3), (2, 2), (4, 2), (5, 1)]);
        assert_eq!(listed(&[9, 1], 3), [(9, 2), (1, 2), (2, 1)]);
        assert_eq!(listed(&[9], 1), [(9, 1)]);
        assert_eq!(listed(&[], 0), []);
        let none = Order::new(Vec::new());
        assert!(!none.is_best(PeId(0)) && none.listed(&[], 5).is_empty());
    }
}
