//! Properties as values, and what to do without one.

use super::cells::{cells, number, strings};
use crate::error::{Errno, Error, Result};

/// What a property can be read as.
pub trait Property: Sized {
    /// What its kind is called in a message.
    const KIND: &'static str;

    /// The value of these bytes, if they have one of this kind.
    fn parse(bytes: &[u8]) -> Option<Self>;

    /// The value of a property that is not there, for a kind that has one.
    fn absent() -> Option<Self> {
        None
    }
}

impl Property for u32 {
    const KIND: &'static str = "one cell";

    fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

impl Property for u64 {
    const KIND: &'static str = "a number of one or two cells";

    fn parse(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| number(&cells(bytes)?)).flatten()
    }
}

impl Property for bool {
    const KIND: &'static str = "a flag";

    fn parse(_bytes: &[u8]) -> Option<Self> {
        Some(true)
    }

    fn absent() -> Option<Self> {
        Some(false)
    }
}

impl Property for String {
    const KIND: &'static str = "one text";

    fn parse(bytes: &[u8]) -> Option<Self> {
        match strings(bytes)?[..] {
            [text] => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl Property for Vec<u32> {
    const KIND: &'static str = "a list of cells";

    fn parse(bytes: &[u8]) -> Option<Self> {
        cells(bytes)
    }
}

impl Property for Vec<String> {
    const KIND: &'static str = "a list of texts";

    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(strings(bytes)?.into_iter().map(str::to_owned).collect())
    }
}

/// A property that was looked for. Mirrors `PropertyGuard` of `rust/kernel/device/property.rs`.
#[derive(Debug)]
#[must_use = "say what happens without the property"]
pub struct PropertyGuard<T> {
    node: String,
    name: String,
    /// `Err` if the bytes are no value of the kind.
    value: Result<Option<T>, ()>,
}

impl<T: Property> PropertyGuard<T> {
    pub(super) fn new(node: &str, name: &str, value: Result<Option<T>, ()>) -> Self {
        Self { node: node.to_owned(), name: name.to_owned(), value }
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the node does not have the property, or has something else in it.
    pub fn required(self) -> Result<T> {
        let cause = match self.value {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => "the node does not have it".to_owned(),
            Err(()) => format!("it is not {}", T::KIND),
        };
        let thing = format!("property {} of {}", self.name, self.node);
        Err(Error::new(Errno::EINVAL, "cannot read", thing)
            .with_cause(cause)
            .with_hint("look at the binding of the device, and at the overlay that describes it"))
    }

    /// The value, if the node has the property and it is of the kind.
    pub fn optional(self) -> Option<T> {
        self.value.ok().flatten()
    }

    /// The value, or else `default`.
    pub fn or(self, default: T) -> T {
        self.optional().unwrap_or(default)
    }
}
