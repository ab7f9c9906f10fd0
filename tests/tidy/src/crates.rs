//! The workspace's packages.

use std::path::Path;

use toml::{Table, Value};

use crate::tree;

/// A package of the workspace.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder, from the workspace's root.
    pub dir: String,
    /// The packages that it is built with, by the names that its manifest uses.
    pub dependencies: Vec<String>,
}

impl Package {
    /// The roots of its library and its programs, as far as they are there.
    pub fn roots(&self) -> Vec<String> {
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| format!("{}/{root}", self.dir));
        roots.into_iter().filter(|root| tree::root().join(root).exists()).collect()
    }
}

/// Every package below the root, member or not: one that nobody builds is a defect of its own.
///
/// # Panics
///
/// If a manifest is not readable.
pub fn packages() -> Vec<Package> {
    tree::sources(&["Cargo.toml"]).iter().filter_map(package).collect()
}

/// The folders that the workspace names as its members; `drivers/*` stands for all in `drivers`.
///
/// # Panics
///
/// If the workspace's manifest names none.
pub fn members() -> Vec<String> {
    let manifests = tree::sources(&["Cargo.toml"]);
    let root = manifests.iter().find(|source| source.path == "Cargo.toml");
    let table = parse(&root.expect("the workspace has a manifest").text);
    let members = table["workspace"]["members"].as_array().expect("it names its members");
    members.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn package(source: &tree::Source) -> Option<Package> {
    let table = parse(&source.text);
    let name = table.get("package")?.get("name")?.as_str()?.to_owned();
    let dir = Path::new(&source.path).parent()?.to_string_lossy().into_owned();
    let kinds = ["dependencies", "build-dependencies"];
    let mut dependencies = Vec::new();
    for section in kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()) {
        dependencies.extend(section.keys().cloned());
    }
    Some(Package { name, dir, dependencies })
}

fn parse(text: &str) -> Table {
    text.parse().expect("a manifest is TOML")
}

/// The packages of the workspace that `package` is built with.
pub fn used_by<'a>(package: &'a Package, all: &[Package]) -> Vec<&'a str> {
    let ours = |name: &&str| all.iter().any(|other| other.name == **name);
    package.dependencies.iter().map(String::as_str).filter(ours).collect()
}
