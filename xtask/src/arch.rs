//! The two architectures of the bench: what Debian, QEMU, the kernel's makefiles and Rust call each.

/// An architecture that a guest runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arch {
    /// This machine's own: its programs run in the guest as they are.
    Amd64,
    /// Of the boards with a device tree: everything in the guest is built or unpacked for it.
    Arm64,
}

/// What compiles and links C for arm64; the packages are `gcc-aarch64-linux-gnu` and `libc6-dev-arm64-cross`.
pub(crate) const ARM64_TOOLS: &str = "aarch64-linux-gnu-";

/// What Rust calls arm64.
pub(crate) const ARM64_TRIPLE: &str = "aarch64-unknown-linux-gnu";

impl Arch {
    /// What Debian calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// QEMU's program.
    pub(crate) fn qemu(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86_64",
            Self::Arm64 => "qemu-system-aarch64",
        }
    }

    /// A package of this architecture, as apt-get names it.
    pub(crate) fn package(self, name: &str) -> String {
        match self {
            Self::Amd64 => name.to_owned(),
            Self::Arm64 => format!("{name}:arm64"),
        }
    }

    /// What the names of the bench's own files start with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Amd64 => "",
            Self::Arm64 => "arm64-",
        }
    }

    /// What the kernel's makefiles must be told to build modules.
    pub(crate) fn make_variables(self) -> Vec<String> {
        match self {
            Self::Amd64 => Vec::new(),
            Self::Arm64 => vec!["ARCH=arm64".to_owned(), format!("CROSS_COMPILE={ARM64_TOOLS}")],
        }
    }

    /// A program of binutils for it.
    pub(crate) fn tool(self, name: &str) -> String {
        match self {
            Self::Amd64 => name.to_owned(),
            Self::Arm64 => format!("{ARM64_TOOLS}{name}"),
        }
    }
}
