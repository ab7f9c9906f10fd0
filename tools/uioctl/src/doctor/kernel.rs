//! [`Kernel`]: which modules the running kernel has, and how it was built.
//!
//! A module is loaded if `/sys/module` has it, built in if `modules.builtin` lists it, and available if `modules.dep`
//! does; the formats are those of `kmod`. Options are read from `/proc/config.gz`, `/boot/config-RELEASE` or
//! `/lib/modules/RELEASE/config`, whichever can be read first.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::machine::text;

/// More than any kernel's configuration; what is longer is none.
const MOST_BYTES: u64 = 16 << 20;

/// The running kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) release: String,
    /// `/lib/modules/RELEASE`.
    pub(crate) modules: PathBuf,
    config: Option<(PathBuf, String)>,
}

/// Where a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Module {
    /// In the kernel, built in or loaded.
    Present,
    /// In a file that `modprobe` finds.
    Available,
    /// Nowhere.
    Absent,
    /// The kernel's list of modules cannot be read.
    Unknown,
}

impl Kernel {
    pub(super) fn read(proc: &Path, root: &Path) -> Self {
        let release = text(&proc.join("sys/kernel/osrelease")).unwrap_or_default();
        let modules = root.join("lib/modules").join(&release);
        let places = [
            proc.join("config.gz"),
            root.join("boot").join(format!("config-{release}")),
            modules.join("config"),
        ];
        let config = places.into_iter().find_map(|path| {
            let text = read_config(&path).ok()?;
            Some((path, text))
        });
        Self { release, modules, config }
    }

    /// Where the module `name` is; `-` and `_` are the same in it.
    pub(crate) fn module(&self, sysfs: &Path, name: &str) -> Module {
        let name = name.replace('-', "_");
        if sysfs.join("module").join(&name).exists()
            || self.lists("modules.builtin", &name) == Some(true)
        {
            return Module::Present;
        }
        match self.lists("modules.dep", &name) {
            Some(true) => Module::Available,
            Some(false) => Module::Absent,
            None => Module::Unknown,
        }
    }

    /// Whether the index has a file of this name; `None` if there is no index.
    fn lists(&self, index: &str, name: &str) -> Option<bool> {
        let text = text(&self.modules.join(index))?;
        let mut paths = text.lines().map(|line| line.split(':').next().unwrap_or(line));
        Some(paths.any(|path| stem(path) == name))
    }

    /// The file with the options, and the value of `CONFIG_<option>` in it: `n` if it is not set. `None` if no such
    /// file can be read.
    pub(crate) fn option(&self, option: &str) -> Option<(&Path, &str)> {
        let (path, text) = self.config.as_ref()?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("CONFIG_")?.strip_prefix(option)?.strip_prefix('='));
        Some((path, value.unwrap_or("n")))
    }
}

/// `vfio_pci` of `kernel/drivers/vfio/pci/vfio-pci.ko.xz`.
fn stem(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn read_config(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let mut text = String::new();
    if path.extension().is_some_and(|end| end == "gz") {
        GzDecoder::new(file).take(MOST_BYTES).read_to_string(&mut text)?;
    } else {
        file.take(MOST_BYTES).read_to_string(&mut text)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn write(path: &Path, bytes: impl AsRef<[u8]>) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn kernel(root: &Path) -> Kernel {
        write(&root.join("proc/sys/kernel/osrelease"), "6.1.0\n");
        Kernel::read(&root.join("proc"), root)
    }

    #[test]
    fn a_module_is_found_by_any_spelling_wherever_it_is() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("lib/modules/6.1.0");
        write(
            &dir.join("modules.dep"),
            "kernel/vfio-pci.ko.xz: kernel/vfio.ko.xz\nkernel/vfio.ko.xz:\n",
        );
        write(&dir.join("modules.builtin"), "kernel/fs/fuse/fuse.ko\n");
        fs::create_dir_all(root.path().join("sys/module/uio")).unwrap();
        let kernel = kernel(root.path());
        let module = |name| kernel.module(&root.path().join("sys"), name);
        assert_eq!(
            (module("vfio_pci"), module("vfio-pci")),
            (Module::Available, Module::Available)
        );
        assert_eq!((module("fuse"), module("uio")), (Module::Present, Module::Present));
        assert_eq!(module("cuse"), Module::Absent);
        fs::remove_file(dir.join("modules.dep")).unwrap();
        assert_eq!(module("cuse"), Module::Unknown);
    }

    #[test]
    fn options_come_from_the_first_place_that_can_be_read() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(kernel(root.path()).option("VFIO"), None);
        write(
            &root.path().join("boot/config-6.1.0"),
            "CONFIG_VFIO=m\nCONFIG_VFIO_PCI=y\n# CONFIG_UIO is not set\n",
        );
        let plain = kernel(root.path());
        let value = |option| plain.option(option).unwrap().1;
        assert_eq!([value("VFIO"), value("VFIO_PCI"), value("UIO")], ["m", "y", "n"]);
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"CONFIG_UIO=m\n").unwrap();
        write(&root.path().join("proc/config.gz"), packed.finish().unwrap());
        let kernel = kernel(root.path());
        assert_eq!(kernel.option("UIO").unwrap(), (&*root.path().join("proc/config.gz"), "m"));
    }
}
