//! `edu` on a PCI bus: through VFIO by message and by its pin, and through `uio_pci_generic`, where it has no DMA.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use scenarios::client::{self, Client};
use scenarios::daemon::Launch;
use scenarios::edu_client::{run, start, try_all, try_dma};
use scenarios::pci::{self, Function};
use scenarios::{task, wait, world};

/// How long a client may wait for the news that its device is gone.
const NEWS: Duration = Duration::from_secs(1);

/// A busy machine may be late now and then, but not so often in a row.
const ATTEMPTS: usize = 5;

fn launch(function: Function, irq: &str) -> Launch {
    let kind = world::node_kind().name();
    Launch::with(&["run", &function.spec(), "--irq", irq, "--node-kind", kind])
}

#[test]
fn through_vfio_by_message() {
    let _bound = pci::bind(pci::edu(0), "vfio-pci");
    let daemon = launch(pci::edu(0), "msi").start();
    try_all(daemon.node(), "msi", true);
    try_dma(daemon.node());
}

#[test]
fn through_vfio_by_its_pin() {
    let _bound = pci::bind(pci::edu(0), "vfio-pci");
    let daemon = launch(pci::edu(0), "intx").start();
    try_all(daemon.node(), "intx", true);
    try_dma(daemon.node());
}

#[test]
fn through_uio_pci_generic_without_dma() {
    let _bound = pci::bind(pci::edu(0), "uio_pci_generic");
    let daemon = launch(pci::edu(0), "auto").start();
    try_all(daemon.node(), "intx", false);
    let program = r#"
assert name_of_error(os.read, fd, 1) == "EOPNOTSUPP"
assert name_of_error(os.write, fd, b"x") == "EOPNOTSUPP"
assert name_of_error(dma, DMA_READ, 0, 1) == "EOPNOTSUPP"
assert name_of_error(dma, DMA_WRITE, 0, 1, b"x") == "EOPNOTSUPP"
"#;
    run(daemon.node(), program).text();
}

#[test]
fn echo_and_cat_and_dd() {
    let _bound = pci::bind(pci::edu(0), "vfio-pci");
    let daemon = launch(pci::edu(0), "auto").start();
    let text = client::shell(daemon.node(), r#"echo Hello > "$NODE"; cat "$NODE" "$NODE""#).text();
    assert_eq!(text, "Hello\nHello\n");
    let copy = r#"head -c 2048 /dev/urandom > /tmp/edu.in && dd if=/tmp/edu.in of="$NODE" bs=512 &&
                  dd if="$NODE" of=/tmp/edu.out bs=700 && cmp /tmp/edu.in /tmp/edu.out && rm /tmp/edu.*"#;
    client::shell(daemon.node(), copy).text();
}

#[test]
fn two_of_them_do_not_disturb_each_other() {
    let _bound = [0, 1].map(|number| pci::bind(pci::edu(number), "vfio-pci"));
    let daemons = [(0, "msi"), (1, "intx")]
        .map(|(number, irq)| launch(pci::edu(number), irq).flag("--node", irq).start());
    let program = |byte: u8| {
        format!(
            r#"
for round in range(10):
    data = bytes([{byte}, round]) * 500
    dma(DMA_WRITE, 0, 1000, data)
    assert dma(DMA_READ, 0, 1000) == data
    assert word(FACTORIAL, 10) == 3628800
assert stats()["lost_interrupts"] == 0, stats()
"#
        )
    };
    let clients = [(0, 1), (1, 2)]
        .map(|(daemon, byte): (usize, u8)| start(daemons[daemon].node(), &program(byte)));
    clients.into_iter().for_each(|client| drop(client.finish("a program").text()));
}

#[test]
fn eight_programs_at_once_get_each_their_own() {
    let _bound = pci::bind(pci::edu(0), "vfio-pci");
    let daemon = launch(pci::edu(0), "auto").start();
    let program = |number: u32| {
        format!(
            r#"
for round in range(5):
    assert word(FACTORIAL, {number}) == {}
    assert word(LIVENESS, {number}) == {number} ^ 0xffffffff
    data = bytes([{number} * 16 + round]) * 200
    dma(DMA_WRITE, {number} * 256, 200, data)
    assert dma(DMA_READ, {number} * 256, 200) == data
"#,
            (1..=number).product::<u32>()
        )
    };
    let clients: Vec<Client> =
        (0..8).map(|number| start(daemon.node(), &program(number))).collect();
    for client in clients {
        client.finish_within("a program", 2 * wait::DEADLINE).text();
    }
    let counts =
        run(daemon.node(), "print(stats()['computed'], stats()['lost_interrupts'])").text();
    assert_eq!(counts, "40 0\n");
}

#[test]
fn clients_hear_within_a_second_that_the_device_is_unbound() {
    for irq in ["msi", "intx"] {
        let in_time = (0..ATTEMPTS).any(|_| everybody_hears_of_it(irq));
        assert!(in_time, "never within {NEWS:?} by {irq}");
    }
}

/// The clock that Python's `time.monotonic` reads: a client notes by itself when it was told, for its end takes time.
fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).expect("there is such a clock").into()
}

/// Whether everybody did in time.
fn everybody_hears_of_it(irq: &str) -> bool {
    let function = pci::edu(0);
    let _bound = pci::bind(function, "vfio-pci");
    let daemon = launch(function, irq).start();
    let program = r#"
def use():
    while True:
        dma(DMA_WRITE, 0, 2048, bytes(2048))
        word(FACTORIAL, 20)
print(name_of_error(use), time.monotonic(), flush=True)
"#;
    let clients: Vec<Client> = (0..4).map(|_| start(daemon.node(), program)).collect();
    wait::until("all to have the node open", || daemon.status().node("openers") == 4);
    wait::until("traffic", || daemon.status().line("raised") > 4);
    let begin = monotonic();
    let unbind = "/sys/bus/pci/drivers/vfio-pci/unbind";
    let unbinding = task::spawn(move || fs::write(unbind, function.to_string()));
    let mut late = Duration::ZERO;
    for client in clients {
        let text = client.finish("a client of a device that is gone").text();
        let (error, at) = text.trim().split_once(' ').expect("an error and a time");
        assert_eq!(error, "ENODEV");
        let at = Duration::from_secs_f64(at.parse().expect("seconds"));
        late = late.max(at.saturating_sub(begin));
    }
    unbinding.finish("the kernel to have its device back").expect("it is bound");
    let unbound = monotonic().saturating_sub(begin);
    println!("by {irq} the last client heard of it after {late:.1?}; unbound after {unbound:.1?}");
    assert_eq!(daemon.wait_for_end().status.code(), Some(1));
    late < NEWS
}
