//! The buffer as a small file.

use uio_core::chardev::PollEvents;

use super::*;

#[test]
fn what_was_written_is_read_to_its_end_by_everybody() {
    for types in BOTH {
        let rig = Rig::with(Options::default(), types);
        assert_eq!(rig.client(1).read(10).unwrap(), b"", "nothing was written yet");
        assert_eq!(rig.client(2).write(b"Hello\n"), Ok(6));
        assert_eq!(rig.controls.buffer()[..6], *b"Hello\n");
        for handle in [3, 4] {
            let cat = rig.client(handle);
            assert_eq!(cat.read(4096).unwrap(), b"Hello\n");
            assert_eq!(cat.read(4096).unwrap(), b"", "the end");
        }
        let slow = rig.client(5);
        assert_eq!(slow.read(4).unwrap(), b"Hell");
        assert_eq!(slow.read(4).unwrap(), b"o\n");
    }
}

#[test]
fn an_open_file_writes_on_and_a_new_one_from_the_start() {
    let rig = Rig::new();
    let first = rig.client(1);
    assert_eq!((first.write(b"one "), first.write(b"two")), (Ok(4), Ok(3)));
    assert_eq!(rig.client(2).read(100).unwrap(), b"one two");
    assert_eq!(rig.client(3).write(b"3"), Ok(1));
    assert_eq!(rig.client(4).read(100).unwrap(), b"3");
}

#[test]
fn a_file_that_is_full_says_so() {
    let rig = Rig::new();
    let client = rig.client(1);
    let data = [7; 3000];
    assert_eq!(client.write(&data), Ok(2048));
    assert_eq!(client.write(&data[2048..]), Err(Errno::ENOSPC));
    assert_eq!(rig.client(2).read(4096).unwrap(), &data[..2048]);
}

#[test]
fn a_write_that_does_not_block_is_queued_and_the_next_one_tells_how_it_ended() {
    let rig = Rig::new();
    let client = Client::nonblocking(&rig, 1);
    rig.controls.stall(true);
    assert_eq!(rig.node.write(&client.file, b"ab"), Ok(2));
    assert_eq!(rig.node.write(&client.file, b"cd"), Err(Errno::EAGAIN));
    assert!(!rig.node.poll(&client.file).contains(PollEvents::OUT));
    rig.controls.stall(false);
    let ready = || Ok::<_, Errno>(rig.node.poll(&client.file).contains(PollEvents::OUT));
    blocking(rig.node.write_wait(), || ready()?.then_some(()).ok_or(Errno::EAGAIN)).unwrap();
    assert_eq!(rig.node.write(&client.file, b"cd"), Ok(2));
    drop(client);
    assert_eq!(rig.client(2).read(10).unwrap(), b"abcd", "it is written though the file is closed");
}

#[test]
fn a_poll_fetches_what_a_read_that_does_not_block_finds() {
    let rig = Rig::new();
    rig.client(1).write(b"old").unwrap();
    let client = Client::nonblocking(&rig, 2);
    let ready = || match rig.node.poll(&client.file).contains(PollEvents::IN) {
        true => Ok(()),
        false => Err(Errno::EAGAIN),
    };
    blocking(rig.node.read_wait(), ready).unwrap();
    rig.client(3).write(b"new").unwrap();
    // What was fetched is stale, and is fetched anew.
    assert_eq!(client.read(10).unwrap(), b"new");
    assert_eq!(client.read(10).unwrap(), b"");
    assert_eq!(ready(), Ok(()), "the end can be read");
}

#[test]
fn a_write_that_a_signal_ends_is_not_written_twice() {
    let rig = Rig::new();
    rig.controls.stall(true);
    let client = rig.client(1);
    assert_eq!(rig.node.write(&client.file, b"again"), Err(Errno::EAGAIN));
    client.interrupt(WaitingCall::Write);
    rig.controls.stall(false);
    assert_eq!(client.write(b"again"), Ok(5));
    assert_eq!(rig.client(2).read(100).unwrap(), b"again");
}

#[test]
fn a_read_that_a_signal_ends_leaves_nothing_behind() {
    let rig = Rig::new();
    rig.client(1).write(b"first").unwrap();
    rig.controls.stall(true);
    let client = rig.client(2);
    let mut buf = [0; 10];
    assert_eq!(rig.node.read(&client.file, &mut buf), Err(Errno::EAGAIN));
    client.interrupt(WaitingCall::Read);
    rig.controls.stall(false);
    rig.client(3).write(b"second").unwrap();
    assert_eq!(client.read(10).unwrap(), b"second");
}
