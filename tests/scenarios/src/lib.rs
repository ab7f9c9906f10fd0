//! The harness of the stories in `tests/`: one daemon a story, clients that use its node, deadlines everywhere.
//!
//! - [`world`]: this machine or the test bench, as the environment says;
//! - [`programs`]: where `uiod` and `uioctl` are;
//! - [`daemon`]: starting and ending `uiod`; [`refusal`]: when it does not start;
//! - [`control`]: what it says about itself;
//! - [`client`]: other programs that use the node; [`fd`]: descriptors of our own; [`task`]: calls that may block;
//! - [`doctor`]: what `uioctl doctor` finds, and those who do what it says;
//! - [`edu_client`]: Python programs that know the ioctls of `edu`;
//! - [`stream`]: bytes that tell where they come from;
//! - [`process`]: what the kernel knows of a process;
//! - [`module`]: the kernel module of the bench;
//! - [`pci`]: its PCI functions; [`hotplug`]: pulling and plugging some of them, [`slot`] what they are plugged into;
//! - [`board`]: its boards with a device tree; [`monitor`]: what the emulator does when asked, a press of a button;
//! - [`edu`]: one of them by its registers, without a driver;
//! - [`trace`]: the system calls of a thread;
//! - [`uioctl`]: the tool, run to its end;
//! - [`zdma`]: a client of the DMA engine's node;
//! - [`wait`] has the deadlines.
//!
//! The test process is never the daemon: who serves a node and uses it too cannot be killed.
#![forbid(unsafe_code)]

pub mod board;
pub mod client;
pub mod control;
pub mod daemon;
pub mod doctor;
pub mod edu;
pub mod edu_client;
pub mod fd;
pub mod hotplug;
pub mod module;
pub mod monitor;
pub mod pci;
pub mod process;
pub mod programs;
pub mod refusal;
mod slot;
pub mod stream;
pub mod task;
pub mod trace;
pub mod uioctl;
pub mod wait;
pub mod world;
pub mod zdma;
