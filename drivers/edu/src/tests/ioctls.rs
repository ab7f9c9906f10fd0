//! Every ioctl, on every kind of interrupt; several clients at once; what is refused.

use super::*;
use crate::ioctl::{DMA_WRITE, FACTORIAL, ID, LIVENESS, RAISE};

fn rigs() -> impl Iterator<Item = Rig> {
    BOTH.into_iter().map(|types| Rig::with(Options::default(), types))
}

#[test]
fn messages_are_taken_where_the_device_has_them_and_the_pin_if_asked_for() {
    assert!(Rig::new().controls.uses_messages());
    let [msi, intx] = BOTH.map(|types| Rig::with(Options::default(), types));
    assert!(msi.controls.uses_messages() && !intx.controls.uses_messages());
    assert_eq!([msi.stats()[10], intx.stats()[10]], [1, 0]);
}

#[test]
fn the_id_is_told_and_numbers_are_inverted() {
    for rig in rigs() {
        let client = rig.client(1);
        assert_eq!(client.ioctl(ID, &[], 4).unwrap(), 0x0100_00ED_u32.to_ne_bytes());
        assert_eq!(client.word(LIVENESS, 0x1234_5678), Ok(0xEDCB_A987));
    }
}

#[test]
fn a_factorial_is_computed_by_the_device() {
    for rig in rigs() {
        let client = rig.client(1);
        assert_eq!(client.word(FACTORIAL, 5), Ok(120));
        assert_eq!(client.word(FACTORIAL, 12), Ok(479_001_600));
        assert_eq!(client.word(FACTORIAL, 0), Ok(1));
        assert_eq!(client.word(FACTORIAL, 40), Ok(0), "modulo 2^32");
        assert!(rig.controls.raised() >= 4, "each was told by an interrupt");
        assert_eq!(rig.stats()[2], 4);
    }
}

#[test]
fn bytes_go_into_the_device_and_come_back() {
    for rig in rigs() {
        let client = rig.client(1);
        let data: Vec<u8> = (0..2048).map(|n: u32| n.to_le_bytes()[0] ^ 0x5A).collect();
        client.dma_write(100, &data).unwrap();
        assert_eq!(&rig.controls.buffer()[100..100 + 2048], &data[..]);
        assert_eq!(client.dma_read(100, 2048).unwrap(), data);
        assert_eq!(client.dma_read(101, 7).unwrap(), &data[1..8]);
        assert_eq!(rig.stats()[3..7], [1, 2048, 2, 2055]);
    }
}

#[test]
fn the_device_is_told_addresses_that_it_can_say() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.dma_write(0, b"x").unwrap();
    client.dma_read(0, 1).unwrap();
    let seen = rig.controls.transfers();
    assert_eq!([seen[0].to_device, seen[1].to_device], [true, false]);
    for transfer in seen {
        assert_eq!(transfer.asked, transfer.iova, "below 2^28");
        assert!(!transfer.refused);
    }
}

#[test]
fn a_transfer_that_would_end_the_emulator_is_refused() {
    let rig = Rig::new();
    let client = rig.client(1);
    for (offset, len) in [(0, 0), (4095, 1), (2048, 2048), (4096, 1), (u32::MAX, 2), (0, 2049)] {
        assert_eq!(client.dma_read(offset, len), Err(Errno::EINVAL), "{offset} {len}");
        let data = vec![0; len];
        assert_eq!(client.dma_write(offset, &data), Err(Errno::EINVAL), "{offset} {len}");
    }
    client.dma_write(2047, &[7; 2048]).unwrap();
    client.dma_read(4094, 1).unwrap();
    assert_eq!(rig.controls.crash(), None);
    assert_eq!(rig.controls.transfers().len(), 2, "what was refused did not reach the device");
}

#[test]
fn the_model_ends_when_the_driver_does_not_refuse() {
    // Past the driver: what `a_transfer_that_would_end_the_emulator_is_refused` relies on.
    let rig = Rig::new();
    let regs = rig.device.region(0, 0xA0).unwrap();
    use uio_core::io::Io;
    for (register, value) in [(0x80, 0), (0x88, 0x4_0000), (0x90, 4096), (0x98, 1)] {
        regs.write32(register, value);
    }
    eventually("the end", || rig.controls.crash().is_some());
}

#[test]
fn eight_clients_at_once_get_each_their_own() {
    for rig in rigs() {
        std::thread::scope(|scope| {
            for number in 0..8_u32 {
                let client = rig.client(u64::from(number) + 1);
                scope.spawn(move || busy_client(&client, number));
            }
        });
        assert_eq!(rig.stats()[2..4], [8 * 25, 8 * 25]);
        assert_eq!(rig.stats()[8], 0, "no interrupt was missed");
    }
}

fn busy_client(client: &Client, number: u32) {
    let product: u32 = (1..=number).product();
    for round in 0..25_u8 {
        assert_eq!(client.word(FACTORIAL, number), Ok(product));
        assert_eq!(client.word(LIVENESS, number), Ok(!number));
        let data = [round ^ number.to_le_bytes()[0]; 100];
        client.dma_write(number * 256, &data).unwrap();
        assert_eq!(client.dma_read(number * 256, 100).unwrap(), data);
    }
}

#[test]
fn an_interrupt_is_raised_on_demand_and_believed_by_nobody() {
    for rig in rigs() {
        rig.controls.stall(true);
        let client = rig.client(1);
        let (mut state, mut answer) = (0, [0; 4]);
        let input = 6_u32.to_ne_bytes();
        let mut attempt = || client.try_ioctl(FACTORIAL, &input, &mut answer, &mut state);
        assert_eq!(attempt(), Err(Errno::EAGAIN));
        let before = rig.stats()[0];
        let other = rig.client(2);
        other.ioctl(RAISE, &0x8000_0101_u32.to_ne_bytes(), 0).unwrap();
        eventually("the interrupt", || rig.stats()[0] > before);
        assert_eq!(rig.stats()[1] & 0x8000_0000, 0x8000_0000);
        assert_eq!(other.ioctl(RAISE, &[0; 4], 0), Err(Errno::EINVAL), "it would raise nothing");
        // The bits say that it has ended; the device says that it computes.
        assert_eq!(attempt(), Err(Errno::EAGAIN));
        rig.controls.stall(false);
        blocking(rig.node.write_wait(), attempt).unwrap();
        assert_eq!(u32::from_ne_bytes(answer), 720);
    }
}

#[test]
fn a_call_that_a_signal_ends_is_not_carried_out_if_it_waited() {
    let rig = Rig::new();
    rig.controls.stall(true);
    let client = rig.client(1);
    let mut write = |byte: u8| {
        let (mut input, mut state) = (edu_dma(u32::from(byte), 1), 0);
        input[8] = byte;
        assert_eq!(client.try_ioctl(DMA_WRITE, &input, &mut [], &mut state), Err(Errno::EAGAIN));
        state
    };
    let [running, waiting] = [1, 2].map(&mut write);
    for state in [running, waiting] {
        client.interrupt(WaitingCall::Ioctl { cmd: DMA_WRITE, state });
    }
    rig.controls.stall(false);
    client.dma_write(3, &[3]).unwrap();
    assert_eq!(rig.controls.buffer()[..4], [0, 1, 0, 3], "what ran, ran on");
}

#[test]
fn what_is_no_ioctl_is_enotty_and_what_is_short_is_einval() {
    let rig = Rig::new();
    let client = rig.client(1);
    assert_eq!(client.ioctl(IoctlCmd(0x4507), &[], 0), Err(Errno::ENOTTY));
    for cmd in [LIVENESS, FACTORIAL, DMA_WRITE, RAISE] {
        assert_eq!(client.ioctl(cmd, &[1, 2], 0), Err(Errno::EINVAL));
    }
}
