//! What a shell user writes and reads.

use pl061_model::{Options, Outputs, Wiring};

use super::*;

const OUTPUTS: usize = DIR;

#[test]
fn events_are_lines_of_text_at_first() {
    let rig = Rig::new();
    let client = rig.reader_of_text(1);
    client.say("3 in both\n");
    rig.controls.set(3, true);
    let text = client.text();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words[1..], ["line", "3", "rising"], "{text}");
    let (seconds, fraction) = words[0].split_once('.').unwrap();
    assert!(seconds.parse::<u64>().is_ok() && fraction.len() == 9, "{text}");
}

#[test]
fn show_tells_how_the_lines_stand_to_the_one_who_asks() {
    let names = &["", "", "", "lid", "", "", "status led"];
    let rig = Rig::with(Options { afsel: 0x80, names, ..Options::default() });
    let (client, other) = (rig.reader_of_text(1), rig.reader_of_text(2));
    rig.controls.drive(0x0C, 0x0C);
    client.say("0 in; 1 out 1; 2 in falling; 3 in level-high\n");
    assert!(client.text().ends_with("line 3 level-high\n"));
    client.say("show\n");
    let wanted = "line 0 in 0\nline 1 out 1\nline 2 in 1 falling\nline 3 in 1 level-high fired \"lid\"\n\
                  line 4 in 0\nline 5 in 0\nline 6 in 0 \"status led\"\nline 7 in 0 taken\n";
    assert_eq!(client.text(), wanted);
    assert!(other.text().ends_with("level-high\n"));
    assert!(!other.is_readable());
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let rig = Rig::new();
    let client = rig.reader_of_text(1);
    let ended = (0..1000).find_map(|_| client.write("show").err());
    assert_eq!(ended, Some(Errno::ENOSPC));
    client.text();
    client.say("show");
    let binary = rig.client(2);
    assert_eq!(binary.write("show"), Err(Errno::EINVAL));
}

#[test]
fn what_an_output_puts_out_an_input_takes_in() {
    let rig = Rig::with(Options { wiring: Wiring::Looped, ..Options::default() });
    let client = rig.client(1);
    client.say("0-3 in both");
    client.say("4-7 out 0");
    client.say("4,6 set 1");
    assert_eq!(client.events(2), [(RISING, 0), (RISING, 2)]);
    client.say("all in");
    client.say("4 out 1");
    assert!(!client.is_readable());
}

#[test]
fn a_wrong_command_changes_nothing_at_all() {
    let rig = Rig::with(Options { afsel: 0x40, ..Options::default() });
    let client = rig.reader_of_text(1);
    client.say("0 out 1");
    let before = rig.controls.outputs();
    for (text, errno) in [
        ("0 out 0; 1 out 1; 2 out x", Errno::EINVAL),
        ("0 out 0\n8 in\n", Errno::EINVAL),
        ("0 out 0; 3 in rising falling", Errno::EINVAL),
        // Understood, and not allowed.
        ("0 out 0; 3 set 1", Errno::EPERM),
        ("0 in; 0 set 1", Errno::EPERM),
        ("0 out 0; 6 in both", Errno::EBUSY),
        ("all out 0", Errno::EBUSY),
    ] {
        assert_eq!(client.write(text), Err(errno), "{text}");
        assert_eq!(rig.controls.outputs(), before, "{text}");
        assert_eq!(rig.controls.register(IE), 0, "{text}");
    }
    client.say("1 out 0; 1 set 1");
    assert_eq!(rig.controls.outputs(), Outputs { driven: 0x03, levels: 0x03 });
}

#[test]
fn a_line_becomes_an_output_without_showing_another_level_first() {
    let rig = Rig::new();
    let client = rig.reader_of_text(1);
    rig.controls.drive(0xFF, 0x30);
    rig.controls.shown();
    client.say("0-3 out 1");
    client.say("4-7 out");
    let shown = [Outputs { driven: 0x0F, levels: 0x0F }, Outputs { driven: 0xFF, levels: 0x3F }];
    assert_eq!(rig.controls.shown(), shown);
}

#[test]
fn a_block_that_forgets_what_is_written_to_inputs_has_the_level_in_the_end() {
    let rig = Rig::with(Options::emulated());
    let client = rig.reader_of_text(1);
    client.say("2 out 1");
    assert_eq!(rig.controls.outputs(), Outputs { driven: 0x04, levels: 0x04 });
}

#[test]
fn an_output_tells_no_edges() {
    let rig = Rig::with(Options { wiring: Wiring::Looped, ..Options::default() });
    let client = rig.client(1);
    client.say("0,4 in both");
    client.say("4 out 1");
    assert_eq!(client.events(1), [(RISING, 0)]);
    client.say("0 out 0");
    assert_eq!(rig.controls.register(IE), 0);
    assert_eq!(rig.controls.register(OUTPUTS), 0x11);
    assert!(!client.is_readable());
}
