//! Transactions on a model of the kernel: a sysfs of plain files, and [`Model`], which does to them what
//! `drivers/base/bus.c` would.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;

use super::super::{Bus, BusDevice, Sysfs};
use super::*;
use crate::error::{Errno, Error};

const A: &str = "0000:00:03.0";
const B: &str = "0000:00:03.1";

/// Two functions, which `e1000e` would take by its ID table, and four drivers.
struct Model {
    dir: tempfile::TempDir,
    bus: Bus,
    /// Which driver refuses which function.
    refuses: HashSet<(&'static str, &'static str)>,
    /// Drivers without an attribute `unbind` (`suppress_bind_attrs`).
    keeps: HashSet<&'static str>,
    /// Attributes that the kernel does not come back from.
    hangs: HashSet<String>,
    /// Modules that can be loaded; each brings the driver of its name.
    modules: HashSet<&'static str>,
    /// What was written, in order: `drivers/e1000e/unbind 0000:00:03.0`.
    log: RefCell<Vec<String>>,
}

impl Model {
    fn new() -> Self {
        Self::on(Bus::Pci)
    }

    fn on(bus: Bus) -> Self {
        let model = Self {
            dir: tempfile::tempdir().unwrap(),
            bus,
            refuses: HashSet::new(),
            keeps: HashSet::new(),
            hangs: HashSet::new(),
            modules: HashSet::from(["late"]),
            log: RefCell::default(),
        };
        for bdf in [A, B] {
            let dir = model.sysfs().device_dir(&model.at(bdf));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("driver_override"), "(null)\n").unwrap();
            fs::write(dir.join("modalias"), "pci:v8086\n").unwrap();
        }
        for driver in ["e1000e", "vfio-pci", "uio_pci_generic", "edu"] {
            model.add_driver(driver);
        }
        model
    }

    /// Both functions are with `e1000e`.
    fn in_use() -> Self {
        let model = Self::new();
        model.attach(A, "e1000e");
        model.attach(B, "e1000e");
        model
    }

    fn sysfs(&self) -> Sysfs {
        Sysfs::at(self.dir.path())
    }

    fn at(&self, name: &str) -> BusDevice {
        BusDevice::new(self.bus, name)
    }

    fn driver_of(&self, name: &str) -> Option<String> {
        self.sysfs().driver_of(&self.at(name))
    }

    fn add_driver(&self, name: &str) {
        fs::create_dir_all(self.sysfs().driver_dir(self.bus, name)).unwrap();
    }

    fn attach(&self, bdf: &str, driver: &str) {
        let to = format!("../../drivers/{driver}");
        symlink(to, self.sysfs().device_dir(&self.at(bdf)).join("driver")).unwrap();
    }

    fn reserved_for(&self, bdf: &str) -> Option<String> {
        parse_override(&fs::read_to_string(self.sysfs().override_of(&self.at(bdf))).unwrap())
    }

    /// `pci_match_device`: the override decides where there is one, else the ID table.
    fn matches(&self, bdf: &str, driver: &str) -> bool {
        match self.reserved_for(bdf) {
            Some(wanted) => wanted == driver,
            None => driver == "e1000e",
        }
    }

    fn bind(&self, bdf: &str, driver: &str) -> io::Result<()> {
        let bound = self.driver_of(bdf).is_some();
        let refused = self.refuses.iter().any(|(by, what)| (*by, *what) == (driver, bdf));
        if bound || refused || !self.matches(bdf, driver) {
            return Err(Errno::ENODEV.into());
        }
        self.attach(bdf, driver);
        Ok(())
    }

    fn unbind(&self, bdf: &str, driver: &str) -> io::Result<()> {
        if self.driver_of(bdf).as_deref() != Some(driver) {
            return Err(Errno::ENODEV.into());
        }
        fs::remove_file(self.sysfs().device_dir(&self.at(bdf)).join("driver"))
    }

    fn probe(&self, bdf: &str) {
        for driver in ["e1000e", "vfio-pci", "uio_pci_generic", "edu"] {
            // It succeeds whether a driver was found or not.
            let _ = self.bind(bdf, driver);
        }
    }

    fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    fn change(&self, bdf: &str, goal: Goal) -> Change {
        Change {
            device: self.at(bdf),
            driver: self.driver_of(bdf),
            reserved_for: self.reserved_for(bdf),
            goal,
        }
    }

    fn plan(&self, wanted: &[(&str, Goal)]) -> Plan {
        let changes = wanted.iter().map(|(bdf, goal)| self.change(bdf, goal.clone()));
        Plan::new(&self.sysfs(), changes.collect())
    }

    fn apply(&self, wanted: &[(&str, Goal)]) -> Result<Vec<Outcome>, Box<Failed>> {
        self.plan(wanted).apply(&self.sysfs(), self)
    }

    #[track_caller]
    fn assert_state(&self, bdf: &str, driver: Option<&str>, reserved_for: Option<&str>) {
        assert_eq!(self.driver_of(bdf).as_deref(), driver, "{bdf}");
        assert_eq!(self.reserved_for(bdf).as_deref(), reserved_for, "{bdf}");
    }
}

impl Kernel for Model {
    fn read(&self, attribute: &Path) -> io::Result<String> {
        fs::read_to_string(attribute)
    }

    fn write(&self, attribute: &Path, text: &str) -> io::Result<()> {
        let bus = self.sysfs().bus_dir(self.bus);
        let attribute = attribute.strip_prefix(&bus).unwrap().to_str().unwrap();
        self.log.borrow_mut().push(format!("{attribute} {}", text.trim_end()));
        if self.hangs.contains(attribute) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"));
        }
        let parts: Vec<&str> = attribute.split('/').collect();
        match parts[..] {
            ["drivers", driver, "bind"] => self.bind(text, driver),
            ["drivers", driver, "unbind"] if self.keeps.contains(driver) => {
                Err(Errno::ENOENT.into())
            }
            ["drivers", driver, "unbind"] => self.unbind(text, driver),
            ["drivers_probe"] => {
                self.probe(text);
                Ok(())
            }
            ["devices", bdf, "driver_override"] if !text.is_empty() => {
                fs::write(self.sysfs().override_of(&self.at(bdf)), text)
            }
            _ => panic!("{attribute}"),
        }
    }

    fn load_module(&self, name: &str) -> Result<()> {
        self.log.borrow_mut().push(format!("modprobe {name}"));
        if self.modules.contains(name) {
            self.add_driver(name);
            return Ok(());
        }
        Err(Error::invalid("cannot load the module", name, "there is none"))
    }
}

fn vfio() -> Goal {
    Goal::Driver("vfio-pci".into())
}

#[test]
fn a_function_goes_from_one_driver_to_another_by_its_override() {
    let model = Model::in_use();
    let outcome = model.apply(&[(A, vfio())]).unwrap();
    assert_eq!(outcome[0].before.as_deref(), Some("e1000e"));
    assert_eq!(outcome[0].after.as_deref(), Some("vfio-pci"));
    model.assert_state(A, Some("vfio-pci"), Some("vfio-pci"));
    assert_eq!(
        model.log(),
        [
            "drivers/e1000e/unbind 0000:00:03.0",
            "devices/0000:00:03.0/driver_override vfio-pci",
            "drivers/vfio-pci/bind 0000:00:03.0",
        ]
    );
}

#[test]
fn on_every_bus_the_way_is_the_same() {
    for bus in [Bus::Platform, Bus::Amba] {
        let mut model = Model::on(bus);
        model.attach(A, "e1000e");
        model.attach(B, "e1000e");
        model.apply(&[(A, vfio())]).unwrap();
        model.assert_state(A, Some("vfio-pci"), Some("vfio-pci"));
        model.refuses.insert(("edu", B));
        model.apply(&[(B, Goal::Driver("edu".into()))]).unwrap_err();
        model.assert_state(B, Some("e1000e"), None);
        model.apply(&[(A, Goal::KernelsChoice)]).unwrap();
        model.assert_state(A, Some("e1000e"), None);
    }
}

#[test]
fn a_driver_that_is_not_there_is_loaded_first() {
    let model = Model::in_use();
    model.apply(&[(A, Goal::Driver("late".into())), (B, Goal::Driver("late".into()))]).unwrap();
    assert_eq!(model.log().iter().filter(|line| *line == "modprobe late").count(), 1);
    assert_eq!(model.log()[0], "modprobe late");
    model.assert_state(B, Some("late"), Some("late"));
}

#[test]
fn without_the_module_nothing_is_touched() {
    let model = Model::in_use();
    let failed = model.apply(&[(A, Goal::Driver("made-up".into()))]).unwrap_err();
    assert_eq!((failed.returned, failed.device), (vec![], None));
    assert_eq!(model.log(), ["modprobe made-up"]);
    model.assert_state(A, Some("e1000e"), None);
}

#[test]
fn a_driver_that_refuses_leaves_everything_as_it_was() {
    let mut model = Model::in_use();
    model.refuses.insert(("vfio-pci", B));
    let failed = model.apply(&[(A, vfio()), (B, vfio())]).unwrap_err();
    let text = failed.error.to_string();
    assert!(text.starts_with("cannot bind 0000:00:03.1 to vfio-pci: vfio-pci refuses"), "{text}");
    let returned: Vec<_> =
        failed.returned.iter().map(|one| (&*one.device.name, one.state.is_ok())).collect();
    assert_eq!(returned, [(B, true), (A, true)]);
    model.assert_state(A, Some("e1000e"), None);
    model.assert_state(B, Some("e1000e"), None);
}

#[test]
fn what_was_reserved_and_driverless_is_so_again() {
    let mut model = Model::new();
    fs::write(model.sysfs().override_of(&model.at(A)), "edu\n").unwrap();
    model.refuses.insert(("vfio-pci", A));
    model.apply(&[(A, vfio())]).unwrap_err();
    model.assert_state(A, None, Some("edu"));
}

/// It had been bound by an override that was cleared since, so its old driver does not know it.
#[test]
fn a_driver_that_has_the_function_by_an_old_override_gets_it_back() {
    let mut model = Model::new();
    model.attach(A, "edu");
    model.refuses.insert(("vfio-pci", A));
    let failed = model.apply(&[(A, vfio())]).unwrap_err();
    assert_eq!(failed.returned[0].state, Ok(()));
    model.assert_state(A, Some("edu"), None);
}

#[test]
fn a_way_back_that_is_barred_is_said() {
    let mut model = Model::in_use();
    model.refuses.insert(("vfio-pci", A));
    model.refuses.insert(("e1000e", A));
    let failed = model.apply(&[(A, vfio())]).unwrap_err();
    let error = failed.returned[0].state.clone().unwrap_err().to_string();
    assert!(error.starts_with("cannot bind 0000:00:03.0 to e1000e"), "{error}");
    model.assert_state(A, None, None);
}

#[test]
fn what_the_kernel_does_not_come_back_from_is_let_alone() {
    let mut model = Model::in_use();
    model.hangs.insert("drivers/e1000e/unbind".into());
    let failed = model.apply(&[(A, vfio()), (B, vfio())]).unwrap_err();
    assert_eq!(
        (failed.error.errno(), failed.device.clone()),
        (Errno::ETIMEDOUT, Some(model.at(A)))
    );
    assert_eq!(failed.returned.len(), 1);
    assert_eq!(model.log(), ["drivers/e1000e/unbind 0000:00:03.0"], "nothing more is written");
}

#[test]
fn a_driver_that_lets_nothing_go_is_named() {
    let mut model = Model::in_use();
    model.keeps.insert("e1000e");
    let failed = model.apply(&[(A, vfio())]).unwrap_err();
    let text = failed.error.to_string();
    assert!(text.contains("e1000e lets nothing go: it has no unbind"), "{text}");
    model.assert_state(A, Some("e1000e"), None);
}

#[test]
fn others_are_given_back_while_one_hangs() {
    let mut model = Model::in_use();
    model.hangs.insert("devices/0000:00:03.1/driver_override".into());
    let failed = model.apply(&[(A, vfio()), (B, vfio())]).unwrap_err();
    let states: Vec<_> =
        failed.returned.iter().map(|one| (&*one.device.name, one.state.is_ok())).collect();
    assert_eq!(states, [(B, false), (A, true)]);
    model.assert_state(A, Some("e1000e"), None);
}

#[test]
fn a_write_that_succeeds_and_does_nothing_is_noticed() {
    /// A kernel that takes everything and does nothing.
    struct Deaf;
    impl Kernel for Deaf {
        fn read(&self, _: &Path) -> io::Result<String> {
            Ok(String::new())
        }
        fn write(&self, _: &Path, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn load_module(&self, _: &str) -> Result<()> {
            Ok(())
        }
    }
    let model = Model::in_use();
    let plan = model.plan(&[(A, vfio())]);
    let error = plan.apply(&model.sysfs(), &Deaf).unwrap_err().error.to_string();
    assert!(error.contains("took the request, but e1000e has it now"), "{error}");
    let plan = model.plan(&[(A, Goal::Driver("late".into()))]);
    let error = plan.apply(&model.sysfs(), &Deaf).unwrap_err().error.to_string();
    assert!(error.contains("brought no PCI driver of this name"), "{error}");
}

#[test]
fn unbinding_clears_the_override_by_a_line_end_and_asks_the_kernel() {
    let model = Model::in_use();
    model.apply(&[(A, vfio())]).unwrap();
    let outcome = model.apply(&[(A, Goal::KernelsChoice)]).unwrap();
    assert_eq!(outcome[0].after.as_deref(), Some("e1000e"));
    model.assert_state(A, Some("e1000e"), None);
    let steps = model.log();
    assert_eq!(
        steps[steps.len() - 4..],
        [
            "drivers/vfio-pci/unbind 0000:00:03.0",
            "devices/0000:00:03.0/driver_override ",
            "modprobe pci:v8086",
            "drivers_probe 0000:00:03.0",
        ]
    );
}

#[test]
fn a_function_that_no_kernel_driver_wants_ends_driverless() {
    let mut model = Model::new();
    model.refuses.insert(("e1000e", A));
    model.apply(&[(A, vfio())]).unwrap();
    let outcome = model.apply(&[(A, Goal::KernelsChoice)]).unwrap();
    assert_eq!(outcome[0].after, None);
    model.assert_state(A, None, None);
}

#[test]
fn driverless_is_neither_bound_nor_reserved() {
    let model = Model::in_use();
    model.apply(&[(A, vfio())]).unwrap();
    model.apply(&[(A, Goal::Driverless)]).unwrap();
    model.assert_state(A, None, None);
    assert!(model.change(A, Goal::Driverless).is_made());
}

#[test]
fn what_is_made_already_is_known() {
    let model = Model::in_use();
    assert!(model.change(A, Goal::KernelsChoice).is_made());
    assert!(!model.change(A, Goal::Driverless).is_made());
    assert!(!model.change(A, vfio()).is_made());
    model.apply(&[(A, vfio())]).unwrap();
    assert!(model.change(A, vfio()).is_made());
    assert!(!model.change(A, Goal::KernelsChoice).is_made());
}

#[test]
fn steps_are_shown_as_what_one_would_type() {
    let model = Model::in_use();
    let sysfs = model.sysfs();
    let plan = model.plan(&[(A, Goal::Driver("late".into()))]);
    let root = model.dir.path().display();
    let shown: Vec<String> =
        plan.steps().iter().map(|step| format!("{step}: {}", step.command(&sysfs))).collect();
    assert_eq!(
        shown,
        [
            "load the module late: modprobe late".to_owned(),
            format!("unbind {A} from e1000e: echo {A} > {root}/bus/pci/drivers/e1000e/unbind"),
            format!("reserve {A} for late: echo late > {root}/bus/pci/devices/{A}/driver_override"),
            format!("bind {A} to late: echo {A} > {root}/bus/pci/drivers/late/bind"),
        ]
    );
    assert_eq!(model.log(), Vec::<String>::new(), "a plan changes nothing");
}

#[test]
fn no_override_reads_as_none() {
    for text in ["(null)\n", "\n", ""] {
        assert_eq!(parse_override(text), None, "{text:?}");
    }
    assert_eq!(parse_override("vfio-pci\n").as_deref(), Some("vfio-pci"));
}
