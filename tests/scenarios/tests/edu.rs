//! `edu`, simulated, as a user has it: echo and cat, its ioctls from Python, by message and by pin.

use scenarios::client;
use scenarios::daemon::Launch;
use scenarios::edu_client::{run, start, try_all, try_dma};

fn launch(irq: &str) -> Launch {
    Launch::with(&["run", "sim:edu", "--node-kind", "fuse", "--irq", irq])
}

#[test]
fn what_is_echoed_into_the_node_is_in_the_device_and_comes_back() {
    let daemon = launch("auto").start();
    let text = client::shell(daemon.node(), r#"echo Hello > "$NODE"; cat "$NODE" "$NODE""#).text();
    assert_eq!(text, "Hello\nHello\n");
}

#[test]
fn the_ioctls_do_what_the_manual_says_on_every_kind_of_interrupt() {
    for irq in ["msi", "intx"] {
        let daemon = launch(irq).start();
        try_all(daemon.node(), irq, true);
        try_dma(daemon.node());
    }
}

#[test]
fn eight_programs_at_once_get_each_their_own() {
    let daemon = launch("auto").start();
    let program = |number: u32| {
        format!(
            r#"
for round in range(20):
    assert word(FACTORIAL, {number}) == {}
    data = bytes([{number} * 16 + round % 16]) * 200
    dma(DMA_WRITE, {number} * 256, 200, data)
    assert dma(DMA_READ, {number} * 256, 200) == data
"#,
            (1..=number).product::<u32>()
        )
    };
    let programs: Vec<_> = (0..8).map(|number| start(daemon.node(), &program(number))).collect();
    for program in programs {
        program.finish("a program").text();
    }
    let counts = run(daemon.node(), "print(stats()['computed'], stats()['transfers_out'])").text();
    assert_eq!(counts, "160 160\n");
}

#[test]
fn select_tells_when_the_bytes_are_there() {
    let daemon = launch("auto").start();
    client::shell(daemon.node(), r#"echo Hello > "$NODE""#).text();
    let program = r#"
os.set_blocking(fd, False)
assert select.select([fd], [], [], 30)[0] == [fd]
assert os.read(fd, 100) == b"Hello\n"
assert select.select([fd], [fd], [], 30) == ([fd], [fd], [])
assert os.read(fd, 100) == b""
"#;
    run(daemon.node(), program).text();
}
