//! Memory for the DMA of a device that has no IOMMU before it. What it is and how it is used: `mem/dma/reserved`.

use nix::errno::Errno;

use super::Device;
use crate::error::{Error, Result};
use crate::mem::dma::{Iova, ReservedMemory};

impl Device {
    /// The memory that the device tree gives to the device as its region `name`: `reg-names = "regs", "buf"`.
    ///
    /// The CPU reaches it uncached, for so UIO maps it. Its bus address is taken to be the physical one.
    ///
    /// # Errors
    ///
    /// - `ENODEV` if there is no such region: the text says how to describe one;
    /// - `EINVAL` if the region has no address;
    /// - what the kernel says when it is mapped.
    #[doc(alias("of_reserved_mem_device_init", "of_reserved_mem_lookup"))]
    pub fn reserved_memory(&self, name: &str) -> Result<ReservedMemory> {
        let index = self.region_index(name).ok_or_else(|| self.no_memory(name))?;
        let info = self.regions().iter().find(|info| info.index == index);
        let start = info.and_then(|info| info.address?.checked_add(info.offset));
        let title = format!("{name} of {}", self.name());
        let Some(start) = start else {
            return Err(Error::invalid("cannot use for DMA", title, "it has no address"));
        };
        ReservedMemory::uncached(title, Iova(start), self.region(index, 1)?)
    }

    fn no_memory(&self, name: &str) -> Error {
        let regions: Vec<&str> = self.regions().iter().map(|info| info.name.as_str()).collect();
        Error::new(Errno::ENODEV, "cannot find", format!("memory {name} of {}", self.name()))
            .with_cause(format!("its regions are: {}", regions.join(", ")))
            .with_hint(format!(
                "describe it in the device tree: reserve memory (no-map), add it to reg, and have \
                 reg-names = \"regs\", \"{name}\""
            ))
    }

    /// `len` bytes in huge pages of this process, by their physical addresses. `mem/dma/reserved` says what is wrong
    /// with it.
    ///
    /// # Errors
    ///
    /// - `EPERM` unless the user has [accepted the risk](super::OpenOptions::accept_dma_risk), and if the kernel does
    ///   not tell physical addresses;
    /// - `ENOMEM` if there are no huge pages, or they are not contiguous;
    /// - `EOPNOTSUPP` if neither the device sees the caches nor a process may write them back.
    #[cfg(not(loom))]
    pub fn physical_memory(&self, len: usize) -> Result<ReservedMemory> {
        self.check_dma_risk("huge pages of this process")?;
        crate::mem::dma::reserved::huge_pages(len, self.is_dma_coherent())
    }

    /// Whether the device tree says that the device sees the CPU's caches.
    pub fn is_dma_coherent(&self) -> bool {
        self.of_node().is_some_and(|node| node.property_present("dma-coherent"))
    }

    /// Whether the user has accepted that a device is sent to pages of which the kernel does not know that.
    #[cfg(not(loom))]
    fn check_dma_risk(&self, what: &str) -> Result<()> {
        if self.accepts_dma_risk {
            return Ok(());
        }
        Err(Error::new(Errno::EPERM, "cannot let do DMA", format!("{} in {what}", self.name()))
            .with_cause("no IOMMU is before it, and the kernel does not know that a device uses these pages")
            .with_hint(
                "give the device a carve-out in the device tree; or accept the risk: uiod run --i-accept-dma-risk",
            ))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::device::sim::{Model, Models, SimLine};
    use crate::device::{DeviceSpec, OpenOptions};
    use crate::io::{RegionModel, Width};
    use crate::irq::Dispatcher;
    use crate::of::Node;

    struct Zeros(usize);

    impl RegionModel for Zeros {
        fn size(&self) -> usize {
            self.0
        }

        fn read(&self, _offset: usize, _width: Width) -> u64 {
            0
        }

        fn write(&self, _offset: usize, _width: Width, _value: u64) {}
    }

    /// Registers, a carve-out, and a region that the tree does not say the place of.
    struct Card;

    impl Model for Card {
        fn regions(&self) -> Vec<(String, Arc<dyn RegionModel>)> {
            let region = |name: &str, size| (name.to_owned(), Arc::new(Zeros(size)) as _);
            vec![region("regs", 0x1000), region("buf", 0x8000), region("lost", 0x1000)]
        }

        fn line(&self) -> Option<Arc<SimLine>> {
            None
        }

        fn of_node(&self) -> Option<Node> {
            let node = Node::new("/dma@1000").with_reg(Some("regs"), 0x1000, 0x1000);
            Some(node.with_reg(Some("buf"), 0x3000_0000, 0x8000))
        }
    }

    fn device(options: OpenOptions) -> (Arc<Device>, Dispatcher) {
        let dispatcher = Dispatcher::start("irq/test").unwrap();
        let models = Models::new().with("card", || Ok(Card));
        let spec = DeviceSpec::Sim("card".to_owned());
        (Device::open_with(&spec, &options, &dispatcher, &models).unwrap(), dispatcher)
    }

    #[test]
    fn a_carve_out_is_found_by_its_name_in_the_device_tree() {
        let (device, _dispatcher) = device(OpenOptions::default());
        let memory = device.reserved_memory("buf").unwrap();
        assert_eq!((memory.bus_address(), memory.len()), (Iova(0x3000_0000), 0x8000));
        assert_eq!(memory.name(), "buf of sim:card");
        assert_eq!(device.reserved_memory("lost").unwrap_err().errno(), Errno::EINVAL);
        let error = device.reserved_memory("ring").unwrap_err();
        assert_eq!(error.errno(), Errno::ENODEV);
        for part in ["its regions are: regs, buf, lost", "reg-names = \"regs\", \"ring\""] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn pages_that_the_kernel_does_not_know_of_need_the_users_word() {
        let (device, _dispatcher) = device(OpenOptions::default());
        let error = device.physical_memory(1).unwrap_err();
        assert_eq!(error.errno(), Errno::EPERM);
        assert!(error.to_string().contains("--i-accept-dma-risk"), "{error}");
    }

    #[test]
    fn with_the_users_word_it_is_up_to_the_machine() {
        let (device, _dispatcher) = device(OpenOptions::default().accept_dma_risk(true));
        // Whether this machine has huge pages, and tells where they are, is not known here.
        match device.physical_memory(1) {
            Ok(memory) => assert!(memory.bus_address().0 != 0),
            Err(error) => assert!(!error.to_string().contains("accept"), "{error}"),
        }
    }
}
