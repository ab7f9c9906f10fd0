//! CHAR NODE: the `/dev` entry of a device, served from userspace.
//!
//! A driver implements [`CharDevice`]; [`Registration`](struct@Registration) makes the node and serves it,
//! over CUSE where the kernel has it (`/dev/NAME`) and over FUSE elsewhere (a file below a directory).
//!
//! ```text
//!   client ── read(2) ──▶ kernel ──▶ channel ──▶ session ──▶ pump ──▶ CharDevice::read
//!                                       ▲                      │          │ EAGAIN
//!                                       │ answer               ▼          ▼
//!                                       └──────────────────── pump ◀── parked in the table
//!                                                              ▲
//!                            bottom half ── WaitQueue::wake ───┘
//! ```
//!
//! | module | what it is |
//! | --- | --- |
//! | [`device`] | the trait that drivers implement |
//! | `wire` | the protocol: bytes to requests, replies to bytes |
//! | `channel` | the descriptor to the kernel |
//! | `mount`, `fusermount`, `mountinfo` | where a FUSE node comes into the file system |
//! | `cuse`, `fuse`, `tree` | what only one of the two has |
//! | `table` | open files, parked requests, pollers: plain values |
//! | `combiner`, `pump` | trying again what was parked; who may answer |
//! | `session` | the thread that reads requests |
//! | `registration`, `name` | making and unmaking a node |
//! | [`ioctl`] | the other side: a client's call |

mod channel;
mod client;
mod combiner;
mod cuse;
mod device;
mod fuse;
mod fusermount;
mod mount;
mod mountinfo;
mod name;
mod options;
mod pump;
mod registration;
mod session;
mod table;
mod tree;
mod wire;

pub use client::ioctl;
pub use device::{CharDevice, File, IoctlArg, IoctlCmd, IoctlLayout, PollEvents, WaitingCall};
pub use options::{NodeKind, Options};
pub use registration::Registration;
pub use table::NodeStats;
