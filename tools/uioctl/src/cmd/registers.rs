//! `uioctl peek`, `poke` and `dump`: the registers of one device, at exact width.
//!
//! A daemon that runs the device does it; otherwise the device is opened here. A poke reads nothing, and what it
//! did stands in the log: the daemon's, or the system's.

use std::io::Write;
use std::os::unix::net::UnixDatagram;

use serde::Serialize;
use serde_json::json;
use uio_core::io::Width;
use uio_core::{Errno, Error};

use crate::cli::{Cli, DumpArgs, PeekArgs, PokeArgs};
use crate::failure::Failure;
use crate::out::Out;
use crate::registers::{RegionInfo, RegisterInfo, Registers, Spot, find_region};
use crate::table::{Align, Cell, Paint, Table};

/// Where the system takes log lines (`syslog(3)`).
const SYSLOG: &str = "/dev/log";

/// Bytes in a line of a dump.
const LINE: u64 = 16;

pub(crate) fn peek(args: &PeekArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let registers = Registers::of(&args.device, &args.daemons.run_dir())?;
    let spot = args.place.find(&registers.map, args.width)?;
    if let Some(register) = spot.register.as_ref().filter(|register| !register.is_readable()) {
        return Err(wrong_way("read", register, &spot).into());
    }
    let values = registers.read(&spot, args.count)?;
    if cli.json {
        return Ok(out.json(&Peeked::new(&registers, &spot, &values))?);
    }
    match &spot.register {
        Some(register) if args.count == 1 => show(register, values[0], out),
        _ => lines(&spot, &values, out),
    }
}

pub(crate) fn poke(args: &PokeArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let registers = Registers::of(&args.device, &args.daemons.run_dir())?;
    let spot = args.place.find(&registers.map, args.width)?;
    if let Some(register) = spot.register.as_ref().filter(|register| !register.is_writable()) {
        return Err(wrong_way("write", register, &spot).into());
    }
    let fits = Width::from_bytes(spot.width).is_some_and(|width| args.value <= width.max());
    if !fits {
        let what = format!("{:#x}", args.value);
        let cause = format!("it does not fit into {} bytes", spot.width);
        return Err(Failure::Usage(Error::invalid("cannot write", what, cause)));
    }
    registers.write(&spot, args.value)?;
    let did = format!(
        "wrote {:#0digits$x} to {} of {}",
        args.value,
        title(&spot),
        registers.map.device,
        digits = digits(spot.width)
    );
    let log = match registers.daemon() {
        Some(pid) => format!("logged by uiod {pid}"),
        None if log(&did) => "logged by the system".to_owned(),
        None => "not logged: no system log takes lines here".to_owned(),
    };
    if cli.json {
        let values = [args.value];
        let spot = Peeked::new(&registers, &spot, &values);
        return Ok(out.json(&json!({ "wrote": spot, "log": log }))?);
    }
    Ok(writeln!(out, "{did} ({log})")?)
}

pub(crate) fn dump(args: &DumpArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let registers = Registers::of(&args.device, &args.daemons.run_dir())?;
    match &args.region {
        None if registers.map.registers.is_empty() => {
            let regions = registers.map.regions.iter().map(|one| one.index.to_string());
            let regions: Vec<_> = regions.collect();
            Err(Error::new(Errno::ENOENT, "cannot dump the registers of", &registers.map.device)
                .with_cause("nobody publishes their names: a driver does, while a daemon runs it")
                .with_hint(format!("name a region to dump all of it: {}", regions.join(", ")))
                .into())
        }
        None => dump_named(&registers, cli, out),
        Some(wanted) => {
            let index = find_region(&registers.map, wanted)?;
            let region = registers.map.regions.iter().find(|region| region.index == index);
            let region = region.cloned().unwrap_or_default();
            dump_region(&registers, &region, args, cli, out)
        }
    }
}

/// Every register that may be read, with its fields.
fn dump_named(registers: &Registers, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let mut read = Vec::new();
    for register in registers.map.registers.iter().filter(|register| register.is_readable()) {
        let spot = Spot::of(register);
        read.push((register, spot.clone(), registers.read(&spot, 1)?));
    }
    if cli.json {
        let all: Vec<_> =
            read.iter().map(|(_, spot, values)| Peeked::new(registers, spot, values)).collect();
        return Ok(out.json(&all)?);
    }
    use Align::{Left, Right};
    let titles =
        [("REGISTER", Left), ("AT", Right), ("ACCESS", Left), ("VALUE", Right), ("FIELDS", Left)];
    let mut table = Table::new(titles);
    for (register, _, values) in &read {
        table.row(vec![
            Cell::painted(&register.name, Paint::Bold),
            format!("{}:{:#x}", register.region, register.offset).into(),
            Cell::from(&register.access),
            format!("{:#0digits$x}", values[0], digits = digits(register.width)).into(),
            fields(register, values[0]).into(),
        ]);
    }
    Ok(out.table(&table)?)
}

/// A region as it is, word by word: whoever asks for that knows what a read does.
fn dump_region(
    registers: &Registers,
    region: &RegionInfo,
    args: &DumpArgs,
    cli: &Cli,
    out: &mut Out,
) -> Result<(), Failure> {
    let width = args.width.unwrap_or(4);
    let end =
        args.bytes.map_or(region.size, |bytes| args.offset.saturating_add(bytes).min(region.size));
    if args.offset >= end {
        let what = format!("{:#x} of region {}", args.offset, region.index);
        let cause = format!("the region has {:#x} bytes", region.size);
        return Err(Failure::Usage(Error::invalid("cannot dump from", what, cause)));
    }
    let spot = Spot { region: region.index, offset: args.offset, width, register: None };
    let values = registers.read(&spot, (end - args.offset) / width)?;
    if cli.json {
        return Ok(out.json(&Peeked::new(registers, &spot, &values))?);
    }
    lines(&spot, &values, out)
}

/// One register: its value, and what its fields say.
fn show(register: &RegisterInfo, value: u64, out: &mut Out) -> Result<(), Failure> {
    let digits = digits(register.width);
    writeln!(out, "{} = {value:#0digits$x}", register.name)?;
    for field in &register.fields {
        writeln!(out, "  {} = {:#x}", field.name, field.of(value))?;
    }
    Ok(())
}

/// Words in lines of sixteen bytes, each line with its offset.
fn lines(spot: &Spot, values: &[u64], out: &mut Out) -> Result<(), Failure> {
    let in_line = usize::try_from(LINE / spot.width).unwrap_or(1).max(1);
    let digits = digits(spot.width) - 2;
    let mut offset = spot.offset;
    for line in values.chunks(in_line) {
        write!(out, "{offset:#010x}:")?;
        for value in line {
            write!(out, " {value:0digits$x}")?;
        }
        writeln!(out)?;
        offset += spot.width * line.len() as u64;
    }
    Ok(())
}

fn fields(register: &RegisterInfo, value: u64) -> String {
    let one =
        |field: &crate::registers::FieldInfo| format!("{}={:#x}", field.name, field.of(value));
    register.fields.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// `0x` and two digits a byte.
fn digits(width: u64) -> usize {
    2 + 2 * usize::try_from(width).unwrap_or(8)
}

/// `Ctrl (0:0x40, 4 bytes)`.
fn title(spot: &Spot) -> String {
    let place = format!("{}:{:#x}, {} bytes", spot.region, spot.offset, spot.width);
    match &spot.register {
        Some(register) => format!("{} ({place})", register.name),
        None => place,
    }
}

fn wrong_way(act: &str, register: &RegisterInfo, spot: &Spot) -> Error {
    let cause = match act {
        "read" => "it is write-only: a read may have effects, or tell nothing",
        _ => "it is read-only",
    };
    Error::new(Errno::EACCES, format!("cannot {act}"), &register.name)
        .with_cause(cause)
        .with_hint(format!("to do it all the same, write {}:{:#x}", spot.region, spot.offset))
}

/// Hands a line to the system's log; `false` if there is none. Never waits for it.
fn log(text: &str) -> bool {
    let sent = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        // 13: a notice (5) of a user's program (1).
        socket.send_to(format!("<13>uioctl[{}]: {text}", std::process::id()).as_bytes(), SYSLOG)
    });
    sent.is_ok()
}

/// Words of a region, for programs.
#[derive(Debug, Serialize)]
struct Peeked<'a> {
    device: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    register: Option<&'a str>,
    region: usize,
    offset: u64,
    width: u64,
    values: &'a [u64],
}

impl<'a> Peeked<'a> {
    fn new(registers: &'a Registers, spot: &'a Spot, values: &'a [u64]) -> Self {
        Self {
            device: &registers.map.device,
            register: spot.register.as_ref().map(|register| &*register.name),
            region: spot.region,
            offset: spot.offset,
            width: spot.width,
            values,
        }
    }
}
