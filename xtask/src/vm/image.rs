//! The guest's file system: the archive that is kept, and the one that each run appends to it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::{Guest, Machine, elf, modules, python, qemu};
use crate::arch::Arch;
use crate::failure::{Context, Result, failed};
use crate::kernels::Kernel;
use crate::paths::{self, RunDir};
use crate::process::{capture, command};
use crate::setup;

const INIT: &str = include_str!("init.sh");

/// Programs of this machine that a guest of its architecture has, with the place they get there.
const PROGRAMS: [(&str, &str); 8] = [
    ("/bin/busybox", "/bin/busybox"),
    ("/bin/stty", "/bin/stty"),
    ("/usr/bin/fusermount3", "/usr/bin/fusermount3"),
    ("/usr/bin/picocom", "/usr/bin/picocom"),
    ("/usr/bin/prlimit", "/usr/bin/prlimit"),
    ("/usr/bin/python3", "/usr/bin/python3"),
    ("/usr/bin/setpci", "/usr/bin/setpci"),
    ("/usr/bin/strace", "/usr/bin/strace"),
];

/// Files of this machine that such a guest has at the same place.
const FILES: [&str; 1] = ["/usr/share/misc/pci.ids"];

/// What is in a guest of the architecture: what is copied from where to where.
fn contents(arch: Arch) -> Vec<(PathBuf, &'static str)> {
    match arch {
        Arch::Amd64 => {
            let files = FILES.map(|path| (path, path));
            PROGRAMS.into_iter().chain(files).map(|(from, to)| (from.into(), to)).collect()
        }
        Arch::Arm64 => vec![(setup::arm64::busybox(), "/bin/busybox")],
    }
}

/// The virtio ports, a line each: the kernel's node, and the name that udev would link to it.
fn ports(machine: Machine) -> String {
    let names = qemu::port_names(machine).into_iter().zip(1..);
    names.map(|(name, number)| format!("/dev/vport0p{number} {name}\n")).collect()
}

/// Raised when the base archive is made in another way from the same files.
const BASE_FORMAT: u32 = 5;

/// Writes the initramfs of one run: the base archive and what this run adds.
pub(crate) fn write(guest: &Guest, binaries: &[PathBuf], initrd: &Path) -> Result<()> {
    let base = base(guest.kernel)?;
    let overlay = overlay(guest, binaries)?;
    fs::copy(&base, initrd).on("copy", &base)?;
    let mut file = File::options().append(true).open(initrd).on("open", initrd)?;
    file.write_all(&overlay.to_bytes()).on("write", initrd)
}

/// The base archive, made anew when what it was made from has changed.
fn base(kernel: Kernel) -> Result<PathBuf> {
    let stamp = stamp(kernel)?;
    let path = paths::store().join(format!("base-{}.cpio", kernel.id()));
    let stamp_path = path.with_extension("stamp");
    let fresh = fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp);
    if fresh && path.exists() {
        return Ok(path);
    }
    let mut archive = Archive::default();
    add_busybox(&mut archive)?;
    for (from, to) in contents(kernel.arch) {
        add_program(&mut archive, &from, to)?;
    }
    archive.copy(&kernel.config()?, &format!("/boot/config-{}", kernel.release()?))?;
    if kernel.arch == Arch::Amd64 {
        python::add(&mut archive)?;
    }
    let stage = RunDir::new()?;
    modules::stage(kernel, &stage.join(""))?;
    let modules = modules_dir(kernel)?;
    archive.copy_tree(&stage.join(modules.trim_start_matches('/')), &modules)?;
    paths::publish(&path, |file| fs::write(file, archive.to_bytes()).on("write", file))?;
    paths::publish(&stamp_path, |file| fs::write(file, &stamp).on("write", file))?;
    Ok(path)
}

/// What the base archive is made from: it is fresh as long as this stays the same.
fn stamp(kernel: Kernel) -> Result<String> {
    let mut lines = format!("format {BASE_FORMAT}\n");
    let programs = contents(kernel.arch).into_iter().map(|(from, _)| from);
    for path in programs.chain(modules::all(kernel)?) {
        let meta = fs::metadata(&path).on("read", &path)?;
        let changed = meta.modified().on("read", &path)?;
        lines += &format!("{} {} {changed:?}\n", path.display(), meta.len());
    }
    Ok(lines)
}

/// Where a guest keeps its kernel modules.
fn modules_dir(kernel: Kernel) -> Result<String> {
    Ok(format!("/lib/modules/{}", kernel.release()?))
}

/// Where it has the module that is built from the tree.
fn uio_dummy_in_guest(kernel: Kernel) -> Result<String> {
    Ok(format!("{}/extra/uio_dummy.ko", modules_dir(kernel)?))
}

/// Links the names of busybox's programs to it. The list is that of this machine's busybox, which Debian builds like
/// those for others.
fn add_busybox(archive: &mut Archive) -> Result<()> {
    let applets = capture(command("/bin/busybox").arg("--list-full"))?;
    for path in applets.lines() {
        archive.symlink(path, "/bin/busybox");
    }
    Ok(())
}

/// Adds a program with the libraries it needs, each at the path it has here. One for another architecture is static.
pub(crate) fn add_program(archive: &mut Archive, from: &Path, to: &str) -> Result<()> {
    archive.copy(from, to)?;
    add_libraries(archive, from)
}

fn add_libraries(archive: &mut Archive, program: &Path) -> Result<()> {
    for library in elf::libraries(program)? {
        let to = library.to_str().ok_or_else(|| failed("a library's path is not UTF-8"))?;
        if !archive.contains(to) {
            archive.copy(&library, to)?;
        }
    }
    Ok(())
}

fn overlay(guest: &Guest, binaries: &[PathBuf]) -> Result<Archive> {
    let mut archive = Archive::default();
    archive.file("/init", 0o755, INIT);
    archive.file("/etc/bench/command", 0o644, guest.command.as_str());
    archive.file("/etc/bench/modules", 0o644, load_list(guest)?);
    archive.file("/etc/bench/nodes", 0o644, nodes(guest.machine));
    archive.file("/etc/bench/ports", 0o644, ports(guest.machine));
    archive.file("/etc/hostname", 0o644, "bench\n");
    archive.file("/etc/passwd", 0o644, PASSWD);
    archive.file("/etc/group", 0o644, GROUP);
    archive.directory("/root", 0o700);
    archive.copy(&modules::uio_dummy(guest.kernel)?, &uio_dummy_in_guest(guest.kernel)?)?;
    for binary in binaries {
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        add_program(&mut archive, binary, &format!("/bin/{name}"))?;
    }
    for path in &guest.add {
        add_path(&mut archive, path)?;
    }
    Ok(archive)
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
                      nobody:x:65534:65534:nobody:/tmp:/bin/sh\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// The modules in the order to load them, one a line: its path, and what it is told.
fn load_list(guest: &Guest) -> Result<String> {
    let dir = modules_dir(guest.kernel)?;
    let modules = modules::in_load_order(guest.kernel, guest.machine.loads_vfio)?;
    let in_guest =
        |module: &String| format!("{dir}/{}", modules::uncompressed(Path::new(module)).display());
    let mut lines: Vec<String> = modules.iter().map(in_guest).collect();
    if guest.machine.loads_unsigned {
        lines.push(uio_dummy_in_guest(guest.kernel)?);
    }
    if let Some((module, options)) = modules::last(guest.kernel)? {
        lines.push(format!("{} {options}", in_guest(&module)));
    }
    Ok(lines.join("\n") + "\n")
}

/// The nodes that the command may count on.
fn nodes(machine: Machine) -> String {
    let mut nodes = "/dev/cuse\n".to_owned();
    if machine.loads_vfio {
        nodes += "/dev/vfio/vfio\n";
    }
    if machine.loads_unsigned {
        nodes += "/dev/uio0\n";
    }
    nodes
}

fn add_path(archive: &mut Archive, path: &Path) -> Result<()> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name =
        name.ok_or_else(|| failed(format!("cannot add {}: it has no name", path.display())))?;
    archive.copy_tree(path, &format!("/add/{name}"))?;
    add_libraries_below(archive, path)
}

/// Adds the libraries of every program in a file or directory.
fn add_libraries_below(archive: &mut Archive, path: &Path) -> Result<()> {
    let kind = fs::symlink_metadata(path).on("read", path)?.file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path).on("read", path)? {
            add_libraries_below(archive, &entry.on("read", path)?.path())?;
        }
    } else if kind.is_file() && elf::is_elf(path)? {
        add_libraries(archive, path)?;
    }
    Ok(())
}
