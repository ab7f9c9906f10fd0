//! The machines of the bench: what a guest's hardware, its kernels and its kernel line are.
//!
//! Those of this machine's architecture are one PC ([`mod@super::pc`]); a variant takes something away or adds something,
//! so that what stands in the way of a driver can be shown. Those of arm64 are boards whose hardware a device tree
//! describes ([`mod@super::board`]).

use crate::arch::Arch;
use crate::failure::{Result, usage};
use crate::kernels::{AMD64_KERNELS, ARM64_KERNELS, Kernel};
use crate::paths::RunDir;

use super::board::{self, Board};
use super::pc::{self, Pc};

/// One of the bench's machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// What `--machine` calls it.
    pub(crate) name: &'static str,
    /// The kernels that it boots, the default last.
    pub(crate) kernels: &'static [Kernel],
    hardware: Hardware,
    /// What it adds to the kernel line.
    kernel_line: &'static str,
    /// Whether its guests load the VFIO modules; the files are there in any case.
    pub(crate) loads_vfio: bool,
    /// Whether its kernel takes a module without a signature, as `uio_dummy` is one.
    pub(crate) loads_unsigned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hardware {
    Pc(Pc),
    Board(Board),
}

const DEFAULT: Machine = Machine {
    name: "default",
    kernels: &AMD64_KERNELS,
    hardware: Hardware::Pc(pc::DEFAULT),
    kernel_line: "intel_iommu=on",
    loads_vfio: true,
    loads_unsigned: true,
};

const VIRT: Machine = Machine {
    name: "virt",
    kernels: &ARM64_KERNELS,
    hardware: Hardware::Board(Board::VIRT),
    kernel_line: "",
    loads_vfio: false,
    loads_unsigned: true,
};

/// The processor of the Versal has no pages of 16 KiB.
const WITH_SMALL_PAGES: &[Kernel] = &[ARM64_KERNELS[1]];

/// Every machine, the default first.
pub(crate) const MACHINES: [Machine; 9] = [
    DEFAULT,
    // For devices that come and go under access. Where processors have threads, QEMU before 8.1 can look up an access of
    // one in the memory map that another is just replacing, and dies of it.
    Machine { name: "one-thread", hardware: Hardware::Pc(pc::IN_ONE_THREAD), ..DEFAULT },
    Machine {
        name: "no-iommu",
        hardware: Hardware::Pc(pc::WITHOUT_IOMMU),
        kernel_line: "intel_iommu=off",
        ..DEFAULT
    },
    Machine { name: "no-intremap", hardware: Hardware::Pc(pc::WITHOUT_REMAPPING), ..DEFAULT },
    Machine {
        name: "lockdown",
        kernel_line: "intel_iommu=on lockdown=integrity",
        loads_unsigned: false,
        ..DEFAULT
    },
    Machine { name: "no-vfio", loads_vfio: false, ..DEFAULT },
    Machine { name: "group", hardware: Hardware::Pc(pc::WITH_GROUP), ..DEFAULT },
    VIRT,
    Machine {
        name: "versal",
        kernels: WITH_SMALL_PAGES,
        hardware: Hardware::Board(Board::VERSAL),
        ..VIRT
    },
];

/// A fault of the kernel ends the guest at once; a watchdog on a busy host would cry wolf.
const KERNEL_LINE: &str = "panic=-1 oops=panic nowatchdog rcupdate.rcu_cpu_stall_suppress=1";

impl Machine {
    /// The machine of that name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let found = MACHINES.into_iter().find(|machine| machine.name == name);
        found.ok_or_else(|| {
            let names = MACHINES.map(|machine| machine.name).join(", ");
            usage(format!("vm: no machine '{name}'; there are {names}"))
        })
    }

    pub(crate) fn arch(&self) -> Arch {
        self.default_kernel().arch
    }

    pub(crate) fn default_kernel(&self) -> Kernel {
        self.kernels[self.kernels.len() - 1]
    }

    /// Its kernel of that name.
    pub(crate) fn kernel(&self, name: &str) -> Result<Kernel> {
        let found = self.kernels.iter().find(|kernel| kernel.name == name);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = self.kernels.iter().map(|kernel| kernel.name).collect();
            let (machine, names) = (self.name, names.join(" and "));
            usage(format!("vm: machine {machine} has no kernel '{name}'; there is {names}"))
        })
    }

    /// The board that it is, if a device tree describes it.
    pub(crate) fn board(&self) -> Option<Board> {
        match self.hardware {
            Hardware::Pc(_) => None,
            Hardware::Board(board) => Some(board),
        }
    }

    /// The whole kernel line.
    pub(crate) fn kernel_line(&self) -> String {
        let hardware = match self.hardware {
            Hardware::Pc(_) => pc::KERNEL_LINE,
            Hardware::Board(_) => board::KERNEL_LINE,
        };
        format!("{hardware} {KERNEL_LINE} {}", self.kernel_line)
    }

    /// The serial ports that stories talk to. Each one's other end is the virtio port `NAME-end`.
    pub(crate) fn serials(&self) -> &'static [&'static str] {
        match self.hardware {
            Hardware::Pc(_) => &pc::SERIALS,
            Hardware::Board(_) => &[],
        }
    }

    /// QEMU's options for the hardware, without the ports of the virtio device.
    pub(crate) fn options(&self, run_dir: &RunDir) -> Result<Vec<String>> {
        match self.hardware {
            Hardware::Pc(pc) => pc.options(run_dir),
            Hardware::Board(board) => Ok(board.options()),
        }
    }
}
