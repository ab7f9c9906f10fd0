//! Kernel modules: the ones of the unpacked kernel, in an order that loads, and uio_dummy, built for it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::failure::{Context, Result, failed};
use crate::kernels::Kernel;
use crate::paths;
use crate::process::{capture_bytes, command, run_quietly};

/// What a guest loads; what one of these needs comes along, and what is built in is left out.
const WANTED: [&str; 5] = ["virtio_pci", "virtio_console", "uio", "uio_pci_generic", "cuse"];

const SOURCES: [&str; 2] = ["uio_dummy.c", "Makefile"];

/// Files below the kernel's module directory, each after what it needs.
pub(crate) fn in_load_order(kernel: Kernel) -> Result<Vec<PathBuf>> {
    let dir = kernel.modules()?;
    let index = dir.join("modules.dep");
    let index = fs::read_to_string(&index).on("read", &index)?;
    let builtin = dir.join("modules.builtin");
    let builtin = fs::read_to_string(&builtin).on("read", &builtin)?;
    let mut order: Vec<&str> = Vec::new();
    for name in WANTED {
        if builtin.lines().any(|path| is_module(path, name)) {
            continue;
        }
        let chain = load_chain(&index, name)
            .ok_or_else(|| failed(format!("kernel {} has no module {name}", kernel.name)))?;
        for path in chain {
            if !order.contains(&path) {
                order.push(path);
            }
        }
    }
    Ok(order.into_iter().map(|path| dir.join(path)).collect())
}

/// A line of `modules.dep` is `module: needs...`, all of them, the one to load first last.
fn load_chain<'a>(index: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let lines = index.lines().filter_map(|line| line.split_once(':'));
    let (path, needs) = lines.into_iter().find(|(path, _)| is_module(path, name))?;
    let mut chain: Vec<&str> = needs.split_whitespace().rev().collect();
    chain.push(path);
    Some(chain)
}

/// True if `path` is the file of the module, compressed or not. `-` and `_` are the same in a name.
fn is_module(path: &str, name: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split(".ko").next().unwrap_or(file);
    stem.replace('-', "_") == name
}

/// The module's bytes, uncompressed: busybox's insmod takes no other.
pub(crate) fn contents(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|end| end == "xz") {
        return capture_bytes(command("xz").arg("-dc").arg(path));
    }
    fs::read(path).on("read", path)
}

/// uio_dummy.ko for the kernel, built from the tree's source if that has not been done yet.
pub(crate) fn uio_dummy(kernel: Kernel) -> Result<PathBuf> {
    let source = paths::root().join("tests/uio_dummy");
    let release = kernel.release()?;
    let mut hasher = DefaultHasher::new();
    release.hash(&mut hasher);
    for name in SOURCES {
        let file = source.join(name);
        fs::read(&file).on("read", &file)?.hash(&mut hasher);
    }
    let built = paths::store().join("modules").join(format!("{:016x}.ko", hasher.finish()));
    if !built.exists() {
        paths::publish(&built, |unfinished| build(kernel, &source, unfinished))?;
    }
    Ok(built)
}

/// Builds in a copy, so that the source tree stays clean and two builds do not meet.
fn build(kernel: Kernel, source: &Path, to: &Path) -> Result<()> {
    let dir = paths::RunDir::new()?;
    for name in SOURCES {
        let (from, copy) = (source.join(name), dir.join(name));
        fs::copy(&from, &copy).on("copy", &from)?;
    }
    let mut make = command("make");
    // A make above us, with its own jobs and flags, is none of this one's business.
    make.env_remove("MAKEFLAGS").env_remove("MFLAGS");
    make.arg("-C").arg(dir.join("")).arg(format!("KDIR={}", kernel.headers()?.display()));
    // Its output is not shown, so a warning must not pass in silence.
    make.arg("KCFLAGS=-Werror");
    run_quietly(&mut make)?;
    let module = dir.join("uio_dummy.ko");
    fs::copy(&module, to).map(drop).on("copy", &module)
}

#[cfg(test)]
mod tests {
    use super::{is_module, load_chain};

    #[test]
    fn what_a_module_needs_is_loaded_before_it() {
        let index = "k/fs/fuse/cuse.ko: k/fs/fuse/fuse.ko k/base.ko\nk/uio.ko.xz:\n";
        assert_eq!(
            load_chain(index, "cuse"),
            Some(vec!["k/base.ko", "k/fs/fuse/fuse.ko", "k/fs/fuse/cuse.ko"])
        );
        assert_eq!(load_chain(index, "uio"), Some(vec!["k/uio.ko.xz"]));
        assert_eq!(load_chain(index, "vfio"), None);
    }

    #[test]
    fn module_names() {
        assert!(is_module("kernel/drivers/vfio/vfio-pci.ko.xz", "vfio_pci"));
        assert!(!is_module("kernel/drivers/uio/uio_cif.ko", "uio"));
    }
}
