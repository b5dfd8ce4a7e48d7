//! Frames: how a batch and its bookmark stand in a segment.
//!
//! ```text
//!  0 magic u32      4 header crc u32   8 payload bytes u32   12 payload crc u32
//! 16 sequence u64  24 mark u64        32 appended at i64     40 events through u64
//! 48 bytes through u64                56 meta bytes u32      60 kind u8, 3 zeros
//! 64 payload = meta (bookmark, origin, ranges, notes) ‖ text; then zeros to the next 8 bytes
//! ```
//!
//! Checksums are CRC32C. That of the header starts with its segment's salt, so that bytes inside an
//! event can never pass for a frame. `mark` is the offset up to which the segment was known to be
//! synced when the frame was written; `events through` and `bytes through` count the whole log.
//! The text is stored plain: a group commit moves far more bytes a second than one node takes in,
//! and a lagging lane hands out slices of what it read.

use super::super::Position;
use super::codec::{Take, put_blob, put_option};
use crate::event::{Bookmark, EventBatch, Note, NoteKind, Origin, Timestamp};
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;

/// What a frame says of itself before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: FrameKind,
    pub(super) payload_bytes: u32,
    pub(super) payload_crc: u32,
    pub(super) meta_bytes: u32,
    pub(super) sequence: u64,
    pub(super) mark: u64,
    pub(super) at: Timestamp,
    pub(super) through: Totals,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Batch = 1,
    /// First frame of a segment: which segment came before and where it ends.
    Link = 2,
    /// No payload: says that all before it is synced.
    Mark = 3,
}

/// Running totals of the whole log, through a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

/// Payload of a link frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Number of the segment that holds the frames before these; 0 for none.
    pub(super) previous: u64,
    /// Where that segment's committed frames end. What stands behind was never acknowledged.
    pub(super) previous_end: u64,
    /// Last committed position before this segment.
    pub(super) last: Position,
}

/// A batch with what is needed to write it, made by whoever appends it.
pub(super) struct Framed {
    pub(super) batch: Arc<EventBatch>,
    pub(super) meta: Vec<u8>,
    payload_crc: u32,
}

impl FrameHeader {
    pub(super) fn encode(&self, salt: u64) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.mark.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.at.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.through.events.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.through.bytes.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.meta_bytes.to_le_bytes());
        bytes[60] = self.kind as u8;
        let crc = header_crc(&bytes, salt);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` for anything that is not a header written with this salt.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        let mut take = Take(bytes);
        if take.array()? != MAGIC || take.u32()? != header_crc(bytes, salt) {
            return None;
        }
        let (payload_bytes, payload_crc) = (take.u32()?, take.u32()?);
        let (sequence, mark, at) = (take.u64()?, take.u64()?, Timestamp(take.i64()?));
        let through = Totals { events: take.u64()?, bytes: take.u64()? };
        let meta_bytes = take.u32()?;
        let kind = match take.u8()? {
            1 => FrameKind::Batch,
            2 => FrameKind::Link,
            3 => FrameKind::Mark,
            _ => return None,
        };
        (meta_bytes <= payload_bytes).then_some(Self {
            kind,
            payload_bytes,
            payload_crc,
            meta_bytes,
            sequence,
            mark,
            at,
            through,
        })
    }

    /// Bytes from this frame's start to the next frame's.
    pub(super) fn size(&self) -> u64 {
        frame_size(self.payload_bytes as usize)
    }

    pub(super) fn payload_is_whole(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes as usize && crc32c::crc32c(payload) == self.payload_crc
    }
}

impl Framed {
    /// `None` when the batch is larger than a frame can be.
    pub(super) fn new(batch: EventBatch) -> Option<Self> {
        let meta = encode_meta(&batch);
        if meta.len() + batch.text.len() > FRAME_BYTES_MAX {
            return None;
        }
        let payload_crc = crc32c::crc32c_append(crc32c::crc32c(&meta), &batch.text);
        Some(Self { batch: Arc::new(batch), meta, payload_crc })
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.meta.len() + self.batch.text.len()
    }

    pub(super) fn size(&self) -> u64 {
        frame_size(self.payload_bytes())
    }

    pub(super) fn header(&self, sequence: u64, mark: u64, at: Timestamp, through: Totals) -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Batch,
            payload_bytes: self.payload_bytes() as u32,
            payload_crc: self.payload_crc,
            meta_bytes: self.meta.len() as u32,
            sequence,
            mark,
            at,
            through,
        }
    }

    /// Zeros after the payload.
    pub(super) fn padding(&self) -> &'static [u8] {
        &[0; ALIGN][..(self.size() as usize - HEADER_BYTES - self.payload_bytes())]
    }
}

impl Totals {
    pub(super) fn plus(self, events: u64, bytes: u64) -> Self {
        Self { events: self.events + events, bytes: self.bytes + bytes }
    }
}

impl Link {
    pub(super) fn encode(&self) -> [u8; LINK_BYTES] {
        let mut bytes = [0; LINK_BYTES];
        bytes[0..8].copy_from_slice(&self.previous.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.last.sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.last.epoch.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut take = Take(bytes);
        let (previous, previous_end) = (take.u64()?, take.u64()?);
        let sequence = take.u64()?;
        Some(Self { previous, previous_end, last: Position { epoch: take.u32()?, sequence } })
    }
}

/// Reads a batch back. `payload` passed its checksum.
pub(super) fn decode_batch(header: &FrameHeader, payload: &Bytes) -> Option<EventBatch> {
    let text = payload.slice(header.meta_bytes as usize..);
    let mut take = Take(&payload[..header.meta_bytes as usize]);
    let bookmark = match take.u8()? {
        0 => None,
        _ => Some(Bookmark { key: take.text()?.into(), value: Bytes::copy_from_slice(take.blob()?) }),
    };
    let origin = decode_origin(&mut take)?;
    let count = take.u32()? as usize;
    let mut ranges = Take(take.bytes(count.checked_mul(8)?)?);
    let mut events = Vec::with_capacity(count);
    let mut past = 0;
    while let (Some(start), Some(end)) = (ranges.u32(), ranges.u32()) {
        if start < past || end < start || end as usize > text.len() {
            return None;
        }
        past = end;
        events.push(start..end);
    }
    let mut notes = Vec::new();
    for _ in 0..take.u32()? {
        let (event, kind) = (take.u32()?, take.u8()?);
        let kind = match kind {
            1 => NoteKind::Undecodable,
            2 => NoteKind::Surrogates,
            3 => NoteKind::Recovered,
            4 => NoteKind::Foreign,
            5 => NoteKind::Distrusted,
            _ => return None,
        };
        notes.push(Note { event, kind, detail: take.text()?.into() });
    }
    Some(EventBatch { text, events, origin: Arc::new(origin), bookmark, notes })
}

/// The bookmark of a batch, without the rest.
pub(super) fn decode_bookmark(header: &FrameHeader, payload: &[u8]) -> Option<Bookmark> {
    let mut take = Take(payload.get(..header.meta_bytes as usize)?);
    if take.u8()? == 0 {
        return None;
    }
    Some(Bookmark { key: take.text()?.into(), value: Bytes::copy_from_slice(take.blob()?) })
}

fn encode_meta(batch: &EventBatch) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + batch.events.len() * 8);
    out.push(u8::from(batch.bookmark.is_some()));
    if let Some(bookmark) = &batch.bookmark {
        put_blob(&mut out, bookmark.key.as_bytes());
        put_blob(&mut out, &bookmark.value);
    }
    let origin = &batch.origin;
    put_blob(&mut out, origin.source.as_bytes());
    put_option(&mut out, origin.host.as_deref());
    match origin.address {
        None => out.push(0),
        Some(IpAddr::V4(address)) => {
            out.push(4);
            out.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            out.push(6);
            out.extend_from_slice(&address.octets());
        }
    }
    put_option(&mut out, origin.subscription.as_deref());
    put_option(&mut out, origin.file.as_deref());
    out.extend_from_slice(&origin.received.0.to_le_bytes());
    out.extend_from_slice(&(batch.events.len() as u32).to_le_bytes());
    for range in &batch.events {
        out.extend_from_slice(&range.start.to_le_bytes());
        out.extend_from_slice(&range.end.to_le_bytes());
    }
    out.extend_from_slice(&(batch.notes.len() as u32).to_le_bytes());
    for note in &batch.notes {
        out.extend_from_slice(&note.event.to_le_bytes());
        out.push(match note.kind {
            NoteKind::Undecodable => 1,
            NoteKind::Surrogates => 2,
            NoteKind::Recovered => 3,
            NoteKind::Foreign => 4,
            NoteKind::Distrusted => 5,
        });
        put_blob(&mut out, note.detail.as_bytes());
    }
    out
}

fn decode_origin(take: &mut Take<'_>) -> Option<Origin> {
    let source = take.text()?.into();
    let host = take.option()?.map(Into::into);
    let address = match take.u8()? {
        0 => None,
        4 => Some(IpAddr::from(take.array::<4>()?)),
        6 => Some(IpAddr::from(take.array::<16>()?)),
        _ => return None,
    };
    let subscription = take.option()?.map(Into::into);
    let file = take.option()?.map(Into::into);
    Some(Origin { source, host, address, subscription, file, received: Timestamp(take.i64()?) })
}

fn header_crc(bytes: &[u8; HEADER_BYTES], salt: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &bytes[8..])
}

fn frame_size(payload_bytes: usize) -> u64 {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN) as u64
}

pub(super) const HEADER_BYTES: usize = 64;
pub(super) const LINK_BYTES: usize = 32;
pub(super) const MAGIC: [u8; 4] = *b"FbF\x01";
/// Frames start at multiples of this.
pub(super) const ALIGN: usize = 8;
/// Largest payload: far above any source's own limit for a batch.
pub(super) const FRAME_BYTES_MAX: usize = 256 << 20;

const _: () = assert!(HEADER_BYTES.is_multiple_of(ALIGN) && LINK_BYTES.is_multiple_of(ALIGN));

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> EventBatch {
        EventBatch {
            text: Bytes::from_static(b"<Event/><Event>2</Event>"),
            events: vec![0..8, 8..24],
            origin: Arc::new(Origin {
                source: "dc".into(),
                host: Some("dc1.example.org".into()),
                address: Some("fe80::1".parse().unwrap()),
                subscription: None,
                file: Some("/x.evtx".into()),
                received: Timestamp(-5),
            }),
            bookmark: Some(Bookmark {
                key: "dc/dc1/s".into(),
                value: Bytes::from_static(b"<BookmarkList/>"),
            }),
            notes: vec![Note { event: 1, kind: NoteKind::Surrogates, detail: "2".into() }],
        }
    }

    fn bytes(framed: &Framed) -> Bytes {
        [framed.meta.as_slice(), &framed.batch.text[..]].concat().into()
    }

    #[test]
    fn a_batch_comes_back_as_it_was() {
        let framed = Framed::new(batch()).unwrap();
        let header = framed.header(7, 4096, Timestamp(9), Totals { events: 2, bytes: 3 });
        let again = FrameHeader::decode(&header.encode(11), 11).unwrap();
        assert_eq!(again, header);
        let payload = bytes(&framed);
        assert!(again.payload_is_whole(&payload));
        assert_eq!(decode_batch(&again, &payload), Some(batch()));
        assert_eq!(decode_bookmark(&again, &payload), batch().bookmark);
    }

    #[test]
    fn bytes_of_another_salt_are_no_frame() {
        let header = Framed::new(batch()).unwrap().header(7, 4096, Timestamp(9), Totals::default());
        assert_eq!(FrameHeader::decode(&header.encode(11), 12), None);
    }

    #[test]
    fn any_cut_or_flipped_payload_is_an_absence_and_no_panic() {
        let framed = Framed::new(batch()).unwrap();
        let payload = bytes(&framed);
        for index in 0..payload.len() {
            let mut flipped = payload.to_vec();
            flipped[index] ^= 0xff;
            let header = framed.header(1, 0, Timestamp(0), Totals::default());
            let _ = decode_batch(&header, &flipped.into());
            let meta_bytes = index.min(framed.meta.len()) as u32;
            let header = FrameHeader { meta_bytes, payload_bytes: index as u32, ..header };
            let _ = decode_batch(&header, &payload.slice(..index));
        }
    }
}
