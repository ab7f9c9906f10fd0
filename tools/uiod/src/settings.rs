//! What the daemon is to run: the command line and the configuration file, made into one.

use std::path::PathBuf;

use nix::unistd::{Group, User};
use tracing_subscriber::EnvFilter;
use uio_core::Result;
use uio_core::chardev::{self, NodeKind};
use uio_core::device::{DeviceSpec, OpenOptions};
use uio_core::error::Error;
use uio_core::pci::IrqTypes;

use crate::args::{Cli, Command, Options, Run, parse_mode};
use crate::config::{self, Config, DeviceConfig};

/// Everything that the daemon is told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) devices: Vec<DeviceSettings>,
    pub(crate) run_dir: PathBuf,
    pub(crate) log: String,
}

/// One device to run.
#[derive(Debug)]
pub(crate) struct DeviceSettings {
    pub(crate) spec: DeviceSpec,
    pub(crate) driver: Option<String>,
    /// The kinds of interrupts that the driver may take.
    pub(crate) irq_types: IrqTypes,
    pub(crate) node: chardev::Options,
    pub(crate) open: OpenOptions,
}

impl Settings {
    /// Makes the settings. Nothing is opened yet but the configuration file. `embedded` is the device of a command line
    /// that names none.
    ///
    /// # Errors
    ///
    /// `EINVAL` for what is not usable, with the flag or the line that says it.
    pub(crate) fn from_cli(cli: &Cli, embedded: Option<&str>) -> Result<Self> {
        match &cli.command {
            Some(Command::Run(run)) => {
                let config = run.config.as_deref().map(config::read).transpose()?;
                Self::new(run, &config.unwrap_or_default())
            }
            None => {
                let nothing = || {
                    Error::invalid("cannot run", "nothing", "no device is named")
                        .with_hint("name one: uiod run DEVICE")
                };
                let spec = embedded.ok_or_else(nothing)?.parse()?;
                Self::combine(vec![(spec, None)], &cli.options, &Config::default())
            }
        }
    }

    fn new(run: &Run, config: &Config) -> Result<Self> {
        let mut devices: Vec<(DeviceSpec, Option<&DeviceConfig>)> = Vec::new();
        for device in &config.devices {
            devices.push((device.device.parse()?, Some(device)));
        }
        for spec in &run.devices {
            let listed = config.devices.iter().find(|device| device.device == spec.to_string());
            if listed.is_none() {
                devices.push((spec.clone(), None));
            }
        }
        if devices.is_empty() {
            return Err(Error::invalid("cannot run", "nothing", "the config names no device")
                .with_hint(
                    "add a [[device]] with `device = \"uio:NAME\"`, or name one after `run`",
                ));
        }
        Self::combine(devices, &run.options, config)
    }

    fn combine(
        devices: Vec<(DeviceSpec, Option<&DeviceConfig>)>,
        flags: &Options,
        config: &Config,
    ) -> Result<Self> {
        if devices.len() > 1 && flags.node.is_some() {
            return Err(Error::invalid(
                "cannot use --node",
                flags.node.as_deref().unwrap_or(""),
                "several devices cannot have one node",
            )
            .with_hint("give each its `node` in a --config file"));
        }
        let run_dir = match flags.run_dir.as_ref().or(config.run_dir.as_ref()) {
            Some(dir) => dir.clone(),
            None => uio_core::default_run_dir(),
        };
        let log = flags.log.as_ref().or(config.log.as_ref()).map_or("info", String::as_str);
        if let Err(cause) = EnvFilter::try_new(log) {
            return Err(Error::invalid("cannot use log filter", log, cause));
        }
        let devices = devices
            .into_iter()
            .map(|(spec, device)| {
                let layers = Layers { flags, device, config };
                let driver = layers.text(|f| &f.driver, |d| &d.driver, |_| &None);
                let irq_types = layers.irq_types()?;
                let open = layers.open();
                Ok(DeviceSettings { spec, driver, irq_types, node: layers.node(&run_dir)?, open })
            })
            .collect::<Result<_>>()?;
        Ok(Self { devices, log: log.to_owned(), run_dir })
    }
}

/// Where a setting of one device may stand: the flags win over its own section, that over the file's top.
struct Layers<'a> {
    flags: &'a Options,
    device: Option<&'a DeviceConfig>,
    config: &'a Config,
}

impl<'a> Layers<'a> {
    fn first<T: Clone + 'a>(
        &self,
        flag: impl FnOnce(&'a Options) -> &'a Option<T>,
        device: impl FnOnce(&'a DeviceConfig) -> &'a Option<T>,
        config: impl FnOnce(&'a Config) -> &'a Option<T>,
    ) -> Option<T> {
        flag(self.flags)
            .as_ref()
            .or_else(|| self.device.and_then(|section| device(section).as_ref()))
            .or_else(|| config(self.config).as_ref())
            .cloned()
    }

    fn text(
        &self,
        flag: impl FnOnce(&'a Options) -> &'a Option<String>,
        device: impl FnOnce(&'a DeviceConfig) -> &'a Option<String>,
        config: impl FnOnce(&'a Config) -> &'a Option<String>,
    ) -> Option<String> {
        self.first(flag, device, config)
    }

    /// A setting whose flag is parsed already and whose text in the file is not.
    fn parsed<T: Clone>(
        &self,
        key: &'static str,
        flag: Option<T>,
        device: impl FnOnce(&'a DeviceConfig) -> &'a Option<String>,
        config: impl FnOnce(&'a Config) -> &'a Option<String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        if flag.is_some() {
            return Ok(flag);
        }
        let text = self
            .device
            .and_then(|section| device(section).as_ref())
            .or_else(|| config(self.config).as_ref());
        text.map(|text| {
            parse(text).map_err(|cause| {
                Error::invalid("cannot use", format_args!("`{key} = \"{text}\"`"), cause)
            })
        })
        .transpose()
    }

    fn irq_types(&self) -> Result<IrqTypes> {
        let types = self.parsed(
            "irq",
            self.flags.irq,
            |d| &d.irq,
            |c| &c.irq,
            |text| text.parse::<IrqTypes>().map_err(|error| error.to_string()),
        )?;
        Ok(types.unwrap_or(IrqTypes::ALL))
    }

    fn open(&self) -> OpenOptions {
        let listed = self.device.is_some_and(|device| device.i_accept_dma_risk);
        OpenOptions::default().accept_dma_risk(self.flags.i_accept_dma_risk || listed)
    }

    fn node(&self, run_dir: &std::path::Path) -> Result<chardev::Options> {
        let name = self.text(|f| &f.node, |d| &d.node, |_| &None);
        if name.as_deref() == Some("") {
            // To the driver no name means one of its own; that is not what was asked for.
            return Err(Error::invalid("cannot use node name", "\"\"", "it is empty")
                .with_hint("leave it out to have the driver's own name"));
        }
        let mut node = chardev::Options::new(name.unwrap_or_default());
        let kind = self.parsed(
            "node-kind",
            self.flags.node_kind,
            |d| &d.node_kind,
            |c| &c.node_kind,
            |text| text.parse::<NodeKind>().map_err(|error| error.to_string()),
        )?;
        node.kind = kind.unwrap_or(NodeKind::Auto);
        let dir = self.first(|f| &f.node_dir, |d| &d.node_dir, |c| &c.node_dir);
        node.dir = dir.unwrap_or_else(|| run_dir.to_owned());
        let mode = self.parsed("mode", self.flags.mode, |d| &d.mode, |c| &c.mode, parse_mode)?;
        node.mode = mode.unwrap_or(node.mode);
        let owner = self.text(|f| &f.owner, |d| &d.owner, |c| &c.owner);
        node.owner = owner.as_deref().map(user_id).transpose()?;
        let group = self.text(|f| &f.group, |d| &d.group, |c| &c.group);
        node.group = group.as_deref().map(group_id).transpose()?;
        Ok(node)
    }
}

fn user_id(text: &str) -> Result<u32> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    match User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        _ => Err(Error::invalid("cannot use owner", text, "there is no such user")),
    }
}

fn group_id(text: &str) -> Result<u32> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(Error::invalid("cannot use group", text, "there is no such group")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;

    fn settings(args: &[&str]) -> Result<Settings> {
        Settings::from_cli(&Cli::try_parse_from(args).unwrap(), Some("sim:uio_dummy"))
    }

    fn config(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn without_arguments_the_embedded_default_runs() {
        let settings = settings(&["uiod"]).unwrap();
        assert_eq!(settings.devices.len(), 1);
        assert_eq!(settings.devices[0].spec.to_string(), "sim:uio_dummy");
        assert_eq!(settings.devices[0].node.mode, 0o600);
    }

    #[test]
    fn a_flag_wins_over_the_section_and_the_section_over_the_top_of_the_file() {
        let file = config(
            "mode = '640'\nnode-kind = 'cuse'\ngroup = '7'\n[[device]]\ndevice = 'sim:uio_dummy'\nmode = '660'\n",
        );
        let path = file.path().to_str().unwrap();
        let all = settings(&["uiod", "run", "--config", path]).unwrap();
        let node = &all.devices[0].node;
        assert_eq!((node.mode, node.kind, node.group), (0o660, NodeKind::Cuse, Some(7)));
        let all = settings(&["uiod", "run", "--config", path, "--mode", "600"]).unwrap();
        assert_eq!(all.devices[0].node.mode, 0o600);
    }

    #[test]
    fn the_kind_of_interrupts_is_any_unless_somebody_says_which() {
        let types = |args| settings(args).unwrap().devices[0].irq_types;
        assert_eq!(types(&["uiod"]), IrqTypes::ALL);
        assert_eq!(types(&["uiod", "run", "sim:uio_dummy", "--irq", "intx"]), IrqTypes::INTX);
    }

    #[test]
    fn the_risk_of_dma_is_accepted_for_all_by_the_flag_or_for_one_in_its_section() {
        let accepts = |args: &[&str]| settings(args).unwrap().devices[0].open.accept_dma_risk;
        assert!(!accepts(&["uiod", "run", "pci:00:03.0"]));
        assert!(accepts(&["uiod", "run", "pci:00:03.0", "--i-accept-dma-risk"]));
        let file = config("[[device]]\ndevice = 'pci:0000:00:03.0'\ni-accept-dma-risk = true\n");
        assert!(accepts(&["uiod", "run", "--config", file.path().to_str().unwrap()]));
    }

    #[test]
    fn a_device_named_twice_runs_once() {
        let file = config("[[device]]\ndevice = 'sim:uio_dummy'\n");
        let path = file.path().to_str().unwrap();
        let all = settings(&["uiod", "run", "sim:uio_dummy", "--config", path]).unwrap();
        assert_eq!(all.devices.len(), 1);
    }

    #[test]
    fn what_is_not_usable_is_named() {
        for (text, said) in [
            ("mode = '9'\n[[device]]\ndevice = 'sim:uio_dummy'", "mode"),
            ("owner = 'no such'\n[[device]]\ndevice = 'sim:uio_dummy'", "no such"),
            ("log = 'a=b=c'\n[[device]]\ndevice = 'sim:uio_dummy'", "a=b=c"),
            ("log = 'info'", "no device"),
            ("[[device]]\ndevice = 'usb:1'", "usb:1"),
            ("irq = 'nmi'\n[[device]]\ndevice = 'sim:uio_dummy'", "irq"),
            ("node-kind = 'x'\n[[device]]\ndevice = 'sim:uio_dummy'", "node-kind"),
        ] {
            let file = config(text);
            let error = settings(&["uiod", "run", "--config", file.path().to_str().unwrap()]);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn an_empty_node_name_is_none() {
        let error = settings(&["uiod", "--node", ""]).unwrap_err().to_string();
        assert!(error.contains("node name") && error.contains("empty"), "{error}");
    }

    #[test]
    fn one_node_name_is_for_one_device() {
        let error =
            settings(&["uiod", "run", "sim:uio_dummy", "uio:uio0", "--node", "x"]).unwrap_err();
        assert!(error.to_string().contains("--node"), "{error}");
    }
}
