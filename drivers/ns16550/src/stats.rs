//! What a port counts: `struct serial_icounter_struct` of `include/uapi/linux/serial.h`.

/// Bytes of the structure: eleven counts and nine places for more.
pub(crate) const ICOUNT_BYTES: usize = 80;

/// The counts since the driver was bound. They wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) cts: u32,
    pub(crate) dsr: u32,
    /// Rings that ended.
    pub(crate) rng: u32,
    pub(crate) dcd: u32,
    pub(crate) rx: u32,
    pub(crate) tx: u32,
    pub(crate) frame: u32,
    /// Characters that the UART lost because the driver was late.
    pub(crate) overrun: u32,
    pub(crate) parity: u32,
    pub(crate) brk: u32,
}

impl Counts {
    /// As TIOCGICOUNT gives it. The last count, of characters lost in a buffer, is always 0: what does not fit the
    /// ring stays in the UART.
    pub(crate) fn write(&self, to: &mut [u8]) {
        let counts = [
            self.cts,
            self.dsr,
            self.rng,
            self.dcd,
            self.rx,
            self.tx,
            self.frame,
            self.overrun,
            self.parity,
            self.brk,
            0,
        ];
        let bytes = counts.iter().flat_map(|count| count.to_ne_bytes());
        to.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
    }
}

/// Counts one more.
pub(crate) fn bump(count: &mut u32) {
    *count = count.wrapping_add(1);
}
