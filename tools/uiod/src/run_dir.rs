//! The run directory, made and checked before anything is put into it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use nix::unistd::geteuid;
use uio_core::Result;
use uio_core::error::{Errno, Error};

/// Makes the directory if it is not there, and refuses one that is somebody else's: whoever owns it could
/// put things of their own in the place of ours.
pub(crate) fn prepare(dir: &Path) -> Result<()> {
    let failed =
        |error: std::io::Error| Error::from_io(&error, "cannot make run directory", dir.display());
    DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(failed)?;
    let owner = fs::metadata(dir).map_err(failed)?.uid();
    let user = geteuid();
    if owner != user.as_raw() && owner != 0 {
        return Err(Error::new(Errno::EPERM, "cannot use run directory", dir.display())
            .with_cause(format!("it belongs to user {owner}, not to user {user}"))
            .with_hint("name another one with --run-dir"));
    }
    Ok(())
}
