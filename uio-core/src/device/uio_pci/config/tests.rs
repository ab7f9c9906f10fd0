//! The configuration space of a function whose files are plain files.

use std::fs;

use super::*;
use crate::pci::ConfigSpace;

struct Function {
    dir: tempfile::TempDir,
    access: Arc<UioPciConfig>,
    space: ConfigSpace,
}

fn function(may_master: bool) -> Function {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = [0_u8; 256];
    bytes[..4].copy_from_slice(&[0x34, 0x12, 0xE8, 0x11]);
    bytes[4..6].copy_from_slice(&[0x03, 0x05]);
    fs::write(dir.path().join("config"), bytes).unwrap();
    let files = Arc::new(PciFiles::open(dir.path().to_owned()).unwrap());
    let size = files.config_size().unwrap();
    let access = Arc::new(UioPciConfig::new(files, size, may_master, Arc::default()).unwrap());
    let space = ConfigSpace::new(Arc::clone(&access) as _);
    Function { dir, access, space }
}

impl Function {
    fn command(&self) -> [u8; 2] {
        let bytes = fs::read(self.dir.path().join("config")).unwrap();
        [bytes[4], bytes[5]]
    }

    /// What the kernel's handler does when the pin fires.
    fn fires(&self) {
        let path = self.dir.path().join("config");
        let mut bytes = fs::read(&path).unwrap();
        bytes[5] |= (DISABLE >> 8) as u8;
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn arming_changes_one_bit() {
    let function = function(true);
    assert_eq!(function.command(), [0x03, 0x05]);
    function.access.arm().unwrap();
    assert_eq!(function.command(), [0x03, 0x01]);
    function.access.disarm().unwrap();
    assert_eq!(function.command(), [0x03, 0x05]);
}

#[test]
fn a_driver_that_writes_the_register_back_does_not_touch_the_line() {
    let function = function(true);
    function.access.arm().unwrap();
    function.fires();
    let read = function.space.command().unwrap();
    function.access.arm().unwrap();
    function.space.write16(COMMAND, (read | Command::MASTER).bits()).unwrap();
    assert_eq!(function.command(), [0x07, 0x01], "armed as before");
    function.space.update_command(Command::empty(), Command::SERR).unwrap();
    assert_eq!(function.command(), [0x07, 0x00], "another bit of the byte is changed");
    function.fires();
    function.access.arm().unwrap();
    assert_eq!(function.command(), [0x07, 0x00], "and stays so");
}

#[test]
fn bus_mastering_is_refused_until_it_is_accepted() {
    let function = function(false);
    let refused = function.space.update_command(Command::MASTER, Command::empty());
    assert_eq!(refused, Err(Errno::EPERM));
    assert_eq!(function.command(), [0x03, 0x05]);
    assert_eq!(function.space.write32(COMMAND, 0x7), Err(Errno::EPERM));
    function.space.update_command(Command::empty(), Command::IO).unwrap();
    assert_eq!(function.command(), [0x02, 0x05], "what it may do it does");
}

#[test]
fn a_function_that_is_gone_is_left_alone() {
    let function = function(true);
    function.access.gone.store(true, Ordering::Release);
    assert_eq!(function.access.arm(), Err(Errno::ENODEV));
    assert_eq!(function.space.read32(0), Err(Errno::ENODEV));
    assert_eq!(function.space.write8(0x40, 1), Err(Errno::ENODEV));
}
