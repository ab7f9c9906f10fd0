//! [`Domain`]: the addresses of one device.

use std::fmt;
use std::sync::Arc;

use super::Iommu;
use crate::error::Result;

/// The addresses that a device may use, and what is mapped at them.
pub struct Domain {
    name: String,
    iommu: Box<dyn Iommu>,
}

impl Domain {
    /// The domain of the device called `name`, behind `iommu`.
    ///
    /// # Errors
    ///
    /// What the kernel says when it is asked for the ranges.
    pub fn new(name: impl Into<String>, iommu: Box<dyn Iommu>) -> Result<Arc<Self>> {
        iommu.ranges()?;
        Ok(Arc::new(Self { name: name.into(), iommu }))
    }

    /// What maps.
    pub fn iommu(&self) -> &dyn Iommu {
        &*self.iommu
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain").field("name", &self.name).finish_non_exhaustive()
    }
}
