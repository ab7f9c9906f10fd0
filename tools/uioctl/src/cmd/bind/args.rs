//! The arguments of `bind` and `unbind`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uioctl bind 00:03.0 vfio-pci --dry-run      what would be done, step by step
  uioctl bind 00:03.0 vfio-pci --group        with all that share its IOMMU group
  uioctl bind 00:03.0 uio_pci_generic         without an IOMMU
  uioctl bind 00:03.0 vfio-pci --persist      and at every boot
  uioctl bind 00:03.0 e1000e                  back to the kernel's own driver
  uioctl bind of:/soc/dma@ffa80000            a node of the device tree, to uio_pdrv_genirq
  uioctl bind ffa80000.dma                    the same, by its name on the platform bus

When a step fails, everything is taken back to what it was.")]
pub(crate) struct BindArgs {
    /// A PCI function, as 00:03.0; or a platform device, as of:/NODE, of:COMPATIBLE, its name or uio:WHICH
    pub(crate) device: String,

    /// vfio-pci, uio_pci_generic, or any other driver of the device's bus [default for platform devices:
    /// uio_pdrv_genirq]
    pub(crate) driver: Option<String>,

    /// Bind it at every boot, by a rule of udev
    #[arg(long)]
    pub(crate) persist: bool,

    #[command(flatten)]
    pub(crate) how: How,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  uioctl unbind 00:03.0                       give it back to the kernel
  uioctl unbind 00:03.0 --driverless          leave it without a driver
  uioctl unbind 00:03.0 --forget              and bind it no more at boot
  uioctl unbind of:/soc/dma@ffa80000          a node of the device tree")]
pub(crate) struct UnbindArgs {
    /// A PCI function, as 00:03.0; or a platform device, as of:/NODE, of:COMPATIBLE, its name or uio:WHICH
    pub(crate) device: String,

    /// Leave it without a driver; without this the kernel looks for its own
    #[arg(long)]
    pub(crate) driverless: bool,

    /// Remove the rule that binds it at every boot
    #[arg(long)]
    pub(crate) forget: bool,

    #[command(flatten)]
    pub(crate) how: How,
}

/// What both have in common.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// All functions of its IOMMU group, or none
    #[arg(long)]
    pub(crate) group: bool,

    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Even if it is in use: what uses it will fail
    #[arg(long)]
    pub(crate) force: bool,

    /// How long the kernel may take for each step
    #[arg(long, value_name = "SECS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    #[command(flatten)]
    pub(crate) places: Places,
}

impl How {
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// Where udev keeps its things.
#[derive(Debug, Args)]
pub(crate) struct Places {
    /// Where rules of udev are kept
    #[arg(long, hide = true, value_name = "DIR", default_value = uio_core::sys::sysfs::rule::DIR)]
    pub(crate) rules_dir: PathBuf,

    /// Where udev keeps what it knows of devices
    #[arg(long, hide = true, value_name = "DIR", default_value = "/run/udev/data")]
    pub(crate) udev_data: PathBuf,
}
