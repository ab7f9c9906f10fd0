//! What is made of written bytes: OPOST with ONLCR and OCRNL. Mirrors `do_output_char` of `drivers/tty/n_tty.c`.

use libc::{OCRNL, ONLCR, OPOST};
use uio_core::ring::spsc::Producer;

/// Puts as much of `data` into the ring as there is room for, and says how many bytes of it that was.
pub(crate) fn push(tx: &mut Producer<u8>, oflag: u32, data: &[u8]) -> usize {
    let has = |flag| oflag & flag != 0;
    if !(has(OPOST) && (has(ONLCR) || has(OCRNL))) {
        return tx.push_slice(data);
    }
    let mut taken = 0;
    for &byte in data {
        let made: &[u8] = match byte {
            b'\n' if has(ONLCR) => b"\r\n",
            b'\r' if has(OCRNL) => b"\n",
            _ => std::slice::from_ref(&byte),
        };
        // Whole, or not at all.
        if tx.free() < made.len() {
            break;
        }
        tx.push_slice(made);
        taken += 1;
    }
    taken
}

#[cfg(test)]
mod tests {
    use uio_core::ring::spsc;

    use super::*;

    fn output(oflag: u32, data: &[u8]) -> (usize, Vec<u8>) {
        let (mut tx, mut out) = spsc::channel(8);
        let taken = push(&mut tx, oflag, data);
        let mut made = [0; 8];
        let count = out.pop_slice(&mut made);
        (taken, made[..count].to_vec())
    }

    #[test]
    fn line_ends_are_translated_with_opost_only() {
        assert_eq!(output(ONLCR, b"a\nb"), (3, b"a\nb".to_vec()));
        assert_eq!(output(OPOST | ONLCR, b"a\nb"), (3, b"a\r\nb".to_vec()));
        assert_eq!(output(OPOST | OCRNL, b"a\rb"), (3, b"a\nb".to_vec()));
    }

    #[test]
    fn a_line_end_is_put_whole_or_not_at_all() {
        assert_eq!(output(OPOST | ONLCR, b"1234567\n"), (7, b"1234567".to_vec()));
    }
}
