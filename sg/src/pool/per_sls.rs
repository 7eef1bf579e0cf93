//! Messages by Signalling Link Selection: whether the load is spread as it should be.

use serde::Serialize;

/// An SLS has at most 8 bits (ANSI, China; ITU has 4).
const SLS_COUNT: usize = 256;

/// Of one SLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    offered: u64,
    released: u64,
}

/// Of all. The whole octet counts, also where a network uses fewer bits: what does not belong there is seen.
#[derive(Debug)]
pub(super) struct PerSls(Box<[Counted; SLS_COUNT]>);

/// One SLS in the admin state.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct SlsView {
    pub(crate) sls: u8,
    /// Messages of the network.
    pub(crate) offered: u64,
    /// Output given to the network side.
    pub(crate) released: u64,
}

impl Default for PerSls {
    fn default() -> Self {
        Self(Box::new([Counted::default(); SLS_COUNT]))
    }
}

impl PerSls {
    pub(super) fn offered(&mut self, sls: u8) {
        self.0[usize::from(sls)].offered += 1;
    }

    pub(super) fn released(&mut self, sls: u8) {
        self.0[usize::from(sls)].released += 1;
    }

    /// Those that were ever used.
    pub(super) fn view(&self) -> Vec<SlsView> {
        let used = (0..=u8::MAX).zip(self.0.iter()).filter(|(_, counted)| **counted != Counted::default());
        used.map(|(sls, &Counted { offered, released })| SlsView { sls, offered, released }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_used_is_shown() {
        let mut counted = PerSls::default();
        counted.offered(0);
        counted.offered(255);
        counted.released(255);
        let seen = counted.view();
        let expected = [SlsView { sls: 0, offered: 1, released: 0 }, SlsView { sls: 255, offered: 1, released: 1 }];
        assert_eq!(seen, expected);
    }
}
