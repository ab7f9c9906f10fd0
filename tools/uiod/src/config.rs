//! The configuration file: TOML that says the same as the flags.
//!
//! ```toml
//! run-dir = "/run/uiod"
//! log = "info"
//! node-kind = "auto"          # for every device that does not say otherwise
//!
//! [[device]]
//! device = "uio:uio_dummy"
//! driver = "uio-dummy"
//! irq = "auto"                # or intx, msi, msix
//! node = "uio_dummy0"
//! mode = "660"
//! group = "plugdev"
//! i-accept-dma-risk = false   # true: it may master the bus without an IOMMU (uio_pci_generic)
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use uio_core::Result;
use uio_core::error::Error;

/// The file as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) run_dir: Option<PathBuf>,
    pub(crate) log: Option<String>,
    pub(crate) irq: Option<String>,
    pub(crate) node_kind: Option<String>,
    pub(crate) node_dir: Option<PathBuf>,
    pub(crate) mode: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) group: Option<String>,
    #[serde(default, rename = "device")]
    pub(crate) devices: Vec<DeviceConfig>,
}

/// One `[[device]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DeviceConfig {
    pub(crate) device: String,
    pub(crate) driver: Option<String>,
    pub(crate) irq: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) node_kind: Option<String>,
    pub(crate) node_dir: Option<PathBuf>,
    pub(crate) mode: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) group: Option<String>,
    #[serde(default)]
    pub(crate) i_accept_dma_risk: bool,
}

/// Reads and checks the form of the file at `path`.
pub(crate) fn read(path: &Path) -> Result<Config> {
    let text = fs::read_to_string(path)
        .map_err(|error| Error::from_io(&error, "cannot read config", path.display()))?;
    parse(&text).map_err(|(line, cause)| {
        Error::invalid("cannot use config", format_args!("{}:{line}", path.display()), cause)
    })
}

/// The config in `text`, or the line and the cause of what is wrong.
fn parse(text: &str) -> Result<Config, (usize, String)> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count() + 1;
        (line, error.message().replace('\n', " "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_says_the_same_as_the_flags() {
        let config = parse(
            "run-dir = '/x'\nlog = 'debug'\n[[device]]\ndevice = 'sim:uio_dummy'\nmode = '660'\n",
        )
        .unwrap();
        assert_eq!(config.run_dir.as_deref(), Some(Path::new("/x")));
        assert_eq!(config.devices[0].mode.as_deref(), Some("660"));
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let (line, cause) =
            parse("log = 'info'\n[[device]]\ndevice = 'a'\nnoode = 'x'\n").unwrap_err();
        assert_eq!(line, 4);
        assert!(cause.contains("noode") && cause.contains("node-kind"), "{cause}");
    }

    #[test]
    fn text_that_is_not_toml_is_refused() {
        assert!(parse("[[device]\n").is_err());
        assert!(parse("log = 3").is_err());
    }
}
