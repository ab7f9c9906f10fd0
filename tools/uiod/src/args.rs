//! The command line. What it means is decided in [`settings`](crate::settings).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use uio_core::chardev::NodeKind;
use uio_core::device::DeviceSpec;
use uio_core::pci::IrqTypes;

/// Runs userspace drivers and serves their /dev nodes.
///
/// Without a command it runs its embedded default, a simulated device: uio_dummy.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs drivers on devices.
    Run(Run),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The devices: sim:uio_dummy, uio:uio0, uio:NAME, uio:SYSFS-PATH or pci:0000:00:03.0.
    #[arg(value_name = "DEVICE", required_unless_present = "config")]
    pub(crate) devices: Vec<DeviceSpec>,
    /// A TOML file that says the same as these flags; flags given here win.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Args, Default)]
pub(crate) struct Options {
    /// The driver, where the device's name does not tell.
    #[arg(long, value_name = "NAME")]
    pub(crate) driver: Option<String>,
    /// The kind of interrupts: auto takes the best that the device has, MSI-X, MSI, INTx.
    #[arg(long, value_name = "auto|intx|msi|msix")]
    pub(crate) irq: Option<IrqTypes>,
    /// The node's name; the driver's own plus a number without it.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// How the node is made: auto takes CUSE where the kernel has it, else FUSE.
    #[arg(long, value_name = "auto|cuse|fuse")]
    pub(crate) node_kind: Option<NodeKind>,
    /// Where FUSE nodes are made [default: the run directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) node_dir: Option<PathBuf>,
    /// The node's access mode, octal [default: 600].
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub(crate) mode: Option<u32>,
    /// The node's owner, a name or a number.
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<String>,
    /// The node's group, a name or a number.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Lets a device master the bus also on uio_pci_generic, where no IOMMU keeps it from any of the memory.
    #[arg(long)]
    pub(crate) i_accept_dma_risk: bool,
    /// Where the control socket is made [default: /run/uiod for root, $XDG_RUNTIME_DIR/uiod for others].
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, or a filter [default: info].
    #[arg(long, value_name = "FILTER", env = "UIOD_LOG")]
    pub(crate) log: Option<String>,
}

/// An access mode as `chmod` takes it: octal, permission bits only.
pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(format!(
            "cannot use mode {text}: an access mode is three octal digits, such as 660"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(parse_mode("660"), Ok(0o660));
        assert!(parse_mode("rw-").is_err() && parse_mode("1777").is_err());
    }
}
