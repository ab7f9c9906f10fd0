//! Many clients at once: every byte goes to exactly one reader, in order, and nobody costs a thread.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use nix::errno::Errno;

use super::Task;
use super::io::{open, read_some, start_read};
use super::server::Setup;

const WRITERS: u32 = 6;
const READERS: usize = 6;
const WORDS: u32 = 10_000;

/// Writes words that say who wrote them and which they are, in pieces of several sizes.
fn write_words(mut file: &File, writer: u32) {
    let bytes: Vec<u8> = (0..WORDS).flat_map(|n| (writer << 24 | n).to_ne_bytes()).collect();
    let mut rest = bytes.as_slice();
    let mut size = 4;
    while !rest.is_empty() {
        let piece = size.min(rest.len());
        let count = file.write(&rest[..piece]).unwrap();
        assert_eq!(count % 4, 0, "the ring holds whole words");
        rest = &rest[count..];
        size = if size > 3000 { 4 } else { size * 2 };
    }
}

/// Reads words until the device goes away.
fn read_words(file: &File) -> Vec<u32> {
    let mut words = Vec::new();
    loop {
        match read_some(file, 1024) {
            Ok(bytes) => {
                words.extend(
                    bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())),
                );
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(Errno::ENODEV as i32));
                return words;
            }
        }
    }
}

#[test]
fn each_byte_goes_to_exactly_one_reader_in_order() {
    for threaded in [false, true] {
        let mut server = Setup { threaded, ..Setup::new() }.start();
        let readers: Vec<_> = (0..READERS)
            .map(|_| open(&server.path))
            .map(|file| Task::start(move || read_words(&file)))
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| (writer, open(&server.path)))
            .map(|(writer, file)| Task::start(move || write_words(&file, writer)))
            .collect();
        writers.into_iter().for_each(Task::finish);
        server.until("all read", |s| s.held == 0 && s.waiting_readers == READERS);
        server.ask("hang_up");
        let read: Vec<Vec<u32>> = readers.into_iter().map(Task::finish).collect();
        check(&read);
    }
}

fn check(read: &[Vec<u32>]) {
    let mut seen: HashMap<u32, usize> = HashMap::new();
    for words in read {
        let mut last = HashMap::new();
        for word in words {
            *seen.entry(*word).or_default() += 1;
            let before = last.insert(word >> 24, *word);
            assert!(before.is_none_or(|before| before < *word), "out of order");
        }
    }
    assert_eq!(seen.len(), (WRITERS * WORDS) as usize);
    assert!(seen.values().all(|&count| count == 1), "a word came twice");
}

#[test]
fn a_blocked_client_costs_no_thread() {
    const COUNT: usize = 200;
    let mut server = Setup::new().start();
    let before = server.stats().threads;
    let file = Arc::new(open(&server.path));
    let readers: Vec<_> = (0..COUNT).map(|_| start_read(&file, 1)).collect();
    let stats = server.until("all blocked", |s| s.waiting_readers == COUNT);
    assert_eq!(stats.threads, before);
    (&*file).write_all(&[9; COUNT]).unwrap();
    for reader in readers {
        assert_eq!(reader.finish().unwrap(), [9]);
    }
}
