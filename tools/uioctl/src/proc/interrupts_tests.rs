//! The interrupt table of real machines, and of none.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const VM: &str = include_str!("../../tests/fixtures/interrupts-vm.txt");
const DESKTOP: &str = include_str!("../../tests/fixtures/interrupts-x86-desktop.txt");
const BOARD: &str = include_str!("../../tests/fixtures/interrupts-arm64-board.txt");

fn find(text: &str, name: &str) -> Irq {
    let all = Interrupts::parse(text);
    all.rows.into_iter().find(|irq| irq.name == name).unwrap()
}

/// Chip, line, trigger, flow and handlers of a row.
fn line(irq: &Irq) -> (&str, Option<u64>, Option<Trigger>, Option<&str>, Vec<&str>) {
    let handlers = irq.handlers.iter().map(String::as_str).collect();
    (&irq.chip, irq.hwirq, irq.trigger, irq.flow.as_deref(), handlers)
}

#[test]
fn every_row_of_real_machines_is_understood() {
    for text in [VM, DESKTOP, BOARD] {
        let all = Interrupts::parse(text);
        assert_eq!((all.skipped, all.rows.len()), (0, text.lines().count() - 1));
        for irq in all.rows.iter().filter(|irq| irq.number().is_some()) {
            assert!(irq.hwirq.is_some() && !irq.handlers.is_empty(), "{irq:?}");
            assert_eq!(irq.counts.0.len(), all.cpus.len());
        }
    }
}

#[test]
fn x86_names_the_flow_handler_behind_the_line() {
    let serial = find(VM, "26");
    assert_eq!(serial.counts, Counts(vec![0, 14]));
    assert_eq!(line(&serial), ("IO-APIC", Some(4), Some(Trigger::Edge), None, vec!["ttyS0"]));
    assert_eq!(
        line(&find(VM, "36")),
        ("PCI-MSIX-0000:00:02.0", Some(1), Some(Trigger::Edge), None, vec!["virtio1-req.0"])
    );
    let shared = find(DESKTOP, "16");
    assert_eq!(
        line(&shared),
        (
            "IR-IO-APIC",
            Some(16),
            Some(Trigger::Level),
            Some("fasteoi"),
            vec!["i801_smbus", "ehci_hcd:usb1", "uio_pci_generic"]
        )
    );
}

#[test]
fn arm64_shows_the_trigger() {
    assert_eq!(
        line(&find(BOARD, "11")),
        ("GICv2", Some(30), Some(Trigger::Level), None, vec!["arch_timer"])
    );
    assert_eq!(
        line(&find(BOARD, "39")),
        ("BRCM STB PCIe MSI", Some(524_288), Some(Trigger::Edge), None, vec!["xhci_hcd"])
    );
    assert_eq!(find(BOARD, "IPI0").description, "Rescheduling interrupts");
}

#[test]
fn rows_of_the_architecture_have_a_description() {
    let nmi = find(DESKTOP, "NMI");
    assert_eq!((nmi.number(), nmi.chip.as_str()), (None, ""));
    assert_eq!(nmi.description, "Non-maskable interrupts");
    assert_eq!(find(DESKTOP, "ERR").counts, Counts(vec![0]));
}

#[test]
fn rarer_dialects_are_read_as_well() {
    for (row, expected) in [
        ("  0:  46   XT-PIC      timer", ("XT-PIC", None, None, None, vec!["timer"])),
        (
            "  1:  9  IO-APIC-edge      i8042",
            ("IO-APIC", None, Some(Trigger::Edge), None, vec!["i8042"]),
        ),
        (
            "  1:  9   xen-dyn    -event     xenbus",
            ("xen-dyn", None, None, Some("event"), vec!["xenbus"]),
        ),
        (
            "  5:  1  SiFive PLIC  10 Edge      virtio0",
            ("SiFive PLIC", Some(10), Some(Trigger::Edge), None, vec!["virtio0"]),
        ),
        (
            "  5:  1  GPIO  3 Level   -simple   a, b c",
            ("GPIO", Some(3), Some(Trigger::Level), Some("simple"), vec!["a", "b c"]),
        ),
        ("  5:  1  None", ("None", None, None, None, vec![])),
        ("  5:  1", ("", None, None, None, vec![])),
    ] {
        let irq = Interrupts::parse(&format!("   CPU0\n{row}")).rows.remove(0);
        assert_eq!(line(&irq), expected, "{row}");
    }
}

#[test]
fn a_cpu_that_went_offline_takes_its_column() {
    let irq = find("   CPU0  CPU2  CPU3\n 9:  1  2  IO-APIC  9-fasteoi  acpi\n", "9");
    assert_eq!((irq.counts, irq.hwirq), (Counts(vec![1, 2]), Some(9)));
}

#[test]
fn a_query_is_a_number_or_a_part_of_a_name() {
    let all = Interrupts::parse(DESKTOP);
    let named = |query| {
        let rows = all.rows.iter().filter(|irq| irq.answers_to(query));
        rows.map(|irq| irq.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(named("16"), ["16"]);
    assert_eq!(named("UIO"), ["16"]);
    assert_eq!(named("nmi"), ["NMI"]);
    assert_eq!(named("maskable"), ["NMI"]);
    assert_eq!(named("no such"), Vec::<&str>::new());
}

/// Processor time: what else the machine does is not the parser's fault.
fn thread_cpu_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).unwrap().into()
}

#[test]
fn ten_thousand_rows_of_a_large_machine_parse_in_a_blink() {
    let header: String = (0..64).map(|cpu| format!("CPU{cpu:<8}")).collect();
    let counts = " 4294967295".repeat(64);
    let rows: String = (0..10_000)
        .map(|row| {
            format!("{row:4}:{counts}  IR-PCI-MSIX-0000:17:00.0  {row}-edge      nvme0q{row}\n")
        })
        .collect();
    let text = format!("     {header}\n{rows}");
    let started = thread_cpu_time();
    let all = Interrupts::parse(&text);
    let took = thread_cpu_time() - started;
    // A hundred times what it takes, and a thousandth of what a quadratic parser would.
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!((all.rows.len(), all.rows[9_999].counts.0.len()), (10_000, 64));
    assert_eq!(all.rows[9_999].handlers, ["nvme0q9999"]);
}

#[test]
fn a_line_of_a_megabyte_is_a_line() {
    let words = "word ".repeat(200_000);
    let all =
        Interrupts::parse(&format!("  CPU0\n 1: 5 {words}\n 2: {}\n{words}", "7".repeat(1 << 20)));
    assert_eq!((all.rows.len(), all.skipped), (2, 1));
    assert_eq!(all.rows[1].counts.total(), u64::MAX);
}

proptest! {
    #[test]
    fn any_text_is_taken(
        text in "(\\PC|[ \n\0:,-]|CPU[0-9]{1,12}|[0-9]{1,30}|Level|Edge|-edge){0,200}",
        query in "\\PC{0,3}",
    ) {
        let all = Interrupts::parse(&text);
        for irq in &all.rows {
            irq.answers_to(&query);
            irq.number();
            irq.counts.total();
            prop_assert!(all.cpus.is_empty() || irq.counts.0.len() <= all.cpus.len());
        }
        prop_assert!(all.rows.len() + all.skipped <= text.lines().count());
    }

    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>) {
        Interrupts::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_the_kernel_prints_is_read_back(
        counts in prop::collection::vec(any::<u64>(), 1..8),
        number: u32,
        chip in "[A-Za-z][A-Za-z0-9:.-]{0,20}",
        hwirq: u32,
        handler in "[a-z][a-z0-9:.-]{0,20}",
    ) {
        let header: String = (0..counts.len()).map(|cpu| format!("CPU{cpu:<8}")).collect();
        let columns: String = counts.iter().map(|count| format!(" {count:10}")).collect();
        let irq = find(
            &format!("        {header}\n{number:3}:{columns} {chip:>8} {hwirq:3}-edge      {handler}\n"),
            &number.to_string(),
        );
        prop_assert_eq!(&irq.counts.0, &counts);
        prop_assert_eq!(
            line(&irq),
            (&*chip, Some(u64::from(hwirq)), Some(Trigger::Edge), None, vec![&*handler])
        );
    }
}
