//! The machine `lockdown`: the kernel keeps even root from changing it, so there is no `uio_dummy`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use scenarios::{fd, pci, world};

/// Where the configuration space has the cache line's size, which nothing here depends on.
const CACHE_LINE_SIZE: u64 = 0x0c;

#[test]
fn the_kernel_is_locked_down_and_configuration_spaces_cannot_be_written() {
    world::require_machine("lockdown");
    let state = fs::read_to_string("/sys/kernel/security/lockdown").unwrap();
    assert!(state.contains("[integrity]"), "{state}");
    let config = OpenOptions::new().write(true).open(pci::edu(0).dir().join("config"));
    let refused = config.and_then(|config| config.write_at(&[0], CACHE_LINE_SIZE)).unwrap_err();
    assert_eq!(fd::errno(&refused), Errno::EPERM);
    assert!(!Path::new("/sys/module/uio_dummy").exists(), "a module without a signature");
    assert!(Path::new("/dev/vfio/vfio").exists(), "modules with one are loaded");
}
