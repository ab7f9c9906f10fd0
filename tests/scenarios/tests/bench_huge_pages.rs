//! Huge pages for DMA: what the error says when they are missing, and that doing it mends it. In the bench, where
//! nobody else wants them.
#![forbid(unsafe_code)]

use std::fs;
use std::sync::{Arc, Mutex};

use uio_core::device::sim::{DmaBus, Model, Models, SimLine};
use uio_core::device::{Device, DeviceSpec};
use uio_core::io::RegionModel;
use uio_core::irq::Dispatcher;
use uio_core::mem::dma::{Buffer, CoherentBox, Direction, Iova, Mapping, Pages};

const DIR: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";
const HUGE: usize = 2 << 20;

/// One story at a time has the huge pages.
static HUGE_PAGES: Mutex<()> = Mutex::new(());

fn count(name: &str) -> usize {
    fs::read_to_string(format!("{DIR}/{name}")).unwrap().trim().parse().unwrap()
}

fn set(pages: usize) {
    fs::write(format!("{DIR}/nr_hugepages"), pages.to_string()).unwrap();
    assert_eq!(count("nr_hugepages"), pages, "the guest has memory for them");
}

/// Does what stands between the backquotes of a hint: `echo NUMBER > FILE`.
fn follow(hint: &str) {
    let command = hint.split('`').nth(1).expect("a command in backquotes");
    let words: Vec<&str> = command.split(' ').collect();
    let ["echo", number, ">", file] = words[..] else { panic!("not as expected: {command}") };
    fs::write(file, number).unwrap();
}

#[test]
fn what_the_error_says_mends_it() {
    let _alone = HUGE_PAGES.lock().unwrap();
    set(0);
    let error = Pages::huge(HUGE + 1).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("it takes 2 of 2 MiB, and 0 of 0 are free: 2 too few"), "{text}");
    follow(error.hint().unwrap());
    let pages = Pages::huge(HUGE + 1).unwrap();
    assert_eq!((pages.len(), pages.page_size()), (2 * HUGE, HUGE));
    assert_eq!(pages.address().as_ptr().addr() % HUGE, 0);
    assert_eq!(count("free_hugepages"), 0, "they are taken at once, and not at the first touch");
    let error = Pages::huge(1).unwrap_err();
    assert!(error.to_string().contains("it takes 1 of 2 MiB, and 0 of 2 are free"), "{error}");
    drop(pages);
    assert_eq!(count("free_hugepages"), 2);
    set(0);
}

struct OnlyDma(Arc<DmaBus>);

impl Model for OnlyDma {
    fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
        Vec::new()
    }

    fn line(&self) -> Option<Arc<SimLine>> {
        None
    }

    fn dma(&self) -> Option<Arc<DmaBus>> {
        Some(Arc::clone(&self.0))
    }
}

#[test]
fn buffers_in_huge_pages_are_as_any_and_at_multiples_of_them() {
    let _alone = HUGE_PAGES.lock().unwrap();
    set(4);
    let dispatcher = Dispatcher::start("irq/test").unwrap();
    let bus = DmaBus::new();
    let made = Arc::clone(&bus);
    let models = Models::new().with("card", move || Ok(OnlyDma(Arc::clone(&made))));
    let device = Device::open(&DeviceSpec::Sim("card".to_owned()), &dispatcher, &models).unwrap();
    let domain = device.dma().unwrap();

    let ring = CoherentBox::<[u64]>::huge_slice(&domain, HUGE / 8).unwrap().into_coherent();
    let buffer = Buffer::huge(HUGE + 1).unwrap();
    let mut stream = Mapping::new(&domain, buffer, Direction::FromDevice).unwrap();
    assert_eq!((ring.iova().0 % HUGE as u64, stream.iova().0 % HUGE as u64), (0, 0));
    assert_eq!(count("free_hugepages"), 1);

    ring.write_at(HUGE / 8 - 1, 0x0102_0304_0506_0708);
    let mut last = [0; 8];
    bus.read(ring.iova_at(HUGE / 8 - 1), &mut last).unwrap();
    assert_eq!(u64::from_ne_bytes(last), 0x0102_0304_0506_0708);
    bus.write(Iova(stream.iova().0 + HUGE as u64), b"!").unwrap();
    assert_eq!(stream.sync_for_cpu()[HUGE], b'!');

    drop((ring, stream));
    assert_eq!(count("free_hugepages"), 4);
    set(0);
}
