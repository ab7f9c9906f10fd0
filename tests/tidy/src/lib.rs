//! What the tests of the project's rules read: the files of the workspace, and the code in them.
//!
//! - [`tree`]: the files, without what is built;
//! - [`code`]: a Rust source with its comments and texts blanked out, so that a rule sees code alone;
//! - [`crates`]: the workspace's packages and what they depend on.
#![forbid(unsafe_code)]

pub mod code;
pub mod crates;
pub mod tree;
