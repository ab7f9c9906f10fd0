//! The guest's file system: the archive that is kept, and the one that each run appends to it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::{Guest, elf, modules};
use crate::failure::{Context, Result, failed};
use crate::kernels::Kernel;
use crate::paths;
use crate::process::{capture, command};

const INIT: &str = include_str!("init.sh");

/// Programs of this machine that a guest has, with the place they get there.
const PROGRAMS: [(&str, &str); 3] = [
    ("/bin/busybox", "/bin/busybox"),
    ("/usr/bin/strace", "/usr/bin/strace"),
    ("/usr/bin/fusermount3", "/usr/bin/fusermount3"),
];

/// Raised when the base archive is made in another way from the same files.
const BASE_FORMAT: u32 = 1;

/// Where a guest keeps its kernel modules.
const MODULES: &str = "/lib/modules";

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
    let modules = modules::in_load_order(kernel)?;
    let stamp = stamp(&modules)?;
    let path = paths::store().join(format!("base-{}.cpio", kernel.name));
    let stamp_path = path.with_extension("stamp");
    let fresh = fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp);
    if fresh && path.exists() {
        return Ok(path);
    }
    let mut archive = Archive::default();
    add_busybox(&mut archive)?;
    for (from, to) in PROGRAMS {
        add_program(&mut archive, Path::new(from), to)?;
    }
    for module in &modules {
        archive.file(&in_guest(module), 0o644, modules::contents(module)?);
    }
    paths::publish(&path, |file| fs::write(file, archive.to_bytes()).on("write", file))?;
    paths::publish(&stamp_path, |file| fs::write(file, &stamp).on("write", file))?;
    Ok(path)
}

/// What the base archive is made from: it is fresh as long as this stays the same.
fn stamp(modules: &[PathBuf]) -> Result<String> {
    let mut lines = format!("format {BASE_FORMAT}\n");
    let programs = PROGRAMS.iter().map(|(from, _)| Path::new(from));
    for path in programs.chain(modules.iter().map(PathBuf::as_path)) {
        let meta = fs::metadata(path).on("read", path)?;
        let changed = meta.modified().on("read", path)?;
        lines += &format!("{} {} {changed:?}\n", path.display(), meta.len());
    }
    Ok(lines)
}

fn in_guest(module: &Path) -> String {
    let name = module.file_name().unwrap_or_default().to_string_lossy();
    format!("{MODULES}/{}", name.trim_end_matches(".xz"))
}

fn add_busybox(archive: &mut Archive) -> Result<()> {
    let applets = capture(command("/bin/busybox").arg("--list-full"))?;
    for path in applets.lines() {
        archive.symlink(path, "/bin/busybox");
    }
    Ok(())
}

/// Adds a program with the libraries it needs, each at the path it has here.
fn add_program(archive: &mut Archive, from: &Path, to: &str) -> Result<()> {
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
    archive.file("/etc/bench/modules", 0o644, load_list(guest.kernel)?);
    archive.file("/etc/hostname", 0o644, "bench\n");
    archive.file("/etc/passwd", 0o644, PASSWD);
    archive.file("/etc/group", 0o644, GROUP);
    archive.directory("/root", 0o700);
    archive.copy(&modules::uio_dummy(guest.kernel)?, &format!("{MODULES}/uio_dummy.ko"))?;
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

/// The modules in the order to load them, one path a line.
fn load_list(kernel: Kernel) -> Result<String> {
    let modules = modules::in_load_order(kernel)?;
    let mut lines: Vec<String> = modules.iter().map(|module| in_guest(module)).collect();
    lines.push(format!("{MODULES}/uio_dummy.ko"));
    Ok(lines.join("\n") + "\n")
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
