//! The command line of `cargo xtask vm`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{Result, usage};

use super::{Guest, MACHINES, Machine};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// What was asked for, as far as it is clear before all options are known.
struct Options {
    kernel: Option<String>,
    machine: Machine,
    dts: Vec<PathBuf>,
    add: Vec<PathBuf>,
    timeout: Duration,
    command: String,
}

pub(super) fn parse(args: &[String]) -> Result<Guest> {
    let options = read(args)?;
    if options.command.trim().is_empty() {
        return Err(usage("vm: the command is missing; write it after --"));
    }
    refuse_same_names(&options.add)?;
    let machine = options.machine;
    let kernel = match &options.kernel {
        Some(name) => machine.kernel(name)?,
        None => machine.default_kernel(),
    };
    let dts = overlays(machine, options.dts)?;
    let Options { add, timeout, command, .. } = options;
    Ok(Guest { kernel, machine, dts, add, timeout, command })
}

fn read(args: &[String]) -> Result<Options> {
    let mut options = Options {
        kernel: None,
        machine: MACHINES[0],
        dts: Vec::new(),
        add: Vec::new(),
        timeout: DEFAULT_TIMEOUT,
        command: String::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value =
            |what: &str| args.next().ok_or_else(|| usage(format!("vm: {arg} needs {what}")));
        match arg.as_str() {
            "--kernel" => options.kernel = Some(value("a version")?.clone()),
            "--machine" => options.machine = Machine::named(value("a name")?)?,
            "--dts" => {
                options.dts.push(existing("--dts", value("an overlay")?)?);
                // More of them may follow.
                while let Some(more) = args.clone().next().filter(|more| !more.starts_with('-')) {
                    options.dts.push(existing("--dts", more)?);
                    args.next();
                }
            }
            "--add" => options.add.push(existing("--add", value("a path")?)?),
            "--timeout" => options.timeout = seconds(value("a number of seconds")?)?,
            "--" => {
                options.command = args.as_slice().join(" ");
                break;
            }
            other => {
                return Err(usage(format!("vm: unknown option '{other}'; COMMAND comes after --")));
            }
        }
    }
    Ok(options)
}

/// The overlays for the machine: the ones that were given, or else all that there are for it.
fn overlays(machine: Machine, given: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    match machine.board() {
        Some(board) if given.is_empty() => board.overlays(),
        None if !given.is_empty() => Err(usage(format!(
            "vm: machine {} has no device tree that --dts could change; virt and versal have one",
            machine.name
        ))),
        _ => Ok(given),
    }
}

fn existing(option: &str, path: &str) -> Result<PathBuf> {
    let found = Path::new(path).canonicalize();
    let found = found.map_err(|error| usage(format!("vm: {option} {path}: {error}")))?;
    match found.file_name() {
        Some(_) => Ok(found),
        None => Err(usage(format!("vm: {option} {path}: it has no name to appear as"))),
    }
}

fn seconds(text: &str) -> Result<Duration> {
    match text.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
        _ => Err(usage(format!("vm: --timeout {text}: not a number of seconds"))),
    }
}

fn refuse_same_names(paths: &[PathBuf]) -> Result<()> {
    for (index, path) in paths.iter().enumerate() {
        if let Some(other) =
            paths[..index].iter().find(|other| other.file_name() == path.file_name())
        {
            let (one, two) = (other.display(), path.display());
            return Err(usage(format!("vm: {one} and {two} would both be the same /add/NAME")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::parse;
    use crate::arch::Arch;
    use crate::failure::USAGE;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_words_after_the_dashes_are_the_command() {
        let line = "--kernel 6.1 --machine group --timeout 7 -- echo --kernel  x";
        let guest = parse(&words(line)).unwrap();
        assert_eq!(guest.command, "echo --kernel  x");
        assert_eq!(guest.kernel.name, "6.1");
        assert_eq!(guest.machine.name, "group");
        assert_eq!(guest.timeout.as_secs(), 7);
    }

    #[test]
    fn a_board_has_all_its_overlays_unless_some_are_named() {
        let all = parse(&words("--machine virt --kernel 6.12-16k -- true")).unwrap();
        assert!(all.dts.iter().any(|path| path.ends_with("dts/virt/pl031-rtc.dtso")));
        assert_eq!((all.kernel.name, all.kernel.arch), ("6.12-16k", Arch::Arm64));
        let one = parse(&words("--dts /etc/passwd --machine versal -- true")).unwrap();
        assert_eq!(one.dts, [Path::new("/etc/passwd")]);
        let line = "--machine virt --dts /etc/passwd /etc/group --dts /etc/hosts -- true";
        let three = ["/etc/passwd", "/etc/group", "/etc/hosts"].map(PathBuf::from);
        assert_eq!(parse(&words(line)).unwrap().dts, three);
        assert_eq!((one.kernel.name, one.kernel.arch), ("6.1", Arch::Arm64));
        assert!(parse(&words("-- true")).unwrap().dts.is_empty());
    }

    #[test]
    fn bad_usage_is_refused_with_status_2() {
        for line in [
            "true",
            "--",
            "--kernel",
            "--kernel 5.10 -- true",
            "--machine",
            "--machine abacus -- true",
            "--machine virt --kernel 6.12 -- true",
            "--machine versal --kernel 6.12-16k -- true",
            "--machine virt --dts /does/not/exist.dtso -- true",
            "--machine virt --dts /etc/passwd /does/not/exist.dtso -- true",
            "--machine virt --dts -- true",
            "--dts /etc/passwd -- true",
            "--timeout 0 -- true",
            "--timeout soon -- true",
            "--add /does/not/exist -- true",
            "--add / -- true",
            "--add /etc/passwd --add /etc/../etc/passwd -- true",
            "--bogus -- true",
        ] {
            assert_eq!(parse(&words(line)).unwrap_err().status, USAGE, "{line}");
        }
    }
}
