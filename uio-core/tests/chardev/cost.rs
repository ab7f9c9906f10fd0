//! What a request costs the server: no allocation unless it blocks.

use std::io::{Read, Write};

use super::in_time;
use super::io::open;
use super::server::{Server, Setup};

/// Allocations of the server while a client writes and reads `count` times. The commands themselves
/// allocate a little.
fn allocations(server: &mut Server, count: usize) -> usize {
    let path = server.path.clone();
    let before: usize = server.ask("allocations").parse().unwrap();
    in_time(move || {
        let mut file = open(&path);
        let mut buf = [0; 512];
        for _ in 0..count {
            file.write_all(&buf).unwrap();
            file.read_exact(&mut buf).unwrap();
        }
    });
    let after: usize = server.ask("allocations").parse().unwrap();
    after - before
}

#[test]
fn reading_and_writing_allocate_nothing() {
    let mut server = Setup::new().start();
    // The first round fills what is allocated once.
    allocations(&mut server, 10);
    let few = allocations(&mut server, 10);
    let many = allocations(&mut server, 1010);
    // The commands vary by one or two; a thousand more requests each way must not show.
    assert!(many < few + 10, "{few} allocations for ten, {many} for a thousand and ten");
}
