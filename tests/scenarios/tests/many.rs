//! Many readers and many writers: each byte reaches exactly one reader, and each stream stays in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use scenarios::daemon::Daemon;
use scenarios::stream::Record;
use scenarios::{fd, task, wait};

const WRITERS: u32 = 4;
const READERS: usize = 4;

/// Records of each writer.
const RECORDS: u32 = 4000;

fn write_all(daemon: &Daemon, writer: u32) -> task::Task<()> {
    let file = fd::writer(daemon.node());
    task::spawn(move || {
        let mut number = 0;
        while number < RECORDS {
            // Pieces of many sizes, each a whole number of records.
            let count = (number * 7 % 300 + 1).min(RECORDS - number);
            let records = (number..number + count).map(|number| Record { writer, number });
            let bytes: Vec<u8> = records.flat_map(Record::to_bytes).collect();
            let written = fd::write(&file, &bytes).unwrap();
            assert_eq!(written % Record::BYTES, 0, "rings are a whole number of records");
            number += u32::try_from(written / Record::BYTES).unwrap();
        }
    })
}

/// Reads until the daemon ends.
fn read_all(daemon: &Daemon, size: usize, seen: &Arc<AtomicUsize>) -> task::Task<Vec<Record>> {
    let (file, seen) = (fd::reader(daemon.node()), Arc::clone(seen));
    task::spawn(move || {
        let mut records = Vec::new();
        while let Ok(bytes) = fd::read(&file, size) {
            let new = Record::all(&bytes);
            assert!(!new.is_empty(), "a read of a blocking reader has bytes");
            seen.fetch_add(new.len(), Ordering::Relaxed);
            records.extend(new);
        }
        records
    })
}

#[test]
fn each_byte_reaches_exactly_one_reader_and_in_order() {
    let total = (WRITERS * RECORDS) as usize;
    let daemon = Daemon::start();
    let seen = Arc::new(AtomicUsize::new(0));
    let sizes = (0..READERS).map(|reader| Record::BYTES * (1 + reader * 50));
    let readers: Vec<_> = sizes.map(|size| read_all(&daemon, size, &seen)).collect();
    let writers: Vec<_> = (0..WRITERS).map(|writer| write_all(&daemon, writer)).collect();
    for writer in writers {
        writer.finish("a writer");
    }
    wait::until("every record", || seen.load(Ordering::Relaxed) >= total);
    daemon.end(Signal::SIGTERM).assert_clean();

    let mut counts: BTreeMap<Record, usize> = BTreeMap::new();
    for reader in readers {
        let mut last: BTreeMap<u32, u32> = BTreeMap::new();
        for record in reader.finish("a reader, when the daemon ends") {
            let before = last.insert(record.writer, record.number);
            assert!(before < Some(record.number), "{record:?} after {before:?}");
            *counts.entry(record).or_default() += 1;
        }
    }
    let wrong: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).take(5).collect();
    assert!(wrong.is_empty(), "not exactly once: {wrong:?}");
    assert_eq!(counts.len(), total);
}

/// Bytes of each writer in the second story: two bits say who, six say where.
const BYTES: usize = 20_000;

#[test]
fn pieces_of_any_size_keep_the_order_of_each_writer() {
    let daemon = Daemon::start();
    let writers: Vec<_> = (0..WRITERS as u8)
        .map(|writer| {
            let file = fd::writer(daemon.node());
            task::spawn(move || {
                let byte = |at: usize| writer << 6 | (at % 64) as u8;
                let mut at = 0;
                while at < BYTES {
                    let end = (at + 1 + at * 11 % 997).min(BYTES);
                    let piece: Vec<u8> = (at..end).map(byte).collect();
                    at += fd::write(&file, &piece).unwrap();
                }
            })
        })
        .collect();
    let all = fd::read_exactly(daemon.node(), BYTES * WRITERS as usize);
    for writer in writers {
        writer.finish("a writer");
    }
    let mut next = [0; WRITERS as usize];
    for byte in all {
        let (writer, at) = (usize::from(byte >> 6), byte & 63);
        assert_eq!(usize::from(at), next[writer] % 64, "the stream of writer {writer}");
        next[writer] += 1;
    }
    assert_eq!(next, [BYTES; WRITERS as usize]);
}
