//! The boards of the bench: machines of arm64 whose hardware a device tree describes.
//!
//! QEMU makes the tree for the board that it emulates. A guest gets that tree with overlays applied
//! ([`mod@super::tree`]), by which its blocks become UIO devices; those that are there for everybody are in `dts/`, in a
//! folder by the name of the machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Result};
use crate::paths;
use crate::process::{command, run_quietly};

use super::pc::escaped;

/// An emulated board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Board {
    /// The machine's name, and that of the folder with its overlays.
    pub(crate) name: &'static str,
    /// All options that the tree depends on.
    platform: &'static [&'static str],
}

/// What the kernel of a board has to be told.
pub(crate) const KERNEL_LINE: &str = "console=ttyAMA0";

/// The virtio device that the ports are of. Both boards have free places for it in their trees.
const DEVICES: [&str; 4] =
    ["-global", "virtio-mmio.force-legacy=false", "-device", "virtio-serial-device"];

impl Board {
    /// QEMU's own: a clock (PL031), a GPIO block (PL061) with the power button on its line 3, PCI Express. Its processor is one
    /// that has pages of 16 KiB besides those of 4 KiB.
    pub(crate) const VIRT: Self = Self {
        name: "virt",
        platform: &["-M", "virt,gic-version=3", "-cpu", "neoverse-n1", "-smp", "2", "-m", "1G"],
    };

    /// AMD's Versal: eight channels of a DMA engine. QEMU wants four processors at least, of which Linux brings up one.
    pub(crate) const VERSAL: Self = Self {
        name: "versal",
        platform: &[
            "-M",
            "xlnx-versal-virt",
            "-smp",
            "4",
            "-m",
            "2G",
            // Peers for its two Ethernet controllers: QEMU would complain on standard error.
            "-nic",
            "user,restrict=on",
            "-nic",
            "user,restrict=on",
        ],
    };

    /// QEMU's options for the hardware, without the ports of the virtio device.
    pub(crate) fn options(self) -> Vec<String> {
        self.platform.iter().chain(&DEVICES).map(|word| (*word).to_owned()).collect()
    }

    /// Writes the board's own tree.
    pub(crate) fn dump_tree(self, to: &Path) -> Result<()> {
        let mut qemu = command("qemu-system-aarch64");
        qemu.args(self.platform).args(["-nodefaults", "-no-user-config", "-display", "none"]);
        qemu.arg("-M").arg(format!("dumpdtb={}", escaped(to)));
        run_quietly(&mut qemu)
    }

    /// The folder of its overlays.
    pub(crate) fn overlays_dir(self) -> PathBuf {
        paths::root().join("dts").join(self.name)
    }

    /// The overlays that a guest has when it is not asked for others.
    pub(crate) fn overlays(self) -> Result<Vec<PathBuf>> {
        let dir = self.overlays_dir();
        let entries = fs::read_dir(&dir).on("read", &dir)?.flatten().map(|entry| entry.path());
        let is_overlay = |path: &PathBuf| path.extension().is_some_and(|end| end == "dtso");
        let mut overlays: Vec<PathBuf> = entries.filter(is_overlay).collect();
        overlays.sort();
        Ok(overlays)
    }
}
