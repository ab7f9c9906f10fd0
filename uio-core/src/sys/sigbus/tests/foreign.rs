//! Signals that are not ours, in processes of their own: each of these tests runs itself again as a child.

use std::env;
use std::ffi::c_void;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use libc::{c_int, siginfo_t};
use memmap2::{MmapOptions, MmapRaw};

use super::*;

/// Tells a child what it is.
const ROLE: &str = "UIOD_SIGBUS_CHILD";
const SIGBUS: c_int = libc::SIGBUS;

/// Runs `child` in a process of its own, the test `name` being the one that calls this; how it ended.
fn alone(name: &str, child: impl FnOnce()) -> Option<ExitStatus> {
    if env::var_os(ROLE).is_some() {
        // No file of the dead process's memory.
        // SAFETY: the call has no memory to get wrong.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
        child();
        return None;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("sys::sigbus::tests::foreign::{name}")]);
    let output = command.env(ROLE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test"), "{said}");
    Some(output.status)
}

/// Touches a page that is gone and that no device of ours had.
fn fault_elsewhere() {
    let (file, len) = (memory(page_size()), page_size());
    let pages: MmapRaw = MmapOptions::new().len(len).map_raw(&file).unwrap();
    file.set_len(0).unwrap();
    // SAFETY: it is mapped, if without memory.
    unsafe { pages.as_ptr().read_volatile() };
}

fn action(handler: usize, flags: c_int) {
    let mut action = handler::default();
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    handler::set(&action).unwrap();
}

/// Shows that our handler is there and works.
fn absorb_one() {
    let victim = Victim::new();
    victim.unplug();
    assert_eq!(victim.io.read32(0), u32::MAX);
}

extern "C" fn exits_with_40(_: c_int) {
    // SAFETY: the call ends the process.
    unsafe { libc::_exit(40) };
}

extern "C" fn exits_with_41(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the record is what the kernel passed.
    let code = unsafe { (*info).si_code };
    let all_passed = signal == SIGBUS && !context.is_null() && code > 0;
    // SAFETY: the call ends the process.
    unsafe { libc::_exit(if all_passed { 41 } else { 1 }) };
}

#[test]
fn a_fault_elsewhere_still_kills_the_process() {
    let ended = alone("a_fault_elsewhere_still_kills_the_process", || {
        absorb_one();
        fault_elsewhere();
    });
    assert!(ended.is_none_or(|status| status.signal() == Some(SIGBUS)), "{ended:?}");
}

#[test]
fn a_fault_elsewhere_still_kills_a_process_without_any_handler() {
    let ended = alone("a_fault_elsewhere_still_kills_a_process_without_any_handler", || {
        action(libc::SIG_DFL, 0);
        absorb_one();
        fault_elsewhere();
    });
    assert!(ended.is_none_or(|status| status.signal() == Some(SIGBUS)), "{ended:?}");
}

#[test]
fn a_fault_elsewhere_goes_to_the_plain_handler_before_us() {
    let ended = alone("a_fault_elsewhere_goes_to_the_plain_handler_before_us", || {
        action(exits_with_40 as extern "C" fn(c_int) as usize, 0);
        absorb_one();
        fault_elsewhere();
    });
    assert!(ended.is_none_or(|status| status.code() == Some(40)), "{ended:?}");
}

#[test]
fn a_fault_elsewhere_goes_to_the_handler_before_us_with_all_its_arguments() {
    let ended =
        alone("a_fault_elsewhere_goes_to_the_handler_before_us_with_all_its_arguments", || {
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = exits_with_41;
            action(handler as usize, libc::SA_SIGINFO);
            absorb_one();
            fault_elsewhere();
        });
    assert!(ended.is_none_or(|status| status.code() == Some(41)), "{ended:?}");
}

#[test]
fn a_process_that_ignores_sigbus_ignores_one_that_is_sent_and_dies_of_a_fault() {
    let name = "a_process_that_ignores_sigbus_ignores_one_that_is_sent_and_dies_of_a_fault";
    let ended = alone(name, || {
        action(libc::SIG_IGN, 0);
        absorb_one();
        // SAFETY: the call has no memory to get wrong.
        unsafe { libc::raise(SIGBUS) };
        absorb_one();
        fault_elsewhere();
    });
    assert!(ended.is_none_or(|status| status.signal() == Some(SIGBUS)), "{ended:?}");
}

#[test]
fn a_sigbus_that_is_sent_ends_the_process() {
    let ended = alone("a_sigbus_that_is_sent_ends_the_process", || {
        absorb_one();
        // SAFETY: the call has no memory to get wrong.
        unsafe { libc::raise(SIGBUS) };
        std::process::exit(0);
    });
    assert!(ended.is_none_or(|status| status.signal() == Some(SIGBUS)), "{ended:?}");
}

#[test]
fn one_mapping_too_many_is_refused_and_the_others_stay() {
    let ended = alone("one_mapping_too_many_is_refused_and_the_others_stay", || {
        let (file, mark) = (memory(page_size()), FaultMark::new().unwrap());
        let mut held: Vec<Mapping> = (0..CAPACITY).map(|_| map(&file, 8, &mark).unwrap()).collect();
        let error = map(&file, 8, &mark).unwrap_err();
        assert_eq!(error.errno(), Errno::ENOSPC);
        assert_eq!(
            error.to_string(),
            "cannot map region 0 of a test: this process has 1024 mappings of devices, the most; \
             run some of its devices in another process"
        );
        held.pop();
        held.push(map(&file, 8, &mark).unwrap());
        file.set_len(0).unwrap();
        for mapping in held {
            assert_eq!(IoMem::<8>::new(Arc::new(mapping), 0, 8).unwrap().read64(0), u64::MAX);
        }
    });
    assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
}
