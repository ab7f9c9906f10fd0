//! The peer that is written in C: compiled here and now by the system's compiler, and loaded.
#![expect(unsafe_code, reason = "functions in C are called")]

use std::ffi::{CString, c_int, c_void};
use std::fmt::Display;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::process::{Command, exit};
use std::sync::atomic::{AtomicU64, Ordering};

type Loop =
    unsafe extern "C" fn(c_int, c_int, extern "C" fn(*const c_void), *const c_void) -> c_int;

/// The loop of `epoll_loop.c`.
#[derive(Clone, Copy)]
pub(crate) struct EpollLoop(Loop);

/// Ends the program: without the peer there is nothing to compare.
fn fail(why: impl Display) -> ! {
    eprintln!(
        "claims: the peer in C cannot be made: {why}; a C compiler is needed (apt-get install gcc)"
    );
    exit(1)
}

/// The handler: counts.
extern "C" fn count(counter: *const c_void) {
    // SAFETY: `EpollLoop::run` passes a counter that outlives the loop.
    let counter = unsafe { &*counter.cast::<AtomicU64>() };
    counter.fetch_add(1, Ordering::Release);
}

impl EpollLoop {
    /// Compiles and loads it, once; it stays loaded.
    pub(crate) fn load() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/epoll_loop.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("epoll_loop.so");
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source);
        match cc.status() {
            Ok(status) if status.success() => {}
            Ok(status) => fail(format!("cc ended with {status}")),
            Err(error) => fail(format!("cannot run cc: {error}")),
        }
        let path = CString::new(library.into_os_string().into_encoded_bytes());
        let path = path.unwrap_or_else(|error| fail(error));
        // SAFETY: the path is a C string; the library has no constructors.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        // SAFETY: the handle is checked below; null means the whole program, which has no such name.
        let symbol = unsafe { libc::dlsym(handle, c"epoll_loop".as_ptr()) };
        if symbol.is_null() {
            fail("it was compiled, and cannot be loaded");
        }
        // SAFETY: the function has this signature, in the source that was just compiled.
        Self(unsafe { std::mem::transmute::<*mut c_void, Loop>(symbol) })
    }

    /// Counts the events of `event` in `counter` until `stop` comes up.
    pub(crate) fn run(self, event: BorrowedFd<'_>, stop: BorrowedFd<'_>, counter: &AtomicU64) {
        let argument = std::ptr::from_ref(counter).cast();
        // SAFETY: both descriptors are open and the counter is borrowed for as long as the loop runs.
        let result = unsafe { self.0(event.as_raw_fd(), stop.as_raw_fd(), count, argument) };
        assert_eq!(result, 0, "the kernel has no epoll to spare");
    }
}
