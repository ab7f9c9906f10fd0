//! Kernel modules: the ones of the unpacked kernel that a guest has, with the index by which `modprobe` finds
//! them, those that it loads, in an order that loads, and uio_dummy, built for the kernel.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::arch::Arch;
use crate::failure::{Context, Result, failed};
use crate::kernels::Kernel;
use crate::paths;
use crate::process::{capture_bytes, command, run_quietly};

/// The modules of a guest, by the kernel's architecture.
struct Modules {
    /// What every guest loads, in this order.
    loaded: &'static [&'static str],
    /// What it loads besides, unless its machine leaves that to the command.
    vfio: &'static [&'static str],
    /// What it only has.
    present: &'static [&'static str],
    /// What it loads at the end, when the node `/dev/uio0` is taken: a module, and what it is told.
    last: Option<(&'static str, &'static str)>,
}

const AMD64: Modules = Modules {
    loaded: &["virtio_pci", "virtio_console", "uio", "uio_pci_generic", "cuse"],
    vfio: &["vfio", "vfio_iommu_type1", "vfio_pci"],
    // The kernel's own drivers of the bench's devices, and a file system for the disk.
    present: &["nvme", "e1000e", "vfat", "nls_cp437", "nls_ascii"],
    last: None,
};

/// The last one makes UIO devices of the nodes that an overlay gave the compatible `generic-uio`.
const ARM64: Modules = Modules {
    loaded: &["virtio_mmio", "virtio_console", "uio", "cuse"],
    vfio: &[],
    present: &["uio_pdrv_genirq"],
    last: Some(("uio_pdrv_genirq", "of_id=generic-uio")),
};

impl Modules {
    fn of(kernel: Kernel) -> Self {
        match kernel.arch {
            Arch::Amd64 => AMD64,
            Arch::Arm64 => ARM64,
        }
    }
}

/// What `depmod` reads besides the modules.
const INDEX_SOURCES: [&str; 3] = ["modules.order", "modules.builtin", "modules.builtin.modinfo"];

const SOURCES: [&str; 2] = ["uio_dummy.c", "Makefile"];

/// What a guest loads, each after what it needs, as paths below the directory of its kernel's modules.
pub(crate) fn in_load_order(kernel: Kernel, vfio: bool) -> Result<Vec<String>> {
    let modules = Modules::of(kernel);
    let vfio = if vfio { modules.vfio } else { &[] };
    chains(kernel, modules.loaded.iter().chain(vfio))
}

/// What a guest loads at the end, and what that is told, if there is something.
pub(crate) fn last(kernel: Kernel) -> Result<Option<(String, &'static str)>> {
    let Some((name, options)) = Modules::of(kernel).last else {
        return Ok(None);
    };
    Ok(chains(kernel, [name].iter())?.pop().map(|path| (path, options)))
}

/// Files of all that a guest has.
pub(crate) fn all(kernel: Kernel) -> Result<Vec<PathBuf>> {
    let dir = kernel.modules()?;
    let Modules { loaded, vfio, present, .. } = Modules::of(kernel);
    let paths = chains(kernel, loaded.iter().chain(vfio).chain(present))?;
    Ok(paths.into_iter().map(|path| dir.join(path)).collect())
}

/// The modules with what they need, each after what it needs; what is built in is left out.
fn chains<'a>(kernel: Kernel, names: impl Iterator<Item = &'a &'a str>) -> Result<Vec<String>> {
    let dir = kernel.modules()?;
    let index = dir.join("modules.dep");
    let index = fs::read_to_string(&index).on("read", &index)?;
    let builtin = dir.join("modules.builtin");
    let builtin = fs::read_to_string(&builtin).on("read", &builtin)?;
    let mut order: Vec<String> = Vec::new();
    for name in names {
        if builtin.lines().any(|path| is_module(path, name)) {
            continue;
        }
        let chain = load_chain(&index, name)
            .ok_or_else(|| failed(format!("kernel {} has no module {name}", kernel.id())))?;
        for path in chain {
            if !order.iter().any(|earlier| earlier == path) {
                order.push(path.to_owned());
            }
        }
    }
    Ok(order)
}

/// Fills `root` with the directory of modules that a guest has, uncompressed, with its indexes.
pub(crate) fn stage(kernel: Kernel, root: &Path) -> Result<()> {
    let dir = kernel.modules()?;
    let staged = root.join("lib/modules").join(kernel.release()?);
    for module in all(kernel)? {
        let to = staged.join(uncompressed(module.strip_prefix(&dir).unwrap_or(&module)));
        let parent = to.parent().unwrap_or(root);
        fs::create_dir_all(parent).on("create", parent)?;
        fs::write(&to, contents(&module)?).on("write", &to)?;
    }
    for name in INDEX_SOURCES {
        let from = dir.join(name);
        fs::copy(&from, staged.join(name)).on("copy", &from)?;
    }
    run_quietly(command("depmod").arg("-b").arg(root).arg(kernel.release()?))
}

/// The path of a module without the ending of its compression.
pub(crate) fn uncompressed(path: &Path) -> PathBuf {
    if is_compressed(path) { path.with_extension("") } else { path.to_owned() }
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "xz")
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

/// The module's bytes, uncompressed: busybox takes no other.
fn contents(path: &Path) -> Result<Vec<u8>> {
    if is_compressed(path) {
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
    make.args(kernel.arch.make_variables());
    // Its output is not shown, so a warning must not pass in silence.
    make.arg("KCFLAGS=-Werror");
    run_quietly(&mut make)?;
    let module = dir.join("uio_dummy.ko");
    fs::copy(&module, to).map(drop).on("copy", &module)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_module, load_chain, uncompressed};

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
        assert_eq!(uncompressed(Path::new("k/a.ko.xz")), Path::new("k/a.ko"));
        assert_eq!(uncompressed(Path::new("k/a.ko")), Path::new("k/a.ko"));
    }
}
