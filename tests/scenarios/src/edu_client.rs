//! Clients of the node of `edu`: Python programs that know its ioctls by the numbers that `docs/edu.md` tells.

use std::path::Path;

use crate::client::{self, Client, Ended};

/// What every program begins with.
const PRELUDE: &str = r#"
import errno, fcntl, os, select, struct, sys, threading, time

ID, LIVENESS, FACTORIAL, DMA_WRITE, DMA_READ, RAISE, STATS = (
    0x80044500, 0xC0044501, 0xC0044502, 0x48084503, 0xC8084504, 0x40044505, 0x80584506)
STAT_NAMES = ("interrupts causes computed transfers_in bytes_in transfers_out bytes_out timeouts "
              "lost_interrupts has_dma irq_kind").split()

fd = os.open(os.environ["NODE"], os.O_RDWR)

def word(number, value=0):
    return struct.unpack("I", fcntl.ioctl(fd, number, struct.pack("I", value)))[0]

def dma(number, offset, length, data=b""):
    argument = bytearray(struct.pack("II2048s", offset, length, data))
    fcntl.ioctl(fd, number, argument)
    return bytes(argument[8:8 + length])

def stats():
    return dict(zip(STAT_NAMES, struct.unpack("11Q", fcntl.ioctl(fd, STATS, bytes(88)))))

def name_of_error(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        # Python knows this number by its other name.
        return "EOPNOTSUPP" if error.errno == errno.EOPNOTSUPP else errno.errorcode[error.errno]
    return "none"
"#;

/// A Python program with the node open as `fd`.
pub fn start(node: &Path, program: &str) -> Client {
    let mut command = client::script(node, r#"exec python3 -c "$PROGRAM""#);
    command.env("PROGRAM", format!("{PRELUDE}{program}"));
    Client::start(command)
}

/// Runs one to its end.
pub fn run(node: &Path, program: &str) -> Ended {
    start(node, program).finish("python3")
}

/// Has a client try all that the device does without DMA.
///
/// # Panics
///
/// If anything is not as it is to be.
pub fn try_all(node: &Path, irq_kind: &str, has_dma: bool) {
    let kind = if irq_kind == "msi" { 1 } else { 0 };
    let dma = u8::from(has_dma);
    let program = format!(
        r#"
assert word(ID) == 0x010000ed
assert word(LIVENESS, 0x12345678) == 0xedcba987
assert [word(FACTORIAL, n) for n in (0, 1, 5, 12, 13, 40)] == [1, 1, 120, 479001600, 1932053504, 0]
before = stats()
assert (before["irq_kind"], before["has_dma"]) == ({kind}, {dma}), before
assert before["computed"] >= 6 and before["interrupts"] >= 1, before
word(RAISE, 0x40000000)
end = time.monotonic() + 30
while not stats()["causes"] & 0x40000000:
    assert time.monotonic() < end, stats()
    time.sleep(0.01)
assert name_of_error(word, RAISE, 0) == "EINVAL"
assert name_of_error(word, 0x80044507) == "ENOTTY"
assert stats()["lost_interrupts"] == stats()["timeouts"] == 0, stats()
"#
    );
    run(node, &program).text();
}

/// Has a client move bytes both ways, and compare them.
///
/// # Panics
///
/// If anything is not as it is to be.
pub fn try_dma(node: &Path) {
    let program = r#"
for offset, length in ((0, 1), (0, 2048), (2047, 2048), (4094, 1), (777, 1000)):
    data = os.urandom(length)
    dma(DMA_WRITE, offset, length, data)
    assert dma(DMA_READ, offset, length) == data, (offset, length)
for offset, length in ((0, 0), (4095, 1), (2048, 2048), (4096, 1), (0xffffffff, 2), (0, 2049)):
    for number in (DMA_WRITE, DMA_READ):
        assert name_of_error(dma, number, offset, length) == "EINVAL", (offset, length)
assert os.write(fd, b"Hello\n") == 6
assert os.read(fd, 100) == b"Hello\n"
assert os.read(fd, 100) == b""
"#;
    run(node, program).text();
}
