//! Copies inside the memory: what is moved, what is refused before it reaches the channel, many in flight.

use super::*;
use crate::queue::IN_FLIGHT;

#[test]
fn a_copy_moves_its_bytes_and_no_others() {
    let rig = Rig::new();
    let data = pattern(1, 4096);
    rig.memory(1, 0x1000).write_all(&data);
    let client = rig.queue(2);
    client.submit(0x1000, 0x8008, 4096, 77).unwrap();
    assert_eq!(client.wait(), Ok((77, 0)));
    assert_eq!(rig.memory(3, 0x8008).read(4096).unwrap(), data);
    assert_eq!(rig.memory(4, 0x8000).read(8).unwrap(), [0; 8]);
    assert_eq!(rig.memory(5, 0x9008).read(8).unwrap(), [0; 8]);
    assert_eq!(client.wait(), Err(Errno::ENODATA), "it is told once");
}

#[test]
fn many_in_flight_end_in_order_each_with_its_cookie() {
    let rig = Rig::new();
    let blocks = 64;
    rig.memory(1, 0).write_all(&pattern(9, blocks * 4096));
    let client = rig.queue(2);
    let copies: Vec<u8> = (0..blocks as u64)
        .flat_map(|index| zdma_copy(index * 4096, (512 << 10) + index * 4096, 4096, index))
        .collect();
    assert_eq!(client.write(&copies), Ok(copies.len()), "one write takes them all");
    let mut cookies = Vec::new();
    while cookies.len() < blocks {
        let told = client.read(16 * 10).unwrap();
        cookies.extend(told.chunks(16).map(completion));
    }
    let expected: Vec<(u64, u32)> = (0..blocks as u64).map(|cookie| (cookie, 0)).collect();
    assert_eq!(cookies, expected);
    assert_eq!(rig.controls.memory(512 << 10, blocks * 4096), pattern(9, blocks * 4096));
}

#[test]
fn files_are_told_of_their_own_copies_alone() {
    let rig = Rig::new();
    let clients: Vec<Client> = (0..8).map(|handle| rig.queue(handle)).collect();
    for round in 0..20 {
        for (index, client) in (0..).zip(&clients) {
            client.submit(0, 4096 + index * 64, 64, index * 100 + round).unwrap();
        }
    }
    for (index, client) in (0..).zip(&clients) {
        for round in 0..20 {
            assert_eq!(client.wait(), Ok((index * 100 + round, 0)));
        }
        assert_eq!(client.wait(), Err(Errno::ENODATA));
    }
    assert_eq!(rig.stat(COPIES), 160);
}

#[test]
fn what_is_refused_never_reaches_the_channel() {
    let rig = Rig::new();
    let client = rig.queue(1);
    let end = rig.arena();
    let (writes, total) = (rig.controls.register_writes(), rig.controls.register(0x188));
    let wrong = [
        (0, 4096, 0, Errno::EINVAL),
        (1, 4096, 8, Errno::EINVAL),
        (0, 4100, 8, Errno::EINVAL),
        (0, 4096, 12, Errno::EINVAL),
        (0, 0, 64, Errno::EINVAL),
        (0, 32, 64, Errno::EINVAL),
        (end, 0, 8, Errno::ERANGE),
        (0, end, 8, Errno::ERANGE),
        (0, end - 8, 16, Errno::ERANGE),
        (0, 8, end, Errno::ERANGE),
        (u64::MAX - 7, 0, 16, Errno::ERANGE),
        (0, u64::MAX - 7, 16, Errno::ERANGE),
        (0, 8, u64::MAX - 7, Errno::ERANGE),
    ];
    for (src, dst, len, errno) in wrong {
        assert_eq!(client.submit(src, dst, len, 1), Err(errno), "{src:#x} {dst:#x} {len:#x}");
        assert_eq!(client.write(&zdma_copy(src, dst, len, 1)), Err(errno));
    }
    assert_eq!(rig.controls.register_writes(), writes, "no register was written");
    assert_eq!(rig.controls.register(0x188), total);
    assert_eq!(rig.controls.transfers(), []);
    assert_eq!(rig.stat(REFUSED), 2 * wrong.len() as u64);
    assert_eq!(client.wait(), Err(Errno::ENODATA), "nothing was queued");
}

#[test]
fn a_wider_bus_has_longer_beats() {
    let rig = Rig::with(Options { bus_width: 128, ..Options::default() });
    let client = rig.queue(1);
    assert_eq!(client.submit(8, 4096, 16, 0), Err(Errno::EINVAL));
    assert_eq!(client.submit(0, 4096, 8, 0), Err(Errno::EINVAL));
    assert_eq!(client.submit(16, 4096, 16, 0), Ok(()));
    assert_eq!(client.wait(), Ok((0, 0)));
}

#[test]
fn a_write_of_copies_ends_before_the_first_that_is_refused() {
    let rig = Rig::new();
    let client = rig.queue(1);
    let three =
        [zdma_copy(0, 64, 64, 1), zdma_copy(0, 64, 63, 2), zdma_copy(0, 64, 64, 3)].concat();
    assert_eq!(client.write(&three), Ok(32));
    assert_eq!(client.write(&three[32..]), Err(Errno::EINVAL), "now it is the first");
    assert_eq!(client.write(&three[64..]), Ok(32));
    assert_eq!([client.wait(), client.wait()], [Ok((1, 0)), Ok((3, 0))]);
    assert_eq!(client.write(&three[..31]), Err(Errno::EINVAL), "half a copy");
    assert_eq!(client.try_read(15), Err(Errno::EINVAL), "no room for a completion");
}

#[test]
fn who_asks_for_no_completion_has_to_before_he_queues_more() {
    let rig = Rig::new();
    let client = rig.queue(1);
    let copy = zdma_copy(0, 64, 64, 5);
    let many = copy.repeat(IN_FLIGHT);
    assert_eq!(client.write(&many), Ok(many.len()));
    assert_eq!(client.poll() & PollEvents::OUT, PollEvents::empty());
    eventually("all to end", || rig.stat(COPIES) == IN_FLIGHT as u64);
    assert_eq!(client.try_write(&copy), Err(Errno::ENOBUFS));
    assert_eq!(client.wait(), Ok((5, 0)));
    assert_eq!(client.write(&copy), Ok(32));
}

#[test]
fn a_full_queue_makes_room_when_a_copy_ends() {
    let rig = Rig::new();
    rig.controls.stall(true);
    let client = rig.queue(1);
    let copy = zdma_copy(0, 64, 64, 5);
    assert_eq!(client.write(&copy.repeat(IN_FLIGHT)), Ok(IN_FLIGHT * 32));
    assert_eq!(client.try_write(&copy), Err(Errno::EAGAIN));
    rig.controls.stall(false);
    let waiting = std::thread::spawn({
        let reader = Client { node: Arc::clone(&rig.node), file: client.file };
        move || {
            let told = (0..=IN_FLIGHT).map(|_| reader.wait().unwrap()).collect::<Vec<_>>();
            // The file is the other's: it is not closed here.
            std::mem::forget(reader);
            told
        }
    });
    assert_eq!(client.write(&copy), Ok(32), "it waited for room");
    assert!(waiting.join().unwrap().iter().all(|told| *told == (5, 0)));
}

#[test]
fn poll_tells_of_completions_and_of_room() {
    let rig = Rig::new();
    let client = rig.queue(1);
    assert_eq!(client.poll(), PollEvents::WRITABLE);
    assert_eq!(client.try_read(16), Err(Errno::ENODATA), "nothing is in flight");
    rig.controls.stall(true);
    client.submit(0, 64, 64, 1).unwrap();
    assert_eq!(client.poll(), PollEvents::WRITABLE);
    assert_eq!(client.try_read(16), Err(Errno::EAGAIN));
    rig.controls.stall(false);
    let both = PollEvents::READABLE | PollEvents::WRITABLE;
    blocking(
        rig.node.read_wait(),
        || if client.poll() == both { Ok(()) } else { Err(Errno::EAGAIN) },
    )
    .unwrap();
    assert_eq!(client.try_read(16).unwrap().len(), 16);
}

#[test]
fn the_memory_is_read_and_written_to_its_end_and_begins_clear() {
    let rig = Rig::new();
    let end = rig.arena();
    assert_eq!(end, MIB as u64 - (64 << 10));
    assert!(
        rig.memory(1, 0).read_all().iter().all(|byte| *byte == 0),
        "nothing of an earlier owner"
    );
    let client = rig.memory(2, end - 5);
    assert_eq!(client.write(b"12345678"), Ok(5));
    assert_eq!(client.write(b"9"), Err(Errno::ENOSPC));
    assert_eq!(client.read(8), Ok(vec![]));
    client.mode(1, end - 3).unwrap();
    assert_eq!(client.read(8).unwrap(), b"345");
    assert_eq!(client.mode(1, end + 1), Err(Errno::ERANGE));
    assert_eq!([client.mode(3, 0), client.mode(2, 8)], [Err(Errno::EINVAL); 2]);
}

#[test]
fn info_tells_what_may_be_copied() {
    let rig = Rig::new();
    let info = rig.client(1).ioctl(ioctl::INFO, &[], 32).unwrap();
    let word = |at: usize| u64::from_ne_bytes(info[at..at + 8].try_into().unwrap());
    assert_eq!(
        (word(0), word(8), word(16)),
        (rig.arena(), zynqmp_dma_model::MEMORY, (1 << 30) - 8)
    );
    assert_eq!((info[24], u16::from_ne_bytes([info[28], info[29]])), (8, 1024));
}

#[test]
fn a_file_that_is_closed_leaves_its_copies_to_the_channel_and_nobody_is_told() {
    let rig = Rig::new();
    rig.controls.stall(true);
    let client = rig.queue(1);
    for index in 0..10 {
        client.submit(0, 64 + index * 64, 64, index).unwrap();
    }
    drop(client);
    rig.controls.stall(false);
    eventually("all to be carried out", || rig.stat(COPIES) == 10);
    let again = rig.queue(1);
    assert_eq!(again.wait(), Err(Errno::ENODATA));
}

#[test]
fn a_byte_count_that_overflows_is_no_error() {
    let rig = Rig::new();
    rig.controls.set_total(u32::MAX - 7);
    let client = rig.queue(1);
    for _ in 0..2 {
        client.submit(0, 64, 64, 1).unwrap();
        assert_eq!(client.wait(), Ok((1, 0)));
    }
    assert_eq!(rig.controls.register(0x188), 120);
}
