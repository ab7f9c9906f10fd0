//! How long the kernel kept a thread waiting for a processor: `/proc/thread-self/schedstat`.
//!
//! See `Documentation/scheduler/sched-stats.rst`.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

/// How long the calling thread has been ready to run and did not, since it started. Zero on kernels that do not
/// say. Three system calls, no allocation.
pub(crate) fn run_delay() -> Duration {
    // Three numbers of at most 20 digits.
    let mut text = [0; 64];
    let path = "/proc/thread-self/schedstat";
    let read = File::open(path).and_then(|mut file| file.read(&mut text)).unwrap_or(0);
    parse(&text[..read]).unwrap_or_default()
}

/// `time on a processor, time waiting for one, slices`, the times in nanoseconds.
fn parse(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?;
    Some(Duration::from_nanos(text.split_ascii_whitespace().nth(1)?.parse().ok()?))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_is_the_delay() {
        assert_eq!(parse(b"5000 1234 7\n"), Some(Duration::from_nanos(1234)));
        assert_eq!(parse(b""), None);
        let before = run_delay();
        std::thread::yield_now();
        assert!(run_delay() >= before);
    }
}
