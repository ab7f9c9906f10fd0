//! `uioctl bind`, `unbind`, `status`, `ls` and `doctor` on devices of the device tree, on a sysfs of plain files. That they
//! really bind is shown on boards.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::json;

use super::Run;
use super::fake::answering;

/// Two channels of a DMA engine and a clock, the first and the last on the platform bus.
const DMA: &str = "ffa80000.dma";
const DMA_NODE: &str = "/soc/dma@ffa80000";
const CLOCK: &str = "9010000.pl031";

struct Board {
    dir: tempfile::TempDir,
}

impl Board {
    fn new() -> Self {
        let board = Self { dir: tempfile::tempdir().unwrap() };
        let tree = "sys/firmware/devicetree/base";
        for (path, cells) in [
            ("#address-cells", vec![1]),
            ("#size-cells", vec![1]),
            ("interrupt-parent", vec![1]),
            ("intc/phandle", vec![1]),
            ("intc/#interrupt-cells", vec![3]),
            ("soc/#address-cells", vec![1]),
            ("soc/#size-cells", vec![1]),
            ("soc/dma@ffa80000/reg", vec![0xffa8_0000, 0x1000, 0x3000_0000, 0x10_0000]),
            ("soc/dma@ffa80000/interrupts", vec![0, 60, 4]),
            ("soc/dma@ffa80000/xlnx,bus-width", vec![64]),
            ("soc/dma@ffa90000/reg", vec![0xffa9_0000, 0x1000]),
            ("pl031@9010000/reg", vec![0x901_0000, 0x1000]),
        ] {
            let bytes: Vec<u8> = cells.into_iter().flat_map(u32::to_be_bytes).collect();
            board.write(&format!("{tree}/{path}"), &bytes);
        }
        board.write(&format!("{tree}/soc/ranges"), b"");
        board.write(&format!("{tree}/soc/dma@ffa80000/reg-names"), b"regs\0buf\0");
        for (bus, name, node, compatible) in [
            ("platform", DMA, DMA_NODE, "xlnx,zynqmp-dma-1.0\0"),
            ("platform", "ffa90000.dma", "/soc/dma@ffa90000", "xlnx,zynqmp-dma-1.0\0"),
            ("amba", CLOCK, "/pl031@9010000", "arm,pl031\0arm,primecell\0"),
        ] {
            board.write(&format!("{tree}{node}/compatible"), compatible.as_bytes());
            let dir = board.path(&format!("sys/devices/platform/{name}"));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("driver_override"), "(null)\n").unwrap();
            fs::write(dir.join("modalias"), "of:NdmaT(null)\n").unwrap();
            symlink(board.path(&format!("{tree}{node}")), dir.join("of_node")).unwrap();
            let devices = board.path(&format!("sys/bus/{bus}/devices"));
            fs::create_dir_all(&devices).unwrap();
            symlink(dir, devices.join(name)).unwrap();
            board.write(&format!("sys/bus/{bus}/drivers_probe"), b"");
        }
        for file in ["uio_pdrv_genirq/bind", "uio_pdrv_genirq/unbind", "xilinx-dma/unbind"] {
            board.write(&format!("sys/bus/platform/drivers/{file}"), b"");
        }
        board.give(CLOCK, "rtc-pl031");
        fs::create_dir(board.path("rules")).unwrap();
        board
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn give(&self, name: &str, driver: &str) {
        let link = self.path(&format!("sys/devices/platform/{name}/driver"));
        symlink(format!("../../../bus/platform/drivers/{driver}"), link).unwrap();
    }

    /// The first channel is uio2.
    fn with_uio(&self) {
        self.give(DMA, "uio_pdrv_genirq");
        let uio = format!("sys/devices/platform/{DMA}/uio/uio2");
        self.write(&format!("{uio}/name"), b"zdma0\n");
        self.write(&format!("{uio}/dev"), b"240:2\n");
        symlink("../..", self.path(&uio).join("device")).unwrap();
        symlink("/sys/class/uio", self.path(&uio).join("subsystem")).unwrap();
        fs::create_dir_all(self.path("sys/class/uio")).unwrap();
        symlink(self.path(&uio), self.path("sys/class/uio/uio2")).unwrap();
        for node in ["uio2", "cuse", "fuse"] {
            self.write(&format!("dev/{node}"), b"");
        }
    }

    fn run(&self, args: &[&str]) -> Run {
        let text = |path: &str| self.path(path).to_str().unwrap().to_owned();
        let mut all: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        all.extend(["--sysfs".into(), text("sys"), "--proc".into(), text("proc")]);
        all.extend(["--root".into(), text("")]);
        let has_places = ["bind", "unbind", "status"].contains(&args[0]);
        if has_places {
            all.extend(["--rules-dir".into(), text("rules"), "--udev-data".into(), text("udev")]);
        }
        if args[0] == "status" {
            all.extend(["--run-dir".to_owned(), text("run")]);
        }
        Run::with(all)
    }
}

#[test]
fn a_node_goes_to_uio_without_being_told_which_driver() {
    let board = Board::new();
    let bus = board.path("sys/bus/platform").display().to_string();
    let expected = format!(
        "1. reserve {DMA} for uio_pdrv_genirq: echo uio_pdrv_genirq > {bus}/devices/{DMA}/driver_override\n\
         2. bind {DMA} to uio_pdrv_genirq: echo {DMA} > {bus}/drivers/uio_pdrv_genirq/bind\n\
         dry run: nothing was changed\n"
    );
    for name in [&format!("of:{DMA_NODE}"), DMA, &format!("/sys/bus/platform/devices/{DMA}")] {
        assert_eq!(board.run(&["bind", name, "--dry-run"]).stdout(), expected, "{name}");
    }
}

#[test]
fn it_is_taken_from_the_driver_that_has_it_and_given_back_if_that_fails() {
    let board = Board::new();
    board.give(DMA, "xilinx-dma");
    let text = board.run(&["bind", DMA, "--dry-run"]).stdout();
    assert!(text.starts_with(&format!("1. unbind {DMA} from xilinx-dma: ")), "{text}");
    // Here the kernel takes every request and does nothing.
    let text = board.run(&["bind", DMA]).refusal(1);
    assert!(text.contains("took the request, but xilinx-dma has it now"), "{text}");
    assert!(text.contains(&format!("rolled back: {DMA} is with xilinx-dma as before")), "{text}");
    fs::remove_file(board.path("sys/bus/platform/drivers/xilinx-dma/unbind")).unwrap();
    let text = board.run(&["bind", DMA]).refusal(1);
    assert!(text.contains("xilinx-dma lets nothing go"), "{text}");
}

#[test]
fn what_one_should_know_of_uio_is_said() {
    let text = Board::new().run(&["bind", "ffa90000.dma", "--dry-run"]).stdout();
    assert!(text.contains("the node of ffa90000.dma has no interrupt"), "{text}");
}

#[test]
fn a_primecell_is_refused_with_the_overlay_that_it_needs() {
    let board = Board::new();
    let text = board.run(&["bind", "of:/pl031@9010000"]).refusal(1);
    assert!(
        text.starts_with("cannot bind 9010000.pl031 to uio_pdrv_genirq: \"arm,primecell\""),
        "{text}"
    );
    assert!(
        text.contains("&{/pl031@9010000} { compatible = \"arm,pl031\", \"generic-uio\"; };"),
        "{text}"
    );
    board.run(&["bind", CLOCK, "another-driver", "--dry-run"]).stdout();
}

#[test]
fn a_node_that_is_not_there_or_not_the_only_one_is_explained() {
    let board = Board::new();
    let text = board.run(&["bind", "of:/soc/dma@ffa8000"]).refusal(1);
    assert!(text.contains("of:/soc/dma@ffa8000: ") && text.contains(DMA_NODE), "{text}");
    let text = board.run(&["bind", "of:xlnx,zynqmp-dma-1.0"]).refusal(1);
    assert!(text.contains(&format!("of:{DMA_NODE}, of:/soc/dma@ffa90000")), "{text}");
    let text = board.run(&["bind", "of:/soc"]).refusal(1);
    assert!(text.contains("compatible with nothing"), "{text}");
    let text = board.run(&["bind", "ffa80000.dm"]).refusal(1);
    assert!(text.contains(&format!("most like it are {DMA}, ")), "{text}");
    let text = board.run(&["bind", DMA, "--group"]).refusal(2);
    assert!(text.contains("no PCI function"), "{text}");
}

#[test]
fn a_rule_for_a_node_is_kept_and_forgotten() {
    let board = Board::new();
    board.with_uio();
    let rule = board.path(&format!("rules/70-uioctl-{DMA}.rules"));
    board.run(&["bind", DMA, "--persist"]).stdout();
    let written = fs::read_to_string(&rule).unwrap();
    assert!(written.contains(&format!("ENV{{OF_FULLNAME}}==\"{DMA_NODE}\"")), "{written}");
    let text = board.run(&["status", DMA]).stdout();
    assert!(text.contains(&format!("to uio_pdrv_genirq, by {}", rule.display())), "{text}");
    fs::remove_file(board.path(&format!("sys/bus/platform/devices/{DMA}"))).unwrap();
    fs::remove_dir_all(board.path(&format!("sys/firmware/devicetree/base{DMA_NODE}"))).unwrap();
    let text = board.run(&["unbind", &format!("of:{DMA_NODE}"), "--forget"]).stdout();
    assert!(text.contains("is not there") && !rule.exists(), "{text}");
}

#[test]
fn the_status_of_a_node_has_its_regions_interrupts_and_properties() {
    let board = Board::new();
    board.with_uio();
    fs::create_dir(board.path("run")).unwrap();
    let answer =
        r#"{"pid":77,"devices":[{"name":"uio2 (zdma0)","driver":"zynqmp-dma","state":"running"}]}"#;
    answering(&board.path("run"), 77, answer);
    let json = board.run(&["status", &format!("of:{DMA_NODE}"), "--json"]).json();
    assert_eq!((&json["device"], &json["driver"]), (&json!(DMA), &json!("uio_pdrv_genirq")));
    assert_eq!((&json["bus"], &json["node"]), (&json!("platform"), &json!(DMA_NODE)));
    assert_eq!(json["uio"], json!({"number": 2, "name": "zdma0"}));
    assert_eq!(
        json["regions"][1],
        json!({"name": "buf", "address": 0x3000_0000, "size": 0x10_0000})
    );
    assert_eq!(json["interrupts"][0]["specifier"], json!([0, 60, 4]));
    assert_eq!(json["properties"], json!([{"name": "xlnx,bus-width", "value": "<0x40>"}]));
    assert_eq!(json["daemons"][0]["driver"], "zynqmp-dma");
    fs::remove_dir_all(board.path("run")).unwrap();
    let text = board.run(&["status", "uio:zdma0"]).stdout();
    assert!(text.starts_with(&format!("{DMA}, {DMA_NODE} of the device tree\n")), "{text}");
    for line in ["uio2 (zdma0)", "regs: 0xffa80000, 4 KiB", "0x0 0x3c 0x4 of /intc"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn the_status_has_a_table_of_the_nodes_that_are_with_uio() {
    let board = Board::new();
    board.with_uio();
    fs::create_dir(board.path("run")).unwrap();
    answering(&board.path("run"), 77, r#"{"pid":77}"#);
    let text = board.run(&["status"]).stdout();
    let last: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(last, [DMA, DMA_NODE, "uio_pdrv_genirq", "uio2"]);
}

#[test]
fn a_list_has_the_nodes_with_their_devices() {
    let board = Board::new();
    board.with_uio();
    let json = board.run(&["ls", "--json"]).json();
    assert_eq!(json["uio"][0]["of_node"], DMA_NODE);
    let all = json["platform"].as_array().unwrap();
    let ready: Vec<_> =
        all.iter().map(|one| (&one["name"], &one["ready"], &one["missing"])).collect();
    let (null, uio) = (json!(null), json!("uio"));
    assert_eq!(
        ready,
        [
            (&json!(CLOCK), &null, &json!("on the AMBA bus")),
            (&json!(DMA), &uio, &null),
            (&json!("ffa90000.dma"), &null, &json!("not bound")),
        ]
    );
    assert_eq!((&all[1]["of_node"], &all[1]["uio"]), (&json!(DMA_NODE), &json!(2)));
    assert_eq!(all[1]["regions"][0]["name"], "regs");
    let text = board.run(&["ls"]).stdout();
    let line = text.lines().find(|line| line.starts_with(DMA)).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..5], [DMA, DMA_NODE, "uio_pdrv_genirq", "uio2", "0xffa80000"]);
    assert!(text.contains(&format!("of:{DMA_NODE}\n")), "the UIO device names its node: {text}");
    assert!(text.contains("uioctl doctor of:/pl031@9010000"), "{text}");
}

#[test]
fn the_doctor_finds_a_device_by_any_of_its_names() {
    let board = Board::new();
    board.with_uio();
    for name in [&format!("of:{DMA_NODE}"), DMA, "uio:zdma0", "uio:uio2", "zdma0"] {
        let text = board.run(&["doctor", name]).stdout();
        let last = text.lines().last().unwrap();
        assert!(last.starts_with(&format!("of:{DMA_NODE} ({DMA}) is ready")), "{name}: {text}");
    }
}

#[test]
fn the_doctor_names_the_driver_that_has_a_node_and_the_command_that_takes_it() {
    let board = Board::new();
    board.give(DMA, "xilinx-dma");
    board.write("sys/module/uio_pdrv_genirq/refcnt", b"0\n");
    let run = board.run(&["doctor", DMA, "--json"]);
    assert_eq!(run.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let fault = findings.iter().find(|found| found["severity"] == "fault").unwrap();
    assert_eq!(fault["problem"], "the kernel's driver xilinx-dma has it");
    assert_eq!(fault["command"], format!("uioctl bind of:{DMA_NODE}"));
}

#[test]
fn of_a_node_that_is_not_there_the_doctor_says_what_there_is() {
    let board = Board::new();
    let run = board.run(&["doctor", "of:/soc/dma@ffa8000"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains(&format!("most like it are {DMA_NODE}, ")), "{}", run.stdout);
    assert!(run.stdout.contains("was not applied"), "{}", run.stdout);
}
