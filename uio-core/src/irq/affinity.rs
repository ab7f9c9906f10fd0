//! [`HardwareIrq`]: which processors the kernel brings an interrupt to (`/proc/irq/N/smp_affinity_list`).
//!
//! Placing the dispatcher near the processor that takes the hardware interrupt saves a wake-up across caches;
//! this is the kernel's half of that, [`ThreadOptions::cpus`](super::ThreadOptions::cpus) is ours.
//!
//! Mirrors `kernel/irq/proc.c`; see `Documentation/core-api/irq/irq-affinity.rst`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{Error, Result};

/// Where the kernel shows its interrupts: `/proc`, or a copy of it in a test.
#[derive(Debug, Clone)]
pub struct ProcIrq {
    root: PathBuf,
}

impl Default for ProcIrq {
    fn default() -> Self {
        Self::at("/proc")
    }
}

impl ProcIrq {
    /// Below `root`, which stands for `/proc`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Interrupt `number`, as in the first column of `/proc/interrupts`.
    pub fn hardware_irq(&self, number: u32) -> HardwareIrq {
        HardwareIrq { number, dir: self.root.join("irq").join(number.to_string()) }
    }
}

/// An interrupt of the kernel.
#[derive(Debug, Clone)]
pub struct HardwareIrq {
    number: u32,
    dir: PathBuf,
}

impl HardwareIrq {
    /// The processors that the interrupt may be brought to.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such interrupt; `EIO` if the kernel's text is not understood.
    pub fn affinity(&self) -> Result<Vec<usize>> {
        self.read_list("smp_affinity_list")
    }

    /// The processors that it is brought to in fact; most interrupt controllers choose one.
    ///
    /// # Errors
    ///
    /// Those of [`affinity`](Self::affinity).
    pub fn effective_affinity(&self) -> Result<Vec<usize>> {
        self.read_list("effective_affinity_list")
    }

    /// Asks the kernel to bring the interrupt to `cpus` from now on.
    ///
    /// # Errors
    ///
    /// - `ENOENT` if there is no such interrupt;
    /// - `EACCES` if the caller is not root;
    /// - `EINVAL` if none of `cpus` is online, `ERANGE` if the machine has no processor of such a number;
    /// - `EIO`, or `EPERM` from newer kernels, if the kernel does not let this interrupt be moved: it belongs to
    ///   one processor, or the kernel places it itself.
    #[doc(alias = "irq_set_affinity")]
    pub fn set_affinity(&self, cpus: &[usize]) -> Result<()> {
        let list = cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        if list.is_empty() {
            return Err(Error::invalid("cannot move interrupt", self.number, "to no processor"));
        }
        let path = self.dir.join("smp_affinity_list");
        // Without O_CREAT: what is not there is no interrupt.
        let written = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut file| io::Write::write_all(&mut file, list.as_bytes()));
        written.map_err(|error| self.explain(&error, &list))
    }

    fn explain(&self, error: &io::Error, list: &str) -> Error {
        let thing = format!("{} to processors {list}", self.number);
        let explained = Error::from_io(error, "cannot move interrupt", thing);
        match explained.errno() {
            Errno::ENOENT => explained
                .with_cause("there is no such interrupt")
                .with_hint("look for its number in /proc/interrupts"),
            Errno::EACCES => explained.with_hint("run as root"),
            Errno::EINVAL | Errno::EOVERFLOW | Errno::ERANGE => explained
                .with_cause("none of them is online")
                .with_hint("see /sys/devices/system/cpu/online"),
            // To the write: who may not open the file hears of `EACCES`.
            Errno::EIO | Errno::EPERM => explained
                .with_cause("the kernel does not let it be moved")
                .with_hint("it belongs to one processor, or the kernel places it itself (managed)"),
            _ => explained,
        }
    }

    fn read_list(&self, file: &str) -> Result<Vec<usize>> {
        let path = self.dir.join(file);
        let failed = |error: io::Error| {
            let error = Error::from_io(&error, "cannot read", path.display());
            match error.errno() {
                Errno::ENOENT => error.with_hint("look for its number in /proc/interrupts"),
                _ => error,
            }
        };
        let text = fs::read_to_string(&path).map_err(failed)?;
        parse_list(text.trim()).ok_or_else(|| not_a_list(&path, &text))
    }
}

fn not_a_list(path: &Path, text: &str) -> Error {
    Error::new(Errno::EIO, "cannot understand", path.display())
        .with_cause(format!("it says {:?}, not a list of processors", text.trim()))
}

/// `0-2,5` is 0, 1, 2 and 5; nothing is nothing.
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn proc_with(irq: u32, list: &str) -> (tempfile::TempDir, ProcIrq) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("irq").join(irq.to_string());
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("smp_affinity_list"), list).unwrap();
        let proc = ProcIrq::at(root.path());
        (root, proc)
    }

    #[test]
    fn the_affinity_is_read_as_the_kernel_prints_it() {
        let (_root, proc) = proc_with(24, "0-2,5\n");
        assert_eq!(proc.hardware_irq(24).affinity().unwrap(), [0, 1, 2, 5]);
    }

    #[test]
    fn the_affinity_is_written_as_a_list() {
        let (root, proc) = proc_with(24, "0-3\n");
        proc.hardware_irq(24).set_affinity(&[1, 3]).unwrap();
        let text = fs::read_to_string(root.path().join("irq/24/smp_affinity_list")).unwrap();
        assert!(text.starts_with("1,3"), "{text}");
    }

    #[test]
    fn an_interrupt_that_is_not_there_is_not_made() {
        let (root, proc) = proc_with(24, "0\n");
        let error = proc.hardware_irq(25).set_affinity(&[0]).unwrap_err();
        assert_eq!(error.errno(), Errno::ENOENT);
        assert!(error.to_string().contains("there is no such interrupt"), "{error}");
        assert!(!root.path().join("irq/25").exists());
    }

    #[test]
    fn what_the_kernel_refuses_is_explained() {
        let irq = ProcIrq::default().hardware_irq(24);
        let refused =
            |errno: i32| irq.explain(&io::Error::from_raw_os_error(errno), "1").to_string();
        assert!(refused(libc::EIO).contains("does not let it be moved"));
        assert!(refused(libc::EPERM).contains("does not let it be moved"));
        assert!(refused(libc::EINVAL).contains("none of them is online"));
        assert!(refused(libc::ERANGE).contains("none of them is online"));
        assert!(refused(libc::EACCES).contains("run as root"));
        assert!(irq.set_affinity(&[]).unwrap_err().to_string().contains("to no processor"));
    }
}
