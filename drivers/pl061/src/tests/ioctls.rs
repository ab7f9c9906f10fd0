//! The ioctls: levels and settings of several lines at once, and what is refused.

use pl061_model::{Options, Outputs};

use super::*;
use crate::ioctl::{GET_CHIPINFO, GET_LINEINFO};

const INPUT: u64 = 1 << 2;
const OUTPUT: u64 = 1 << 3;
const EDGES: u64 = 1 << 4 | 1 << 5;
const TELLS_HIGH: u64 = 1 << 62;

#[test]
fn levels_of_several_lines_are_read_and_set_together() {
    let rig = Rig::new();
    let client = rig.client(1);
    client.configure(OUTPUT, 0xF0, 0xA0).unwrap();
    rig.controls.drive(0x0F, 0x05);
    assert_eq!(client.levels(0xFF), Ok(0xA5));
    assert_eq!(client.levels(0x3C), Ok(0x24));
    rig.controls.shown();
    client.set_levels(0x50, 0xF0).unwrap();
    assert_eq!(rig.controls.shown(), [Outputs { driven: 0xF0, levels: 0x50 }], "in one go");
    client.set_levels(0xFFFF, 0x80).unwrap();
    assert_eq!(client.levels(0xFF), Ok(0xD5), "the others are as they were");
}

#[test]
fn clients_that_set_different_lines_at_once_lose_nothing() {
    let rig = Rig::new();
    rig.client(99).configure(OUTPUT, 0xFF, 0).unwrap();
    std::thread::scope(|scope| {
        for line in 0..8_u64 {
            let client = rig.client(line + 1);
            scope.spawn(move || {
                for round in 0..500_u64 {
                    client.set_levels((round & 1) << line, 1 << line).unwrap();
                    assert_eq!(client.levels(1 << line), Ok((round & 1) << line));
                }
            });
        }
    });
    assert_eq!(rig.controls.outputs().levels, 0xFF);
}

#[test]
fn clients_that_set_up_different_lines_at_once_lose_nothing() {
    let rig = Rig::new();
    std::thread::scope(|scope| {
        for line in 0..8_u64 {
            let client = rig.client(line + 1);
            scope.spawn(move || {
                for _ in 0..100 {
                    client.configure(OUTPUT, 1 << line, 1 << line).unwrap();
                    client.configure(INPUT | EDGES, 1 << line, 0).unwrap();
                }
            });
        }
    });
    assert_eq!((rig.controls.register(DIR), rig.controls.register(IE)), (0, 0xFF));
    let client = rig.client(99);
    let now = rig.controls.register(DATA);
    rig.controls.drive(0xFF, !now);
    assert_eq!(client.events(8).len(), 8);
}

#[test]
fn a_line_is_told_as_it_was_set_up() {
    let rig = Rig::with(Options { afsel: 0x01, ..Options::default() });
    let client = rig.client(1);
    client.configure(INPUT | EDGES, 0x02, 0).unwrap();
    client.configure(OUTPUT, 0x04, 0).unwrap();
    client.configure(INPUT | TELLS_HIGH, 0x08, 0).unwrap();
    let flags = |line: u32| {
        let mut bytes = vec![0; 256];
        bytes[64..68].copy_from_slice(&line.to_ne_bytes());
        let answer = client.ioctl(GET_LINEINFO, &bytes, 256)?;
        assert_eq!(answer[64..68], line.to_ne_bytes());
        Ok(u64::from_ne_bytes(answer[72..80].try_into().unwrap()))
    };
    assert_eq!(
        [0, 1, 2, 3].map(flags),
        [Ok(INPUT | 1), Ok(INPUT | EDGES), Ok(OUTPUT), Ok(INPUT | TELLS_HIGH)]
    );
    assert_eq!(flags(8), Err(Errno::EINVAL));
}

#[test]
fn the_chip_is_told() {
    let rig = Rig::new();
    let answer = rig.client(1).ioctl(GET_CHIPINFO, &[], 68).unwrap();
    assert_eq!(&answer[..9], b"gpiouio0\0");
    assert_eq!(&answer[32..38], b"pl061\0");
    assert_eq!(answer[64..], 8_u32.to_ne_bytes());
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let rig = Rig::with(Options { afsel: 0x80, ..Options::default() });
    let client = rig.client(1);
    client.configure(OUTPUT, 0x03, 0x01).unwrap();
    let before = rig.controls.outputs();
    assert_eq!(client.set_levels(0xFF, 0x06), Err(Errno::EPERM), "line 2 is an input");
    assert_eq!(client.set_levels(1, 0), Err(Errno::EINVAL), "no line");
    assert_eq!(client.set_levels(1, 0x101), Err(Errno::EINVAL), "line 8");
    assert_eq!(client.levels(0), Err(Errno::EINVAL));
    assert_eq!(client.levels(1 << 40), Err(Errno::EINVAL));
    assert_eq!(client.configure(OUTPUT | EDGES, 0x01, 0), Err(Errno::EINVAL));
    assert_eq!(client.configure(OUTPUT, 0x84, 0), Err(Errno::EBUSY));
    assert_eq!(client.ioctl(SET_FORMAT, &2_u32.to_ne_bytes(), 0), Err(Errno::EINVAL));
    assert_eq!(client.ioctl(SET_CONFIG, &[0; 16], 272), Err(Errno::EINVAL), "too short");
    // `GPIO_V2_GET_LINE_IOCTL`: a node has no descriptors to give.
    assert_eq!(client.ioctl(IoctlCmd(0xC250_B407), &[0; 592], 592), Err(Errno::ENOTTY));
    assert_eq!(rig.controls.outputs(), before);
}

#[test]
fn a_change_of_form_begins_with_a_whole_event() {
    let rig = Rig::new();
    let client = rig.reader_of_text(1);
    client.say("0 in both");
    rig.controls.set(0, true);
    assert_eq!(client.read(5).unwrap().len(), 5);
    client.ioctl(SET_FORMAT, &1_u32.to_ne_bytes(), 0).unwrap();
    rig.controls.set(0, false);
    assert_eq!(client.event(), [FALLING, 0, 2, 2], "what was begun is dropped");
}
