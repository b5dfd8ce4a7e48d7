//! How large requests may be: as set, and less where the receiver found some too large.
//!
//! What is too large is halved at once. What follows for later batches is known when each event has its answer: a
//! request was too large by itself, or for one event in it that is too large alone, which says nothing of others.
//! Pure. Must not know: what an answer means.

use super::progress::Chunk;
use crate::finding::Finding;

/// Smallest request to a receiver that refuses parts of requests without saying which.
const UNCLEAR_BYTES_MIN: usize = 16 * 1024;
/// After so many batches that filled their requests larger ones are tried again: the receiver may be set otherwise
/// by now, and a request in vain among so many costs next to nothing.
const CALM_BATCHES: u32 = 64;

#[derive(Debug)]
pub(super) struct Size {
    /// Most bytes of a request, as set.
    max: usize,
    /// Less since the receiver found one too large.
    learnt: Option<usize>,
    /// What was learnt when it was told last.
    told: Option<usize>,
    /// Batches since then that filled their requests.
    calm: u32,
    /// Less still for this batch, since a connection ended in the middle of one.
    narrow: Option<usize>,
    /// Less, for some batches, since it was refused a part without being told which: the fewer events are in a
    /// request, the fewer of them share that.
    unclear: Option<usize>,
    is_unclear: bool,
    /// Requests of this batch that were too large by themselves, as far as is known.
    large: Vec<Large>,
    /// Bytes of the largest one that was not.
    taken: usize,
}

/// A request that was too large.
#[derive(Debug)]
struct Large {
    first: u32,
    last: u32,
    bytes: usize,
    peer: String,
    words: String,
}

impl Size {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            learnt: None,
            told: None,
            calm: 0,
            narrow: None,
            unclear: None,
            is_unclear: false,
            large: Vec::new(),
            taken: 0,
        }
    }

    /// Most bytes of a request now.
    pub(super) fn limit(&self) -> usize {
        let half = self.large.iter().map(|large| large.bytes / 2).min();
        let less = [self.learnt, self.narrow, self.unclear, half];
        less.into_iter().flatten().fold(self.max, usize::min).max(1)
    }

    /// It was not too large.
    pub(super) fn taken(&mut self, chunk: &Chunk) {
        self.taken = self.taken.max(chunk.bytes);
    }

    /// It was, and it has several events.
    pub(super) fn too_large(&mut self, chunk: &Chunk, peer: &str, words: &str) {
        let (Some(first), Some(last)) = (chunk.items.first(), chunk.items.last()) else { return };
        let (first, last, bytes) = (*first, *last, chunk.bytes);
        self.large.push(Large { first, last, bytes, peer: peer.to_owned(), words: words.to_owned() });
    }

    /// This event is too large alone, and so was whatever had it.
    pub(super) fn alone(&mut self, item: u32) {
        self.large.retain(|large| !(large.first..=large.last).contains(&item));
    }

    /// A connection ended in the middle of a request of so many bytes; smaller ones than these do not matter.
    pub(super) fn cut_off(&mut self, bytes: usize, least: usize) {
        let half = (bytes / 2).max(least);
        self.narrow = Some(self.narrow.map_or(half, |narrow| narrow.min(half)));
    }

    /// It was refused a part, and nobody says which.
    pub(super) fn unclear(&mut self, bytes: usize) {
        let less = (bytes / 8).max(UNCLEAR_BYTES_MIN);
        self.unclear = Some(self.unclear.map_or(less, |unclear| unclear.min(less)));
        self.is_unclear = true;
    }

    /// Each event of the batch has its answer; what an operator should know.
    pub(super) fn ended(&mut self) -> Option<Finding> {
        self.narrow = None;
        if !std::mem::take(&mut self.is_unclear) {
            let wider = self.unclear.map(|bytes| bytes.saturating_mul(2));
            self.unclear = wider.filter(|bytes| *bytes < self.max);
        }
        let (large, taken) = (std::mem::take(&mut self.large), std::mem::take(&mut self.taken));
        match large.into_iter().min_by_key(|large| large.bytes) {
            Some(large) => self.learn(&large, taken),
            None => {
                self.try_more(taken);
                None
            }
        }
    }

    fn learn(&mut self, large: &Large, taken: usize) -> Option<Finding> {
        self.calm = 0;
        let Large { bytes, peer, words, .. } = large;
        let limit = Some(taken).filter(|taken| taken < bytes).unwrap_or(0).max(bytes / 2).max(1);
        if limit >= self.learnt.unwrap_or(self.max) {
            return None;
        }
        self.learnt = Some(limit);
        // Each a little smaller than the one before would be many findings that say the same.
        if self.told.is_some_and(|told| limit > told / 2) {
            return None;
        }
        self.told = Some(limit);
        Some(Finding {
            what: format!("{peer} takes smaller requests only"),
            why: format!("one of {bytes} bytes before compression was too large: {words}"),
            fix: format!("set `request.bytes` to {limit}; until then they are made no larger than that"),
        })
    }

    fn try_more(&mut self, taken: usize) {
        let Some(learnt) = self.learnt.filter(|learnt| taken > learnt / 2) else { return };
        self.calm += 1;
        if self.calm >= CALM_BATCHES {
            let more = learnt + learnt.div_ceil(4);
            (self.learnt, self.calm) = (Some(more).filter(|more| *more < self.max), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(items: std::ops::Range<u32>, bytes: usize) -> Chunk {
        Chunk { items: items.collect(), bytes }
    }

    #[test]
    fn what_is_learnt_of_a_batch_is_the_largest_request_that_was_taken_and_is_told_once() {
        let mut size = Size::new(1000);
        for (items, bytes) in [(0..8, 900), (0..4, 500)] {
            size.too_large(&chunk(items, bytes), "siem", "413: no");
        }
        assert_eq!(size.limit(), 250, "what is tried again meanwhile");
        for (items, bytes) in [(4..8, 400), (0..2, 300), (2..4, 200)] {
            size.taken(&chunk(items, bytes));
        }
        let finding = size.ended().unwrap();
        assert!(finding.why.contains("one of 500 bytes") && finding.fix.contains("to 400;"), "{finding}");
        assert_eq!(size.limit(), 400);
        size.too_large(&chunk(0..8, 390), "siem", "413: no");
        size.taken(&chunk(0..8, 380));
        assert_eq!((size.ended(), size.limit()), (None, 380));
        size.too_large(&chunk(0..8, 350), "siem", "413: no");
        assert!(size.ended().is_some());
        assert_eq!(size.limit(), 175);
    }

    #[test]
    fn an_event_that_is_too_large_alone_says_nothing_of_others() {
        let mut size = Size::new(1000);
        for (items, bytes) in [(0..8, 900), (0..4, 800), (0..2, 750), (8..16, 600)] {
            size.too_large(&chunk(items, bytes), "siem", "413: no");
        }
        size.alone(1);
        assert_eq!(size.limit(), 300, "the other one was too large by itself");
        size.alone(12);
        assert_eq!(size.limit(), 1000);
        assert_eq!((size.ended(), size.limit()), (None, 1000));
    }

    #[test]
    fn larger_requests_are_tried_again_after_many_batches_that_filled_theirs() {
        let mut size = Size::new(1000);
        size.too_large(&chunk(0..8, 900), "siem", "413: no");
        assert!(size.ended().is_some());
        let batches = |size: &mut Size, count: u32, bytes: usize| {
            for _ in 0..count {
                size.taken(&chunk(0..8, bytes));
                assert_eq!(size.ended(), None);
            }
            size.limit()
        };
        assert_eq!(batches(&mut size, 10 * CALM_BATCHES, 200), 450, "they say nothing of larger ones");
        assert_eq!(batches(&mut size, CALM_BATCHES - 1, 440), 450);
        assert_eq!(batches(&mut size, 1, 440), 563);
        assert_eq!(batches(&mut size, CALM_BATCHES, 560), 704);
        assert_eq!(batches(&mut size, CALM_BATCHES, 700), 880);
        assert_eq!(batches(&mut size, CALM_BATCHES, 870), 1000);
        size.too_large(&chunk(0..8, 900), "siem", "413: no");
        assert_eq!((size.ended(), size.limit()), (None, 450), "it was told");
    }

    #[test]
    fn other_limits_are_for_a_while() {
        let mut size = Size::new(1_000_000);
        size.cut_off(600_000, 32_768);
        size.cut_off(10_000, 32_768);
        assert_eq!(size.limit(), 32_768);
        size.unclear(200_000);
        assert_eq!(size.limit(), 25_000);
        assert_eq!((size.ended(), size.limit()), (None, 25_000));
        assert_eq!((size.ended(), size.limit()), (None, 50_000));
        (0..5).for_each(|_| assert_eq!(size.ended(), None));
        assert_eq!(size.limit(), 1_000_000);
    }
}
