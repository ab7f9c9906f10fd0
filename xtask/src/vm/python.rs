//! Python for the guest: the interpreter's modules that a serial client imports, compiled, and nothing else.
//!
//! The whole library is 50 MB; what is taken is what is loaded after [`IMPORTS`].

use std::path::Path;

use super::archive::Archive;
use super::image::add_program;
use crate::failure::Result;
use crate::process::{capture, command};

/// What a client in the guest may import.
const IMPORTS: &str = "serial, sys, os, time, select, fcntl, termios, struct, threading";

/// Prints for each module its file, and where that is compiled to.
const LIST: &str = "\
for module in list(sys.modules.values()):
    file = getattr(module, '__file__', None)
    if file:
        print(file, getattr(module, '__cached__', None) or file)
";

/// Adds the modules, each where it is here. A compiled one takes the place of its source, which Python allows.
pub(super) fn add(archive: &mut Archive) -> Result<()> {
    let program = format!("import {IMPORTS}\n{LIST}");
    let list = capture(command("/usr/bin/python3").args(["-c", &program]))?;
    for (file, compiled) in list.lines().filter_map(|line| line.split_once(' ')) {
        let (file, compiled) = (Path::new(file), Path::new(compiled));
        if file.extension().is_some_and(|end| end == "so") {
            add_program(archive, file, &file.to_string_lossy())?;
        } else if compiled != file && compiled.exists() {
            archive.copy(compiled, &file.with_extension("pyc").to_string_lossy())?;
        } else {
            archive.copy(file, &file.to_string_lossy())?;
        }
    }
    Ok(())
}
