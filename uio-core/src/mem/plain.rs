//! [`Plain`]: data that is its bytes, and may so be copied to where others write it.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Data that any bytes make, and that has no padding. The derives of `zerocopy` check it.
#[doc(alias("AsBytes", "FromBytes"))]
pub trait Plain: Copy + FromBytes + IntoBytes + Immutable {}

impl<T: Copy + FromBytes + IntoBytes + Immutable> Plain for T {}
