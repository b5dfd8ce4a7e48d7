//! What of a batch was taken, refused, is open. It lives as long as its batch is tried, so that nothing that was
//! taken is sent again.
//!
//! Must not know: how requests are made.

use crate::sink::{Encoded, Refusal, Sent};
use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Progress {
    batch: Arc<Encoded>,
    states: Vec<State>,
    refusals: Vec<Refusal>,
    /// Those since anything was taken: they may turn out to be about something else than these events.
    row: Vec<Refusal>,
    /// Where requests were halved: what interrupts a search would begin it anew otherwise, over and over.
    cuts: BTreeSet<u32>,
    /// Taken, and the receiver will say later that it is safe.
    pub(crate) waiting: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Waiting,
    Done,
}

/// Items of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) items: Vec<u32>,
    pub(crate) bytes: usize,
}

/// Items that the receiver will acknowledge by a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) endpoint: usize,
    pub(crate) number: u64,
    pub(crate) items: Vec<u32>,
    pub(crate) since: tokio::time::Instant,
}

impl Progress {
    pub(crate) fn new(batch: &Arc<Encoded>) -> Self {
        let states = vec![State::Open; batch.items.len()];
        Self {
            batch: Arc::clone(batch),
            states,
            refusals: Vec::new(),
            row: Vec::new(),
            cuts: BTreeSet::new(),
            waiting: Vec::new(),
        }
    }

    pub(crate) fn is_of(&self, batch: &Arc<Encoded>) -> bool {
        Arc::ptr_eq(&self.batch, batch)
    }

    /// What is open, in requests of at most so many bytes; `beside` is what each item takes besides.
    pub(crate) fn chunks(&self, bytes_max: usize, beside: usize) -> VecDeque<Chunk> {
        let mut chunks: VecDeque<Chunk> = VecDeque::new();
        for (index, item) in self.batch.items.iter().enumerate() {
            if self.states[index] != State::Open {
                continue;
            }
            let bytes = item.range.len() + beside;
            let is_cut = self.cuts.contains(&(index as u32));
            match chunks.back_mut().filter(|chunk| chunk.bytes + bytes <= bytes_max && !is_cut) {
                Some(chunk) => {
                    chunk.items.push(index as u32);
                    chunk.bytes += bytes;
                }
                None => chunks.push_back(Chunk { items: vec![index as u32], bytes }),
            }
        }
        // The smaller one is after a search, the likelier it is refused: the others say first whether anything is taken.
        if !self.cuts.is_empty() {
            chunks.make_contiguous().sort_by_key(|chunk| Reverse(chunk.items.len()));
        }
        chunks
    }

    /// What these are in a request.
    pub(crate) fn chunk(&self, items: Vec<u32>, beside: usize) -> Chunk {
        let bytes = items.iter().map(|item| self.batch.item(*item as usize).len() + beside).sum();
        Chunk { items, bytes }
    }

    /// Two halves, the first one first; itself when it is one item.
    pub(crate) fn halves(&mut self, mut chunk: Chunk, beside: usize) -> (Chunk, Option<Chunk>) {
        let rest = chunk.items.split_off(chunk.items.len().div_ceil(2));
        let Some(cut) = rest.first() else { return (chunk, None) };
        self.cuts.insert(*cut);
        (self.chunk(chunk.items, beside), Some(self.chunk(rest, beside)))
    }

    pub(crate) fn taken(&mut self, items: &[u32]) {
        items.iter().for_each(|item| self.states[*item as usize] = State::Done);
    }

    /// For good.
    pub(crate) fn refused(&mut self, item: u32, reason: String) {
        self.states[item as usize] = State::Done;
        self.refusals.push(Refusal { item, reason });
    }

    /// Unless it is forgotten again.
    pub(crate) fn refused_so_far(&mut self, item: u32, reason: String) {
        self.states[item as usize] = State::Done;
        self.row.push(Refusal { item, reason });
    }

    /// How many were refused since anything was taken.
    pub(crate) fn row(&self) -> usize {
        self.row.len()
    }

    /// Others are taken, so what was refused is refused for good.
    pub(crate) fn believe(&mut self) {
        self.refusals.append(&mut self.row);
    }

    /// What was refused since then is open again.
    pub(crate) fn forget(&mut self) {
        for refusal in self.row.drain(..) {
            self.states[refusal.item as usize] = State::Open;
        }
    }

    pub(crate) fn wait(&mut self, waiting: Waiting) {
        waiting.items.iter().for_each(|item| self.states[*item as usize] = State::Waiting);
        self.waiting.push(waiting);
    }

    /// They were not acknowledged.
    pub(crate) fn open(&mut self, items: &[u32]) {
        items.iter().for_each(|item| self.states[*item as usize] = State::Open);
    }

    /// Whether every item has its answer.
    pub(crate) fn is_done(&self) -> bool {
        self.states.iter().all(|state| *state == State::Done)
    }

    pub(crate) fn end(mut self) -> Sent {
        self.believe();
        if self.refusals.is_empty() {
            return Sent::Confirmed;
        }
        self.refusals.sort_by_key(|refusal| refusal.item);
        Sent::Partly(self.refusals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::sink::Item;

    fn batch(lengths: &[u32]) -> Arc<Encoded> {
        let (mut items, mut at) = (Vec::new(), 0);
        for length in lengths {
            items.push(Item { range: at..at + length, head: 0, id: None, time: Timestamp(0), route: 0 });
            at += length;
        }
        Arc::new(Encoded { bytes: vec![b'x'; at as usize].into(), items, routes: Vec::new() })
    }

    fn shape(chunks: &VecDeque<Chunk>) -> Vec<&[u32]> {
        chunks.iter().map(|chunk| &chunk.items[..]).collect()
    }

    #[test]
    fn requests_hold_what_is_open_and_one_that_is_too_large_goes_alone() {
        let batch = batch(&[10, 10, 10, 50, 10]);
        let mut progress = Progress::new(&batch);
        assert_eq!(shape(&progress.chunks(25, 0)), [&[0, 1][..], &[2], &[3], &[4]]);
        assert_eq!(shape(&progress.chunks(25, 5)), [&[0][..], &[1], &[2], &[3], &[4]]);
        progress.taken(&[0, 3]);
        progress.refused(2, "no".into());
        assert_eq!(shape(&progress.chunks(25, 0)), [&[1, 4][..]]);
        progress.taken(&[1]);
        assert!(!progress.is_done());
        progress.refused(4, "never".into());
        assert!(progress.is_done() && progress.is_of(&batch));
        let Sent::Partly(refusals) = progress.end() else { panic!() };
        assert_eq!(refusals.iter().map(|refusal| refusal.item).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn a_chunk_is_halved_down_to_one_item_and_each_half_has_its_own_bytes() {
        let mut progress = Progress::new(&batch(&[1, 900, 20, 3, 0, 0, 0, 9]));
        let (first, rest) = progress.halves(progress.chunk(vec![1, 2, 3], 2), 2);
        assert_eq!(first, Chunk { items: vec![1, 2], bytes: 924 });
        assert_eq!(rest, Some(Chunk { items: vec![3], bytes: 5 }));
        let one = Chunk { items: vec![7], bytes: 9 };
        assert_eq!(progress.halves(one.clone(), 0), (one, None));
        // What is left to be sent stays in these halves, the larger one first.
        assert_eq!(shape(&progress.chunks(10_000, 0)), [&[3, 4, 5, 6, 7][..], &[0, 1, 2]]);
    }

    #[test]
    fn what_was_refused_while_nothing_is_taken_can_be_forgotten() {
        let mut progress = Progress::new(&batch(&[1; 6]));
        progress.refused(0, "too large".into());
        progress.refused_so_far(1, "no".into());
        progress.believe();
        progress.refused_so_far(2, "no".into());
        progress.refused_so_far(4, "no".into());
        assert_eq!((progress.row(), shape(&progress.chunks(25, 0))), (2, vec![&[3, 5][..]]));
        progress.forget();
        assert_eq!((progress.row(), shape(&progress.chunks(25, 0))), (0, vec![&[2, 3, 4, 5][..]]));
        progress.taken(&[3, 4, 5]);
        progress.refused_so_far(2, "no".into());
        assert!(progress.is_done());
        let Sent::Partly(refusals) = progress.end() else { panic!() };
        assert_eq!(refusals.iter().map(|refusal| refusal.item).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
