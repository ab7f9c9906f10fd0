//! The command line: [`Cli`] and the arguments of each command, as `clap` derives them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use uio_core::device::DeviceSpec;

use crate::cmd::attribute::AttributeArgs;
use crate::cmd::bind::{BindArgs, Places, UnbindArgs};
use crate::registers::Place;
use crate::size::{parse_number, parse_size};

/// Look at the address space, the interrupts and the userspace-driven devices of this machine
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed or nothing found, 2 wrong usage.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print JSON for programs instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to colour; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = ColorWhen::Auto, value_name = "WHEN")]
    pub(crate) color: ColorWhen,

    /// Where procfs is mounted
    #[arg(long, global = true, hide = true, default_value = "/proc", value_name = "DIR")]
    pub(crate) proc: PathBuf,

    /// Where sysfs is mounted
    #[arg(long, global = true, hide = true, default_value = "/sys", value_name = "DIR")]
    pub(crate) sysfs: PathBuf,

    /// Where everything else is: /dev, /boot, /lib/modules, /usr
    #[arg(long, global = true, hide = true, default_value = "/", value_name = "DIR")]
    pub(crate) root: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Who owns which physical addresses: the tree of /proc/iomem
    Iomem(ResourceArgs),
    /// Who owns which I/O ports: the tree of /proc/ioports
    Ioports(ResourceArgs),
    /// Interrupts: counts per CPU, chip, trigger, affinity and handlers, or their rates
    Irq(IrqArgs),
    /// Softirqs: how often each bottom half ran, the kernel's by CPU and those of the uiod daemons
    Softirqs(SoftirqArgs),
    /// UIO, device-tree and PCI devices with their maps, drivers and interrupts; opens none of them
    Ls,
    /// What stands in the way of a device, or of any: each thing with what mends it
    Doctor(DoctorArgs),
    /// Read a register, or words of a region, of a device
    Peek(PeekArgs),
    /// Write one word to a device, and read nothing
    Poke(PokeArgs),
    /// Print all readable registers of a device by name, or a region word by word
    Dump(DumpArgs),
    /// Give a device to a driver: vfio-pci, uio_pci_generic, uio_pdrv_genirq, or one of the kernel's own
    Bind(BindArgs),
    /// Give a device back to the kernel's own driver, or to none
    Unbind(UnbindArgs),
    /// What the running uiod daemons drive: devices, interrupt lines, nodes; or who has a device
    Status(StatusArgs),
    /// One access to one attribute, which may block
    #[command(hide = true)]
    Attribute(AttributeArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uioctl iomem 0xfee00000        the innermost owner of an address, below its parents
  uioctl iomem 'pci bus'         everything with this in its name
  uioctl iomem --min-size 1M     everything of at least 1 MiB
  ssh board cat /proc/iomem | uioctl iomem --file -")]
pub(crate) struct ResourceArgs {
    /// An address as 0x..., or a part of a name in any case
    pub(crate) query: Option<String>,

    /// Only resources of exactly this size, such as 4096, 0x1000, 4K or 1MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) size: Option<u128>,

    /// Only resources of at least this size
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) min_size: Option<u128>,

    /// Only resources of at most this size
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_size: Option<u128>,

    #[command(flatten)]
    pub(crate) input: InputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uioctl irq nvme                the interrupts of a driver
  uioctl irq 24                  one interrupt
  uioctl irq --watch             rates, each second, the busiest first
  uioctl irq --watch=0.5 eth0    the rates of one device, twice a second")]
pub(crate) struct IrqArgs {
    /// The number or name of an interrupt, or a part of a handler's or chip's name in any case
    pub(crate) query: Option<String>,

    /// Show rates every SECS seconds until Ctrl-C, the busiest first
    #[arg(long, value_name = "SECS", num_args = 0..=1, default_missing_value = "1")]
    pub(crate) watch: Option<String>,

    /// With --watch: stop after N tables
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// A column for each CPU, however many there are
    #[arg(long)]
    pub(crate) per_cpu: bool,

    #[command(flatten)]
    pub(crate) input: InputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The kernel's come first, then those of each uiod that answers: rounds in which each ran, and the time in it.
A --file is shown alone: it may be of another machine.")]
pub(crate) struct SoftirqArgs {
    /// A column for each CPU, however many there are
    #[arg(long)]
    pub(crate) per_cpu: bool,

    #[command(flatten)]
    pub(crate) daemons: DaemonArgs,

    #[command(flatten)]
    pub(crate) input: InputArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 0 says that the device is ready: no fault was found. Warnings and notes do not count.
Examples:
  uioctl doctor                  the machine: IOMMU, modules, rights, limits
  uioctl doctor 0000:00:03.0     a PCI device, and the machine as far as it concerns it
  uioctl doctor uio:uio0         a UIO device
  uioctl doctor of:/pl031@9010000  a node of the device tree: is it there, whose is it, what mends it
  uioctl doctor sim:uio_dummy    a simulated device")]
pub(crate) struct DoctorArgs {
    /// pci:BDF or BDF, uio:uio0 or uio:NAME, of:/NODE or of:COMPATIBLE, a platform device's name, sim:MODEL; the whole
    /// machine without
    pub(crate) device: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uioctl peek uio:uio_dummy Ticks        a register that the driver publishes
  uioctl peek pci:00:03.0 0:0x08         four bytes at an offset of BAR 0
  uioctl peek pci:00:03.0 0:0 --width 8 --count 8
  uioctl peek of:/pl031@9010000 0:0xfe0 --count 4
A daemon that runs the device does it; where none does, the device is opened for as long as it takes.")]
pub(crate) struct PeekArgs {
    /// The device: uio:uio0, uio:NAME, of:/NODE, pci:BDF, or sim:NAME in a daemon
    #[arg(value_name = "DEVICE")]
    pub(crate) device: DeviceSpec,

    /// A register by name, or REGION:OFFSET; the region by number or name
    #[arg(value_name = "PLACE", value_parser = Place::parse)]
    pub(crate) place: Place,

    /// Bits of one access [default: the register's width, else 32]
    #[arg(long, value_name = "8|16|32|64", value_parser = parse_width)]
    pub(crate) width: Option<u64>,

    /// So many words, one behind the other
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) count: u64,

    #[command(flatten)]
    pub(crate) daemons: DaemonArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uioctl poke uio:uio_dummy PeriodUs 500
  uioctl poke pci:00:03.0 0:0x20 0x80
What it wrote stands in the log of the daemon that runs the device, or else in the system's.")]
pub(crate) struct PokeArgs {
    /// The device: uio:uio0, uio:NAME, of:/NODE, pci:BDF, or sim:NAME in a daemon
    #[arg(value_name = "DEVICE")]
    pub(crate) device: DeviceSpec,

    /// A register by name, or REGION:OFFSET; the region by number or name
    #[arg(value_name = "PLACE", value_parser = Place::parse)]
    pub(crate) place: Place,

    /// The value, such as 18 or 0x12
    #[arg(value_name = "VALUE", value_parser = parse_value)]
    pub(crate) value: u64,

    /// Bits of the access [default: the register's width, else 32]
    #[arg(long, value_name = "8|16|32|64", value_parser = parse_width)]
    pub(crate) width: Option<u64>,

    #[command(flatten)]
    pub(crate) daemons: DaemonArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uioctl dump uio:uio_dummy              the registers that the driver publishes, with their fields
  uioctl dump pci:00:03.0 0 --bytes 64   the first words of BAR 0
Registers that are write-only are left out. A region is read whole, whatever a read does to the device.")]
pub(crate) struct DumpArgs {
    /// The device: uio:uio0, uio:NAME, of:/NODE, pci:BDF, or sim:NAME in a daemon
    #[arg(value_name = "DEVICE")]
    pub(crate) device: DeviceSpec,

    /// A region by number or name; without it, the registers by name
    #[arg(value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// Where to begin in the region, in bytes
    #[arg(long, value_name = "OFFSET", default_value = "0", value_parser = parse_value)]
    pub(crate) offset: u64,

    /// How many bytes of the region [default: to its end]
    #[arg(long, value_name = "BYTES", value_parser = parse_value)]
    pub(crate) bytes: Option<u64>,

    /// Bits of one access [default: 32]
    #[arg(long, value_name = "8|16|32|64", value_parser = parse_width)]
    pub(crate) width: Option<u64>,

    #[command(flatten)]
    pub(crate) daemons: DaemonArgs,
}

/// A width in bits as the command line has it, in bytes.
fn parse_width(text: &str) -> Result<u64, String> {
    match text {
        "8" => Ok(1),
        "16" => Ok(2),
        "32" => Ok(4),
        "64" => Ok(8),
        _ => Err(format!("cannot use width {text}: an access has 8, 16, 32 or 64 bits")),
    }
}

fn parse_value(text: &str) -> Result<u64, String> {
    parse_number(text)
        .ok_or_else(|| format!("cannot use {text}: write a number such as 18 or 0x12"))
}

#[derive(Debug, Args)]
pub(crate) struct InputArgs {
    /// Read saved text instead of the running kernel's; - is standard input
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uioctl status                  the daemons, and the devices that are bound for userspace
  uioctl status 00:03.0          a PCI function: driver, override, IOMMU group, who has it open
  uioctl status of:/pl031@9010000  a platform device: driver, override, regions, interrupts, properties")]
pub(crate) struct StatusArgs {
    /// A PCI function, as 00:03.0; or a platform device, as of:/NODE, of:COMPATIBLE, its name or uio:WHICH
    pub(crate) device: Option<String>,

    #[command(flatten)]
    pub(crate) daemons: DaemonArgs,

    #[command(flatten)]
    pub(crate) places: Places,
}

#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// Where the daemons keep their sockets [default: /run/uiod, or $XDG_RUNTIME_DIR/uiod for users]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

impl DaemonArgs {
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(uio_core::default_run_dir)
    }
}

/// What clap says about a wrong command line in one line, without its usage and frame.
pub(crate) fn one_line(text: &str) -> String {
    let mut said = String::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            continue;
        }
        let line = line.strip_prefix("error: ").unwrap_or(line);
        if !line.is_empty() {
            let tip = line.starts_with("tip:") || line.starts_with("[possible values");
            said.push_str(if said.is_empty() {
                ""
            } else if tip {
                "; "
            } else {
                " "
            });
            said.push_str(line.strip_prefix("tip: ").unwrap_or(line));
        }
    }
    said.push_str("; see uioctl --help");
    said
}
