//! [`Mapped`]: pages, at the address that the device has for them, for as long as it is held.

use std::fmt;
use std::sync::Arc;

use super::{Domain, Iova, Pages};
use crate::error::Result;

/// Pages that are mapped in a domain. The drop unmaps them; the memory is freed when that has worked, and kept by
/// the domain when it has not.
pub(super) struct Mapped {
    domain: Arc<Domain>,
    iova: Iova,
    pages: Arc<Pages>,
    released: bool,
}

impl Mapped {
    pub(super) fn new(domain: Arc<Domain>, iova: Iova, pages: Arc<Pages>) -> Self {
        Self { domain, iova, pages, released: false }
    }

    /// Where the device has them.
    #[inline]
    pub(super) fn iova(&self) -> Iova {
        self.iova
    }

    #[inline]
    pub(super) fn pages(&self) -> &Pages {
        &self.pages
    }

    /// A share of the pages.
    pub(super) fn shared(&self) -> &Arc<Pages> {
        &self.pages
    }

    pub(super) fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// Unmaps now, to say whether it worked; the pages, if it did.
    pub(super) fn unmap(mut self) -> Result<Arc<Pages>> {
        self.released = true;
        self.domain.unmap(self.iova)?;
        Ok(Arc::clone(&self.pages))
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if !self.released {
            // The domain has said it in the log, and keeps the pages.
            let _ = self.domain.unmap(self.iova);
        }
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped")
            .field("domain", &self.domain.name())
            .field("iova", &format_args!("{}", self.iova))
            .field("len", &self.pages.len())
            .finish()
    }
}
