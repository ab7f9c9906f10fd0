//! `uioctl status`: what the running daemons drive, as they tell it over their control sockets. `binding` adds what is
//! bound for userspace, and shows a single function.

use std::io::{self, Write};

use serde_json::value::RawValue;
use uio_core::{Errno, Error};

use crate::cli::{Cli, StatusArgs};
use crate::control::{DeviceStatus, LineStatus, NodeStatus};
use crate::failure::Failure;
use crate::out::Out;
use crate::size::{human_ns, human_size, human_span};
use crate::table::{Align, Cell, Paint, Table, printable};

use super::binding;
use super::daemons::{Answer, Daemons};

pub(crate) fn run(args: &StatusArgs, cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    if let Some(device) = &args.device {
        return binding::one(device, args, cli, out);
    }
    let run_dir = args.daemons.run_dir();
    let daemons = Daemons::ask(&run_dir)?;
    if daemons.is_nobody() {
        let error = Error::new(Errno::ESRCH, "no daemon is running in", run_dir.display())
            .with_cause("nobody listens there")
            .with_hint("start uiod, or name its directory with --run-dir");
        return Err(error.into());
    }
    if cli.json {
        let raw: Vec<&RawValue> = daemons.answers.iter().map(|answer| &*answer.raw).collect();
        out.json(&raw)?;
    } else {
        show_all(&daemons, out)?;
        binding::all(cli, args, out)?;
    }
    daemons.finish(out)
}

fn show_all(daemons: &Daemons, out: &mut Out) -> io::Result<()> {
    for (index, Answer { pid, status, .. }) in daemons.told().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let title = Paint::Bold.apply(&format!("uiod {pid}"), out.colors());
        writeln!(out, "{title}, up {}", human_span(status.uptime_ms))?;
        for device in &status.devices {
            show_device(device, out)?;
        }
        if status.devices.is_empty() {
            writeln!(out, "  no devices")?;
        }
    }
    Ok(())
}

fn show_device(device: &DeviceStatus, out: &mut Out) -> io::Result<()> {
    let paint = if device.state == "running" { Paint::Good } else { Paint::Bad };
    let color = out.colors();
    writeln!(
        out,
        "\n  {}, driver {}, {}",
        Paint::Bold.apply(&printable(&device.name), color),
        printable(&device.driver),
        paint.apply(&printable(&device.state), color),
    )?;
    let tables = [region_table(device), line_table(&device.lines), node_table(&device.nodes)];
    for table in tables.into_iter().flatten() {
        writeln!(out)?;
        out.table(&table.indented(4))?;
    }
    Ok(())
}

fn region_table(device: &DeviceStatus) -> Option<Table> {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("REGION", Right),
        ("ADDRESS", Right),
        ("SIZE", Right),
        ("OFFSET", Right),
        ("NAMED", Left),
    ]);
    for region in &device.regions {
        table.row(vec![
            region.index.to_string().into(),
            region.address.map_or("-".into(), |address| format!("{address:#x}")).into(),
            human_size(region.size.into()).into(),
            format!("{:#x}", region.offset).into(),
            Cell::from(&region.name),
        ]);
    }
    (!device.regions.is_empty()).then_some(table)
}

fn line_table(lines: &[LineStatus]) -> Option<Table> {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("LINE", Left),
        ("BACKEND", Left),
        ("STATE", Left),
        ("RAISED", Right),
        ("HANDLED", Right),
        ("NONE", Right),
        ("MISSED", Right),
        ("MEAN TIME", Right),
        ("HANDLERS", Left),
    ]);
    for line in lines {
        // Not zero is worth a look: a line that nobody takes, events that came too fast.
        let notable = |count: u64| {
            Cell::painted(count.to_string(), if count > 0 { Paint::Warn } else { Paint::Plain })
        };
        let dispatched = line.handled.saturating_add(line.none);
        table.row(vec![
            Cell::from(&line.name),
            Cell::from(&line.backend),
            if line.masked { Cell::painted("masked", Paint::Warn) } else { "open".into() },
            line.raised.to_string().into(),
            line.handled.to_string().into(),
            notable(line.none),
            notable(line.missed),
            line.handler_ns.checked_div(dispatched).map_or("-".into(), human_ns).into(),
            line.handlers.join(", ").into(),
        ]);
    }
    (!lines.is_empty()).then_some(table)
}

fn node_table(nodes: &[NodeStatus]) -> Option<Table> {
    use Align::{Left, Right};
    let mut table = Table::new([
        ("NODE", Left),
        ("KIND", Left),
        ("OPENERS", Right),
        ("WAIT READ", Right),
        ("WAIT WRITE", Right),
        ("POLLERS", Right),
        ("RINGS", Left),
    ]);
    for node in nodes {
        let rings: Vec<_> = node
            .rings
            .iter()
            .map(|ring| {
                format!("{} {} of {}", ring.name, ring.bytes, human_size(ring.capacity.into()))
            })
            .collect();
        table.row(vec![
            Cell::painted(&node.path, Paint::Bold),
            Cell::from(&node.kind),
            node.openers.to_string().into(),
            node.waiting_readers.to_string().into(),
            node.waiting_writers.to_string().into(),
            node.pollers.to_string().into(),
            rings.join(", ").into(),
        ]);
    }
    (!nodes.is_empty()).then_some(table)
}
