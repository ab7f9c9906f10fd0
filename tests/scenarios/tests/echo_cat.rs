//! What a user types: `echo` into the node, `head`, `cat` and `dd` out of it.

use std::fs;

use nix::sys::signal::Signal;
use scenarios::client::{self, Client};
use scenarios::daemon::Daemon;
use scenarios::wait;

#[test]
fn echo_goes_in_and_head_prints_it() {
    let daemon = Daemon::start();
    let ended = client::shell(daemon.node(), r#"echo Hello > "$NODE"; head -n 1 "$NODE""#);
    assert_eq!(ended.text(), "Hello\n");
}

#[test]
fn head_waits_for_the_echo_that_comes_later() {
    let daemon = Daemon::start();
    let head = Client::shell(daemon.node(), r#"exec head -n 1 "$NODE""#);
    daemon.await_readers(1);
    client::shell(daemon.node(), r#"echo late > "$NODE""#).text();
    assert_eq!(head.finish("head").text(), "late\n");
}

#[test]
fn lines_of_several_programs_come_out_in_order() {
    let daemon = Daemon::start();
    let script = r#"
        echo one > "$NODE"
        printf 'two\n' >> "$NODE"
        echo three | dd of="$NODE" 2> /dev/null
        echo four | tee "$NODE" > /dev/null
        head -n 4 "$NODE"
    "#;
    assert_eq!(client::shell(daemon.node(), script).text(), "one\ntwo\nthree\nfour\n");
}

#[test]
fn cat_prints_what_comes_until_it_is_ended() {
    let daemon = Daemon::start();
    let out = daemon.home().path().join("out");
    let script = format!(r#"exec cat "$NODE" > {}"#, out.display());
    let cat = Client::shell(daemon.node(), &script);
    for line in ["one\n", "one\ntwo\n"] {
        let word = line.lines().last().unwrap();
        client::shell(daemon.node(), &format!(r#"echo {word} > "$NODE""#)).text();
        wait::until(word, || fs::read_to_string(&out).is_ok_and(|text| text == line));
    }
    cat.signal(Signal::SIGTERM);
    assert_eq!(cat.finish("cat").signal(), Some(15));
}

#[test]
fn timeout_ends_a_cat_that_has_nothing_to_print() {
    let daemon = Daemon::start();
    let script = r#"
        echo Hello > "$NODE"
        head -n 1 "$NODE"
        timeout 1 cat "$NODE"
        echo "timeout: $?"
    "#;
    let text = client::shell(daemon.node(), script).text();
    // coreutils says 124, busybox 143.
    assert!(text == "Hello\ntimeout: 124\n" || text == "Hello\ntimeout: 143\n", "{text}");
}

#[test]
fn dd_copies_a_file_in_and_out() {
    let daemon = Daemon::start();
    client::random_file(&daemon.home().path().join("file"), 100_000);
    let script = format!(
        r#"
        cd {} || exit 1
        dd if=file of="$NODE" bs=777 2> /dev/null &
        dd if="$NODE" of=copy bs=100000 count=1 iflag=fullblock 2> /dev/null
        wait
        cmp file copy && echo same
        "#,
        daemon.home().path().display()
    );
    assert_eq!(client::shell(daemon.node(), &script).text(), "same\n");
}
