//! Devices that work only while another does: [`consumers`], from the links between devices that the kernel keeps.
//!
//! The kernel takes the driver of a consumer away before that of its supplier (`device_links_unbind_consumers` in
//! `drivers/base/core.c`). The format is that of `Documentation/ABI/testing/sysfs-devices-consumer` and
//! `sysfs-class-devlink`.

use std::path::Path;

use super::super::{entry_names, text_or_empty};
use super::Use;

/// The devices that are at work thanks to the one in `dir`, by name.
pub(super) fn consumers(dir: &Path) -> Vec<Use> {
    let mut names = entry_names(dir).unwrap_or_default();
    names.sort();
    // `active` is a consumer that has a driver; other links are kept for later, or for the order of sleep alone.
    names.retain(|name| text_or_empty(&dir.join(name).join("status")) == "active");
    let consumer =
        |name: &String| Some(name.strip_prefix("consumer:")?.split_once(':')?.1.to_owned());
    names.iter().filter_map(consumer).map(|consumer| Use::Supplies { consumer }).collect()
}
