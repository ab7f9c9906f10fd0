//! Reads and writes that are larger than one request of the kernel (128 KiB), aligned and not.

use scenarios::client;
use scenarios::daemon::Daemon;
use scenarios::stream::Pattern;
use scenarios::{fd, task};

const MIB: usize = 1 << 20;

/// Writes `total` bytes in calls of `size` from a buffer that starts `shift` bytes into a page, and reads them
/// the same way.
fn through(size: usize, shift: usize, total: usize) {
    let daemon = Daemon::start();
    let (from, to) = (fd::writer(daemon.node()), fd::reader(daemon.node()));
    let writing = task::spawn(move || {
        let (mut pattern, mut left) = (Pattern::new(9), total);
        let mut buf = vec![0; shift];
        while left > 0 {
            buf.truncate(shift);
            buf.extend(pattern.clone().take(size.min(left)));
            let written = fd::write(&from, &buf[shift..]).unwrap();
            assert!(written > 0);
            pattern.take(written);
            left -= written;
        }
    });
    let reading = task::spawn(move || {
        let (mut pattern, mut left) = (Pattern::new(9), total);
        let mut buf = vec![0; shift + size];
        while left > 0 {
            let count = fd::read_into(&to, &mut buf[shift..]).unwrap();
            assert!(count > 0 && count <= left);
            pattern.check(&buf[shift..shift + count]);
            left -= count;
        }
    });
    writing.finish("the writer");
    reading.finish("the reader");
}

#[test]
fn calls_of_a_mebibyte() {
    through(MIB, 0, 4 * MIB);
}

#[test]
fn calls_from_and_to_an_unaligned_buffer() {
    through(MIB, 1, 2 * MIB);
}

#[test]
fn calls_just_over_one_request() {
    through(128 * 1024 + 1, 3, MIB);
}

#[test]
fn a_large_read_does_not_wait_for_more_than_there_is() {
    let daemon = Daemon::start();
    let file = fd::both(daemon.node());
    let bytes = Pattern::new(4).take(50_000);
    assert_eq!(fd::write(&file, &bytes), Ok(50_000));
    let mut expected = Pattern::new(4);
    let mut left = 50_000;
    while left > 0 {
        let file = file.try_clone().unwrap();
        let reading = task::spawn(move || fd::read(&file, MIB));
        let got = reading.finish("a read of what is there").unwrap();
        expected.check(&got);
        left -= got.len();
    }
}

#[test]
fn dd_in_blocks_of_a_mebibyte() {
    let daemon = Daemon::start();
    client::random_file(&daemon.home().path().join("file"), 3 * MIB as u64 + 17);
    let script = format!(
        r#"
        cd {} || exit 1
        dd if=file of="$NODE" bs=1M 2> /dev/null &
        head -c {} "$NODE" | cmp - file && echo same
        wait
        "#,
        daemon.home().path().display(),
        3 * MIB + 17,
    );
    assert_eq!(client::shell(daemon.node(), &script).text(), "same\n");
}
