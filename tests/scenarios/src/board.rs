//! The boards of the bench: their UIO devices, by the names that the overlays in `dts/` give them.

use std::fs;
use std::path::Path;

use nix::unistd::{SysconfVar, sysconf};
use uio_core::sys::sysfs::{Sysfs, UioInfo};

/// The UIO device of that name.
///
/// # Panics
///
/// If there is none.
pub fn uio(name: &str) -> UioInfo {
    Sysfs::default().find_uio(name).unwrap_or_else(|error| panic!("{error}"))
}

/// The names and the addresses of a device's maps.
pub fn maps(info: &UioInfo) -> Vec<(&str, u64)> {
    info.maps.iter().map(|map| (map.name.as_str(), map.addr)).collect()
}

/// The release of the kernel.
///
/// # Panics
///
/// If `/proc` is not there.
pub fn kernel_release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the release");
    release.trim_end().to_owned()
}

/// The size of a page in bytes.
///
/// # Panics
///
/// If the system does not say.
pub fn page_size() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).expect("a limit of the system");
    size.and_then(|size| u64::try_from(size).ok()).expect("a size")
}

/// Whether the device tree that the kernel was started with has the node.
pub fn has_node(path: &str) -> bool {
    Path::new("/proc/device-tree").join(path.trim_start_matches('/')).is_dir()
}
