//! What an access to a register compiles to: the same instructions as `read_volatile` and `write_volatile`.
//!
//! The program disassembles itself. Each function here that accesses a register through [`IoMem`] has a twin that
//! does it by hand, through a pointer that lies in a struct as `IoMem`'s does. The twins differ in two numbers,
//! which are taken out of the text: where in its struct the pointer is, and the register's offset, for the
//! compiler would make one function of two that are the same.
//!
//! In a debug build both check the pointer; `cargo xtask test` runs this optimised as a release is, too, and says
//! so ([`OPTIMISED`]): then an access is three instructions, which load the pointer, access, and return.

#![expect(missing_docs, reason = "functions that nobody calls")]

use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::ptr::NonNull;

use uio_core::io::{Io, IoMem, Register};
use uio_core::register;

/// Where `IoMem` is accessed by offset.
const OFFSET: usize = 0x10;
/// Where it is accessed as a register.
const REGISTER: usize = 0x30;
/// Where the twin is.
const TWIN: usize = 0x50;

/// Set by who has compiled this without debug assertions and with all optimisations.
const OPTIMISED: &str = "UIOD_REGISTER_CODE_OPTIMISED";

register! {
    /// At `REGISTER`.
    pub Control(u32) @ 0x30, rw {}
}

/// A pointer in a struct, to 0x100 bytes.
#[derive(Debug)]
pub struct ByHand(NonNull<u8>);

macro_rules! twins {
    ($($int:ty: $read:ident $write:ident $io_read:ident $io_write:ident $by_hand_read:ident $by_hand_write:ident;)*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            pub extern "C" fn $io_read(io: &IoMem<0x100>) -> $int {
                io.$read(OFFSET)
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub extern "C" fn $io_write(io: &IoMem<0x100>, value: $int) {
                io.$write(OFFSET, value);
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub extern "C" fn $by_hand_read(io: &ByHand) -> $int {
                // SAFETY: by the struct's invariant.
                let at = unsafe { io.0.as_ptr().add(TWIN) }.cast::<$int>();
                // SAFETY: as above.
                unsafe { at.read_volatile() }
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            pub extern "C" fn $by_hand_write(io: &ByHand, value: $int) {
                // SAFETY: by the struct's invariant.
                let at = unsafe { io.0.as_ptr().add(TWIN) }.cast::<$int>();
                // SAFETY: as above.
                unsafe { at.write_volatile(value) };
            }
        )*

        /// The names of the twins.
        const PAIRS: &[(&str, &str)] = &[
            $(
                (stringify!($io_read), stringify!($by_hand_read)),
                (stringify!($io_write), stringify!($by_hand_write)),
            )*
            // The same register, by its type.
            ("io_read_register", "by_hand_read32"),
            ("io_write_register", "by_hand_write32"),
        ];
    };
}

twins! {
    u8: read8 write8 io_read8 io_write8 by_hand_read8 by_hand_write8;
    u16: read16 write16 io_read16 io_write16 by_hand_read16 by_hand_write16;
    u32: read32 write32 io_read32 io_write32 by_hand_read32 by_hand_write32;
    u64: read64 write64 io_read64 io_write64 by_hand_read64 by_hand_write64;
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn io_read_register(io: &IoMem<0x100>) -> u32 {
    io.read::<Control>().into_raw()
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn io_write_register(io: &IoMem<0x100>, value: u32) {
    io.write(Control::new(value));
}

/// Goes through the functions, so that they are in the program.
fn call_all() {
    let io = IoMem::<0x100>::fake().unwrap();
    let mut memory = [0_u64; 32];
    let by_hand = ByHand(NonNull::from(&mut memory).cast());
    io_write_register(&io, 0x0403_0201);
    assert_eq!((io_read_register(&io), io.read32(REGISTER)), (0x0403_0201, 0x0403_0201));
    io_write8(&io, io_read8(&io));
    io_write16(&io, io_read16(&io));
    io_write32(&io, io_read32(&io));
    io_write64(&io, io_read64(&io));
    by_hand_write8(&by_hand, by_hand_read8(&by_hand));
    by_hand_write16(&by_hand, by_hand_read16(&by_hand));
    by_hand_write32(&by_hand, by_hand_read32(&by_hand));
    by_hand_write64(&by_hand, by_hand_read64(&by_hand));
}

/// The instructions of each function.
fn disassembled() -> BTreeMap<String, Vec<String>> {
    let mut objdump = Command::new("objdump");
    objdump.args(["--disassemble", "--no-show-raw-insn", "--no-addresses", "--section=.text"]);
    let output = objdump.arg(env::current_exe().unwrap()).output();
    let output = output.expect("objdump is installed (it comes with the linker, in binutils)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut functions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut function = String::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(name) = line.strip_prefix('<').and_then(|line| line.strip_suffix(">:")) {
            name.clone_into(&mut function);
        } else if let (true, Some(instruction)) =
            (line.starts_with('\t'), line.trim().split("# ").next())
        {
            functions.entry(function.clone()).or_default().push(instruction.trim().to_owned());
        }
    }
    functions
}

/// An instruction of a function called `name` without what the twins differ in, and with blanks that do not
/// depend on its length.
fn bare(instruction: &str, name: &str) -> String {
    let words: Vec<&str> = instruction.split_whitespace().collect();
    let text = words.join(" ").replace(&format!("<{name}+"), "<+");
    // As x86 and as ARM write them.
    let forms = |offset: usize| [format!("{offset:#x}"), format!("#{offset}")];
    let text = [REGISTER, TWIN].into_iter().flat_map(forms).fold(text, |text, form| {
        let same = forms(OFFSET).into_iter().find(|same| same.starts_with(&form[..1]));
        text.replace(&form, &same.unwrap_or_default())
    });
    // The pointer is loaded through the first argument.
    let Some((before, after)) = text.split_once("(%rdi)") else { return text };
    let is_number = |c: char| c == 'x' || c.is_ascii_hexdigit();
    format!("{}(%rdi){after}", before.trim_end_matches(is_number))
}

/// What a function does; the barriers that other machines than x86 need, and `readl` has, are no part of it.
fn code(functions: &BTreeMap<String, Vec<String>>, name: &str) -> Vec<String> {
    let lines = functions.get(name).unwrap_or_else(|| panic!("no function {name}"));
    let end = lines.iter().position(|line| line.starts_with("ret"));
    let lines = lines.iter().take(end.map_or(lines.len(), |end| end + 1));
    lines.filter(|line| !line.starts_with("dmb")).map(|line| bare(line, name)).collect()
}

#[test]
fn a_register_access_is_the_same_instructions_as_a_volatile_one() {
    call_all();
    let functions = disassembled();
    let optimised = env::var_os(OPTIMISED).is_some();
    for (io, by_hand) in PAIRS {
        let (ours, volatile) = (code(&functions, io), code(&functions, by_hand));
        assert_eq!(ours, volatile, "{io} and {by_hand}");
        assert!(!optimised || ours.len() == 3, "{io}: {ours:#?}");
    }
}
