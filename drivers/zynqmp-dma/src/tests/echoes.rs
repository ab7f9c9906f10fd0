//! What is written comes out of the engine, and is read.

use super::*;
use crate::memory::ECHO;
use crate::queue::CONTENT;

#[test]
fn what_is_written_goes_through_the_engine_and_is_read_by_all() {
    let rig = Rig::new();
    assert_eq!(rig.client(1).read(100), Ok(vec![]), "at first there is nothing");
    assert_eq!(rig.client(2).write(b"Hello\n"), Ok(6));
    for handle in 3..5 {
        assert_eq!(rig.client(handle).read_all(), b"Hello\n");
    }
    let moved = rig.controls.transfers();
    assert_eq!((moved.len(), moved[0].len), (1, 8), "whole beats");
    assert_eq!(rig.client(5).write(b"Hi"), Ok(2));
    assert_eq!(rig.client(6).read_all(), b"Hi", "it takes the place of what was there");
    assert_eq!(rig.client(6).write(b""), Ok(0));
}

#[test]
fn a_long_write_is_taken_in_pieces_until_the_content_is_full() {
    let rig = Rig::new();
    let client = rig.client(1);
    let data = pattern(3, CONTENT);
    assert_eq!(client.write(&data), Ok(ECHO));
    client.write_all(&data[ECHO..]);
    assert_eq!(client.write(b"more"), Err(Errno::ENOSPC));
    assert!(rig.client(2).read_all() == data);
    let memory = &rig.node.engine.keep.memory;
    assert_eq!(memory.free(), 64 << 10, "every block has come back");
}

#[test]
fn eight_writers_at_once_disturb_nobody() {
    let rig = Rig::new();
    let clients = (0..8).map(|handle| rig.client(handle)).map(|client| {
        std::thread::spawn(move || {
            for round in 0..50 {
                let data = pattern(client.file.handle * 1000 + round, 100);
                assert_eq!(client.write(&data), Ok(100));
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(rig.stat(COPIES), 400);
    let all = rig.client(100).read_all();
    assert_eq!(all.len(), 50 * 100);
    let whole = (0..8).any(|handle| all[4900..] == pattern(handle * 1000 + 49, 100));
    assert!(whole, "the last piece is one writer's");
    assert_eq!(rig.node.engine.keep.memory.free(), 64 << 10);
}

#[test]
fn a_write_that_does_not_block_is_queued_and_the_next_one_tells_how_it_ended() {
    let rig = Rig::new();
    rig.controls.stall(true);
    let client = Client::nonblocking(&rig, 1);
    assert_eq!(client.try_write(b"first"), Ok(5));
    assert_eq!(client.try_write(b"second"), Err(Errno::EAGAIN));
    assert_eq!(client.try_read(10), Err(Errno::EAGAIN), "it is not there yet");
    assert_eq!(client.poll(), PollEvents::empty());
    rig.controls.stall(false);
    eventually("the engine has it", || client.poll() != PollEvents::empty());
    assert_eq!(client.try_read(10).unwrap(), b"first");
    rig.controls.fail_next(1 << 9);
    assert_eq!(client.try_write(b"second"), Ok(6));
    eventually("the engine has failed", || client.poll() != PollEvents::empty());
    assert_eq!(client.try_write(b"third"), Err(Errno::EIO));
    assert_eq!(client.try_write(b"third"), Ok(5), "it goes where the second was to go");
    eventually("the engine has it", || client.poll() != PollEvents::empty());
    assert_eq!(rig.client(2).read_all(), b"firstthird");
}

#[test]
fn a_write_that_is_interrupted_before_it_begins_is_not_made() {
    let rig = Rig::new();
    rig.controls.stall(true);
    let (first, second) = (rig.client(1), rig.client(2));
    assert_eq!(first.try_write(b"first"), Err(Errno::EAGAIN));
    assert_eq!(second.try_write(b"second"), Err(Errno::EAGAIN));
    second.interrupt(WaitingCall::Write);
    rig.controls.stall(false);
    assert_eq!(first.write(b"first"), Ok(5));
    assert_eq!(rig.client(3).read_all(), b"first");
    assert_eq!(rig.stat(COPIES), 1);
    assert_eq!(second.write(b"again"), Ok(5), "and the next begins where it began");
    assert_eq!(rig.client(4).read_all(), b"again");
}

#[test]
fn the_end_of_an_interrupted_write_is_not_that_of_the_next() {
    let rig = Rig::new();
    rig.controls.stall(true);
    let client = rig.client(1);
    assert_eq!(client.try_write(b"first"), Err(Errno::EAGAIN));
    client.interrupt(WaitingCall::Write);
    assert_eq!(client.try_write(b"second"), Err(Errno::EAGAIN));
    rig.controls.fail_next(1 << 9);
    rig.controls.stall(false);
    assert_eq!(client.write(b"second"), Ok(6), "the first one failed, and this one did not");
    assert_eq!(rig.client(2).read_all(), b"second");
}
