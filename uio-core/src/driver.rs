//! Drivers: what one implements, how it is found, and what it is given.
//!
//! A driver is a type that implements [`Driver`]. A [`Registry`] knows the drivers of a program and finds the
//! one for a device: by the device's label in [`Driver::ID_TABLE`], by what it is on PCI or in the device tree, or by
//! name.
//!
//! # Life of a driver
//!
//! ```text
//!   probe ──▶ bound ──▶ (gone) ──▶ drop
//! ```
//!
//! `probe` claims everything and starts the device. `gone` comes at most once, on the dispatcher, when the
//! device went away under the driver: it hangs up the node and returns. The drop releases in reverse order:
//! the node first, so that no client is left, then the interrupt, the bottom halves, and the device, which
//! it leaves quiet.
//!
//! Mirrors `rust/kernel/driver.rs` and the `Driver` trait of `rust/kernel/pci.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use nix::errno::Errno;

use crate::chardev;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::io::RegisterMap;
use crate::of;
use crate::pci;
use crate::softirq::Softirqs;

/// What a driver is given to claim.
#[derive(Debug)]
pub struct Probe<'a> {
    /// The device.
    pub device: &'a Arc<Device>,
    /// Where its tasklets run: beside its interrupt.
    pub softirqs: &'a Arc<Softirqs>,
    /// How its node is to be made. The driver takes them from [`node_options`](Self::node_options).
    pub node: &'a chardev::Options,
    /// The kinds of interrupts that the user allows: what the driver asks
    /// [`alloc_irq_vectors`](Device::alloc_irq_vectors) for.
    pub irq_types: pci::IrqTypes,
    /// How many devices this driver has already in this program.
    pub instance: usize,
}

impl Probe<'_> {
    /// The options for the node: the name that the user asked for, else `base` and the instance number.
    pub fn node_options(&self, base: &str) -> chardev::Options {
        let mut options = self.node.clone();
        if options.name.is_empty() {
            options.name = format!("{base}{}", self.instance);
        }
        options
    }
}

/// Fill of one ring of a driver, for those who look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingFill {
    /// What the ring is called: `rx`, `tx`.
    pub name: &'static str,
    /// Bytes in the ring.
    pub bytes: usize,
    /// Bytes that it holds.
    pub capacity: usize,
}

/// A driver, bound to one device. See the [module](self) for its life.
pub trait Driver: Send + Sync + Sized + 'static {
    /// Its name, as `--driver` takes it.
    const NAME: &'static str;

    /// Labels of the devices that it drives.
    const ID_TABLE: &'static [&'static str];

    /// PCI functions that it drives.
    const PCI_ID_TABLE: &'static [pci::DeviceId] = &[];

    /// Nodes of the device tree that it drives.
    const OF_ID_TABLE: &'static [of::DeviceId] = &[];

    /// Claims the device and starts it.
    ///
    /// # Errors
    ///
    /// Whatever the claims say; what was claimed before is released.
    fn probe(probe: &Probe<'_>) -> Result<Self>;

    /// The node that it serves.
    fn node(&self) -> &chardev::Registration;

    /// The fill of its rings.
    fn rings(&self) -> Vec<RingFill>;

    /// The registers by name, for `uioctl peek`, `poke` and `dump`; none if the driver publishes none.
    fn registers(&self) -> Vec<RegisterMap> {
        Vec::new()
    }

    /// What a newcomer may try in a shell, harmless on any board; `NODE` stands for the node's path. By default to read
    /// the node, and to write `Hello`.
    fn suggestions(&self) -> Vec<String> {
        vec!["cat NODE".to_owned(), "echo Hello > NODE".to_owned()]
    }

    /// Has the device stop: no more DMA, no more interrupts. The kernel wants the device back, and after this it
    /// goes: [`gone`](Self::gone), the end of the vectors and of the open device. On a thread that may sleep; at
    /// most a second.
    fn quiesce(&self) {}

    /// The device reported an error that its bus noticed (AER): nothing of it is to be trusted. On a thread that
    /// may sleep.
    fn error_detected(&self) {}

    /// The device went away. May not wait for anything.
    fn gone(&self, errno: Errno) {
        self.node().hang_up(errno);
    }
}

/// A bound driver of any type.
pub trait Bound: Send + Sync {
    /// [`Driver::NAME`].
    fn name(&self) -> &'static str;
    /// [`Driver::node`].
    fn node(&self) -> &chardev::Registration;
    /// [`Driver::rings`].
    fn rings(&self) -> Vec<RingFill>;
    /// [`Driver::registers`].
    fn registers(&self) -> Vec<RegisterMap>;
    /// [`Driver::suggestions`].
    fn suggestions(&self) -> Vec<String>;
    /// [`Driver::quiesce`].
    fn quiesce(&self);
    /// [`Driver::error_detected`].
    fn error_detected(&self);
    /// [`Driver::gone`].
    fn gone(&self, errno: Errno);
}

impl<D: Driver> Bound for D {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn node(&self) -> &chardev::Registration {
        Driver::node(self)
    }

    fn rings(&self) -> Vec<RingFill> {
        Driver::rings(self)
    }

    fn registers(&self) -> Vec<RegisterMap> {
        Driver::registers(self)
    }

    fn suggestions(&self) -> Vec<String> {
        Driver::suggestions(self)
    }

    fn quiesce(&self) {
        Driver::quiesce(self);
    }

    fn error_detected(&self) {
        Driver::error_detected(self);
    }

    fn gone(&self, errno: Errno) {
        Driver::gone(self, errno);
    }
}

type ProbeFn = fn(&Probe<'_>) -> Result<Arc<dyn Bound>>;

struct Entry {
    ids: &'static [&'static str],
    pci_ids: &'static [pci::DeviceId],
    of_ids: &'static [of::DeviceId],
    probe: ProbeFn,
}

impl Entry {
    fn drives(&self, device: &Device) -> bool {
        let on_pci = |id| self.pci_ids.iter().any(|entry| entry.matches(id));
        let in_tree = |node| self.of_ids.iter().any(|entry| entry.matches(node));
        self.ids.contains(&device.label())
            || device.pci_id().is_some_and(on_pci)
            || device.of_node().is_some_and(in_tree)
    }
}

/// The drivers that a program has.
#[derive(Default)]
pub struct Registry(BTreeMap<&'static str, Entry>);

impl Registry {
    /// No drivers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a driver. The kernel's `module_driver`.
    #[must_use]
    pub fn with<D: Driver>(mut self) -> Self {
        let probe: ProbeFn = |probe| Ok(Arc::new(D::probe(probe)?));
        let (ids, pci_ids, of_ids) = (D::ID_TABLE, D::PCI_ID_TABLE, D::OF_ID_TABLE);
        self.0.insert(D::NAME, Entry { ids, pci_ids, of_ids, probe });
        self
    }

    /// The names of the drivers.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The name of the driver for `device`: the one called `wanted`, or else the one whose table has it.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is none; the text names those that exist.
    pub fn find(&self, device: &Device, wanted: Option<&str>) -> Result<&'static str> {
        let found = self.0.iter().find(|(name, entry)| match wanted {
            Some(wanted) => **name == wanted,
            None => entry.drives(device),
        });
        found.map(|(name, _)| *name).ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            match wanted {
                Some(wanted) => Error::new(Errno::ENODEV, "cannot use driver", wanted)
                    .with_cause("there is no such driver")
                    .with_hint(format!("the drivers are: {names}")),
                None => Error::new(Errno::ENODEV, "cannot drive", device.name())
                    .with_cause(format!("no driver knows a device called {}", device.label()))
                    .with_hint(format!("name one with --driver; the drivers are: {names}")),
            }
        })
    }

    /// Binds the driver called `name` to a device.
    ///
    /// # Errors
    ///
    /// What its probe says; `ENODEV` if there is no such driver.
    pub fn bind(&self, name: &str, probe: &Probe<'_>) -> Result<Arc<dyn Bound>> {
        let entry =
            self.0.get(name).ok_or_else(|| Error::new(Errno::ENODEV, "cannot use driver", name))?;
        let bound = (entry.probe)(probe)?;
        let weak = Arc::downgrade(&bound);
        let (quiesce, error) = (weak.clone(), weak.clone());
        probe.device.on_remove_requested(move || {
            if let Some(bound) = quiesce.upgrade() {
                bound.quiesce();
            }
        });
        probe.device.on_error(move || {
            if let Some(bound) = error.upgrade() {
                bound.error_detected();
            }
        });
        probe.device.on_gone(move |errno| {
            if let Some(bound) = weak.upgrade() {
                bound.gone(errno);
            }
        });
        Ok(bound)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
