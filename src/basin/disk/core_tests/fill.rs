//! Zeros ahead: how far, and that nobody else writes there meanwhile.

use super::*;

#[test]
fn the_next_segment_is_written_once_before_it_is_needed() {
    let (disk, streams) = (FakeDisk::new(1), Streams::default());
    let mut core = open(&disk);
    let _kept = push(&mut core, &streams, 1, 100);
    work(&mut core, &disk);
    let few = core.prepared.as_ref().unwrap().written;
    assert!(few < 64 << 10, "little came in, and {few} bytes were written ahead");
    let _kept = push(&mut core, &streams, 2, 300 << 10);
    work(&mut core, &disk);
    let prepared = core.prepared.as_ref().unwrap();
    assert_eq!((prepared.written, prepared.lent), (prepared.capacity, false));
    // Its header is still there.
    let number = prepared.number;
    let _kept = push(&mut core, &streams, 3, 900 << 10);
    work(&mut core, &disk);
    assert_eq!(core.active.as_ref().unwrap().number, number);
    drop(core);
    disk.restart(true);
    let core = open(&disk);
    assert_eq!((core.head.sequence, core.findings.len()), (3, 0));
}

#[test]
fn a_segment_is_not_written_to_while_zeros_are() {
    let (disk, streams) = (FakeDisk::new(1), Streams::default());
    let mut core = open(&disk);
    let _kept = push(&mut core, &streams, 1, 300 << 10);
    let mut fill = None;
    for tick in 2..60 {
        let now = Timestamp(tick * SECOND);
        if let Some(group) = core.begin_group(now) {
            let result = group.run();
            core.end_group(group, &result, now).into_iter().for_each(receipt::Receipt::kept);
        }
        match core.begin_chore(now) {
            Some(chore @ Chore::Fill(_)) => fill = Some(chore),
            Some(chore) => {
                let result = chore.run(&disk);
                core.end_chore(chore, result, now);
            }
            None => {}
        }
    }
    let fill = fill.unwrap();
    let (_underway, mut settled) = push(&mut core, &streams, 2, 950 << 10);
    assert!(core.begin_group(Timestamp(60 * SECOND)).is_none(), "it waits");
    // And where the zeros cannot be written, for another one.
    disk.fail(Fails { syncs: 1, ..Fails::default() });
    let result = fill.run(&disk);
    disk.fail(Fails::default());
    core.end_chore(fill, result, Timestamp(60 * SECOND));
    assert!(core.prepared.is_none());
    let told = core.findings.back().unwrap();
    assert!(
        told.what.contains("cannot be prepared") && told.fix.contains("check the basin's disk"),
        "{told}"
    );
    for tick in 61..70 {
        let now = Timestamp(tick * SECOND);
        if let Some(group) = core.begin_group(now) {
            let result = group.run();
            core.end_group(group, &result, now).into_iter().for_each(receipt::Receipt::kept);
        }
        keep(&mut core, &disk, now, |_| Fails::default());
    }
    assert_eq!(outcome(&mut settled), Poll::Ready(Outcome::Kept));
}

#[test]
fn pieces_leave_the_disk_to_others_between_them() {
    let (disk, streams) = (FakeDisk::new(1), Streams::default());
    let mut core = open(&disk);
    (core.options.size_max, core.options.segment_bytes) = (64 << 20, 8 << 20);
    let _kept = push(&mut core, &streams, 1, 3 << 20);
    let mut fills = Vec::new();
    for tick in 0..2000 {
        let now = Timestamp(2 * SECOND + tick * SECOND / 100);
        if let Some(group) = core.begin_group(now) {
            let result = group.run();
            core.end_group(group, &result, now).into_iter().for_each(receipt::Receipt::kept);
        }
        if let Some(chore) = core.begin_chore(now) {
            fills.extend(matches!(chore, Chore::Fill(_)).then_some(tick));
            let result = chore.run(&disk);
            core.end_chore(chore, result, now);
        }
    }
    // Four of 2 MiB, 50 ms or more apart.
    assert_eq!(fills.len(), 4);
    assert!(fills.windows(2).all(|pair| pair[1] - pair[0] >= 5), "{fills:?}");
}
