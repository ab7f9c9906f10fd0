//! The ioctls by number: `_IO(';', 100 + n)`, whatever they take.

use nix::request_code_none as io;
use nix::{ioctl_none_bad, ioctl_readwrite_bad, ioctl_write_int_bad, ioctl_write_ptr_bad};
use vfio_bindings::bindings::vfio::{VFIO_BASE, VFIO_TYPE};
use vfio_bindings::bindings::vfio::{
    vfio_group_status, vfio_iommu_type1_dma_map, vfio_iommu_type1_dma_unmap, vfio_irq_info,
};

ioctl_none_bad!(get_api_version, io!(VFIO_TYPE, VFIO_BASE));
ioctl_write_int_bad!(check_extension, io!(VFIO_TYPE, VFIO_BASE + 1));
ioctl_write_int_bad!(set_iommu, io!(VFIO_TYPE, VFIO_BASE + 2));
ioctl_readwrite_bad!(group_get_status, io!(VFIO_TYPE, VFIO_BASE + 3), vfio_group_status);
ioctl_write_ptr_bad!(group_set_container, io!(VFIO_TYPE, VFIO_BASE + 4), libc::c_int);
ioctl_write_ptr_bad!(group_get_device_fd, io!(VFIO_TYPE, VFIO_BASE + 6), libc::c_char);
ioctl_readwrite_bad!(device_get_info, io!(VFIO_TYPE, VFIO_BASE + 7), u64);
ioctl_readwrite_bad!(device_get_region_info, io!(VFIO_TYPE, VFIO_BASE + 8), u64);
ioctl_readwrite_bad!(device_get_irq_info, io!(VFIO_TYPE, VFIO_BASE + 9), vfio_irq_info);
ioctl_write_ptr_bad!(device_set_irqs, io!(VFIO_TYPE, VFIO_BASE + 10), u32);
ioctl_none_bad!(device_reset, io!(VFIO_TYPE, VFIO_BASE + 11));
ioctl_readwrite_bad!(iommu_get_info, io!(VFIO_TYPE, VFIO_BASE + 12), u64);
ioctl_write_ptr_bad!(iommu_map_dma, io!(VFIO_TYPE, VFIO_BASE + 13), vfio_iommu_type1_dma_map);
ioctl_readwrite_bad!(iommu_unmap_dma, io!(VFIO_TYPE, VFIO_BASE + 14), vfio_iommu_type1_dma_unmap);
