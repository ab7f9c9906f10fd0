//! Rules of streaming mappings: one owner at a time, in the direction that was said.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn mapped(domain: &Arc<Domain>, data: &[u8], direction: Direction) -> Mapping {
    Mapping::new(domain, Buffer::copy_of(data).unwrap(), direction).unwrap()
}

#[test]
fn the_device_sees_what_was_written_before_and_the_cpu_what_the_device_wrote() {
    let (domain, fake) = domain();
    let mut mapping = mapped(&domain, b"to the device", Direction::Bidirectional);
    let mut seen = [0; 13];
    fake.read(mapping.iova(), &mut seen).unwrap();
    assert_eq!(&seen, b"to the device");
    fake.write(mapping.iova(), b"from it").unwrap();

    let mut cpu = mapping.sync_for_cpu();
    assert_eq!(&cpu[..], b"from itdevice");
    cpu[..3].copy_from_slice(b"and");
    cpu.sync_for_device();
    fake.read(mapping.iova(), &mut seen).unwrap();
    assert_eq!(&seen, b"andm itdevice");
    assert_eq!(mapping.len(), 13);
}

#[test]
fn while_the_cpu_owns_the_buffer_a_model_reads_ones_and_writes_nothing() {
    let (domain, fake) = domain();
    let mut mapping = mapped(&domain, b"mine", Direction::Bidirectional);
    let iova = mapping.iova();
    let cpu = mapping.sync_for_cpu();
    let mut seen = [0; 4];
    fake.read(iova, &mut seen).unwrap();
    fake.write(iova, b"hers").unwrap();
    assert_eq!((&cpu[..], seen), (&b"mine"[..], [u8::MAX; 4]));
    drop(cpu);
    fake.write(iova, b"hers").unwrap();
    assert_eq!(&mapping.sync_for_cpu()[..], b"hers");
    assert_eq!(fake.pages().upgrade().unwrap().refused(), 2);
}

#[test]
fn the_direction_is_a_right() {
    let (domain, fake) = domain();
    let to = mapped(&domain, &[1], Direction::ToDevice);
    let from = mapped(&domain, &[2], Direction::FromDevice);
    let mut byte = [0];
    assert_eq!((fake.read(to.iova(), &mut byte), byte), (Ok(()), [1]));
    assert_eq!(fake.write(to.iova(), &[9]), Err(Fault));
    assert_eq!(fake.write(from.iova(), &[9]), Ok(()));
    assert_eq!(fake.read(from.iova(), &mut byte), Err(Fault));
    assert_eq!(to.direction(), Direction::ToDevice);
    assert_eq!((to.unmap().unwrap()[0], from.unmap().unwrap()[0]), (1, 9));
}

#[test]
fn unmap_gives_the_buffer_back_and_the_device_reaches_it_no_more() {
    let (domain, fake) = domain();
    let mapping = mapped(&domain, &[0; 10], Direction::FromDevice);
    let iova = mapping.iova();
    fake.write(iova, b"0123456789").unwrap();
    let mut buffer = mapping.unmap().unwrap();
    assert_eq!(fake.write(iova, b"x"), Err(Fault));
    assert_eq!(&buffer[..], b"0123456789");
    buffer[0] = b'!';
    let again = Mapping::new(&domain, buffer, Direction::ToDevice).unwrap();
    let mut seen = [0; 10];
    fake.read(again.iova(), &mut seen).unwrap();
    assert_eq!(&seen, b"!123456789");
}

#[test]
fn a_buffer_that_cannot_be_mapped_comes_back_as_it_was() {
    let (domain, fake) = domain();
    fake.state().refuse_map = Some(Error::new(Errno::ENOMEM, "cannot map", "it"));
    let buffer = Buffer::copy_of(b"precious").unwrap();
    let failed = Mapping::new(&domain, buffer, Direction::ToDevice).unwrap_err();
    assert_eq!(failed.error().errno(), Errno::ENOMEM);
    let mut buffer = failed.into_buffer();
    buffer[0] = b'P';
    assert_eq!(&buffer[..], b"Precious");
}

#[test]
fn a_buffer_has_a_byte_at_least() {
    assert_eq!(Buffer::zeroed(0).unwrap_err().errno(), Errno::EINVAL);
    assert!(Buffer::zeroed(5).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn what_the_cpu_owns_does_not_change_under_its_eyes() {
    let (domain, fake) = domain();
    let mut mapping = mapped(&domain, &[0; 3 * PAGE], Direction::FromDevice);
    let (iova, stop) = (mapping.iova(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut fill = 0_u8;
            while !stop.load(Ordering::Relaxed) {
                fill = fill.wrapping_add(1);
                fake.write(iova, &[fill; 3 * PAGE]).unwrap();
            }
        });
        for _ in 0..300 {
            let cpu = mapping.sync_for_cpu();
            // A copy is whole, or has not begun.
            assert!(cpu.iter().all(|byte| *byte == cpu[0]));
            drop(cpu);
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
}
