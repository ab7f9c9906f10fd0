//! On what it was measured: commit, processor, kernel.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use serde_json::{Value, json};

use crate::failure::{Context, Result};
use crate::paths;
use crate::process::{capture, command};

/// What a figure depends on, apart from the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) commit: String,
    pub(super) processor: String,
    pub(super) kernel: String,
    pub(super) compiler: String,
}

impl Machine {
    /// This one, now.
    pub(super) fn this() -> Result<Self> {
        let line = |program: &str, args: &[&str]| -> Result<String> {
            let mut command = command(program);
            let output = capture(command.current_dir(paths::root()).args(args))?;
            Ok(output.trim().to_owned())
        };
        let changed = line("git", &["status", "--porcelain", "--", ".", ":!docs"])?;
        let commit = line("git", &["rev-parse", "--short", "HEAD"])?;
        Ok(Self {
            commit: if changed.is_empty() { commit } else { format!("{commit}, changed") },
            processor: processor()?,
            kernel: line("uname", &["-r"])?,
            compiler: line("rustc", &["--version"])?,
        })
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "commit": self.commit, "processor": self.processor, "kernel": self.kernel,
            "compiler": self.compiler,
        })
    }

    pub(super) fn from_json(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or("unknown").to_owned();
        Self {
            commit: text("commit"),
            processor: text("processor"),
            kernel: text("kernel"),
            compiler: text("compiler"),
        }
    }
}

fn processor() -> Result<String> {
    let path = Path::new("/proc/cpuinfo");
    let text = fs::read_to_string(path).on("read", path)?;
    let named =
        |line: &str| line.strip_prefix("model name")?.split_once(": ").map(|(_, n)| n.into());
    let name: String = text.lines().find_map(named).unwrap_or_else(|| "unknown".to_owned());
    let count = available_parallelism().map_or(1, usize::from);
    let virtual_one = if text.contains(" hypervisor") { ", virtual" } else { "" };
    Ok(format!("{count} x {name}{virtual_one}"))
}
