//! The kernel modules of the image: exactly those in its folder, in the order of their names, and after them none.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::system::finit_module;

use crate::core::rules::{Checked, Fault, Rule};

/// Where the image keeps them.
pub const FOLDER: &str = "/modules";

/// Modules for a part that this machine may not have: firmware with variables, and two instructions of the processor. The kernel answers
/// ENODEV then, and goes on without.
const MAY_LACK_ITS_PART: &[&str] = &["efivarfs", "crc32c_intel", "crct10dif_pclmul"];

/// What modules are told when they are loaded; the kernel's command line does not reach them. Keyboards of Apple, Logitech, Lenovo and others
/// wait for drivers of their own, which are not in the image: the general one takes them all.
const OPTIONS: &[(&str, &CStr)] = &[("hid", c"ignore_special_drivers=1")];

/// A module of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    path: PathBuf,
    /// As the kernel writes it: `-` is `_`.
    name: String,
}

/// Loads every module of the folder in order. Answers with the names of those that are loaded now.
///
/// # Errors
/// `machine-fault` with the module and what the kernel answered, or with a name that is not of the form `NNN-name.ko`.
pub fn load(folder: &Path) -> Checked<BTreeSet<String>> {
    let mut loaded = BTreeSet::new();
    for module in listed(folder)? {
        let file = File::open(&module.path).map_err(|error| failed(&module, &error))?;
        match finit_module(&file, options(&module.name), 0) {
            Ok(()) | Err(Errno::EXIST) => {
                loaded.insert(module.name);
            }
            Err(Errno::NODEV) if MAY_LACK_ITS_PART.contains(&module.name.as_str()) => {}
            Err(error) => return Err(failed(&module, &error.into())),
        }
    }
    Ok(loaded)
}

fn options(name: &str) -> &'static CStr {
    OPTIONS.iter().find(|(module, _)| *module == name).map_or(c"", |(_, options)| options)
}

fn failed(module: &Listed, error: &std::io::Error) -> Fault {
    Fault::new(Rule::MachineFault, format!("the kernel does not load {}: {error}", module.path.display()))
}

/// The modules of a folder, numbered from 000 without a gap.
fn listed(folder: &Path) -> Checked<Vec<Listed>> {
    let fault = |found: String| Fault::new(Rule::MachineFault, found);
    let unreadable = |error: std::io::Error| fault(format!("{}: {error}; the modules of the image expected", folder.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let numbered = names.iter().enumerate().map(|(number, file)| {
        let name = file.strip_prefix(&format!("{number:03}-")).and_then(|rest| rest.strip_suffix(".ko")).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| fault(format!("{file} in {}; {number:03}-NAME.ko expected", folder.display())))?;
        Ok(Listed { path: folder.join(file), name: name.replace('-', "_") })
    });
    numbered.collect()
}

/// The names in a table of `/proc/modules`.
pub(super) fn in_table(table: &str) -> BTreeSet<String> {
    table.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_told_its_own_options_and_no_other() {
        assert_eq!(options("hid"), c"ignore_special_drivers=1");
        assert_eq!(options("hid_generic"), c"");
        assert_eq!(options("usbhid"), c"");
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for file in files {
            std::fs::write(dir.path().join(file), "").expect("written");
        }
        dir
    }

    #[test]
    fn modules_come_in_the_order_of_their_numbers_under_the_kernels_names() {
        let dir = folder(&["001-usb-storage.ko", "000-usbcore.ko", "002-ext4.ko"]);
        let names: Vec<_> = listed(dir.path()).expect("listed").into_iter().map(|module| module.name).collect();
        assert_eq!(names, ["usbcore", "usb_storage", "ext4"]);
    }

    #[test]
    fn a_gap_a_stranger_or_no_folder_is_a_fault_that_names_it() {
        for (files, named) in [
            (&["000-a.ko", "002-b.ko"][..], "002-b.ko"),
            (&["000-a.ko", "001-b.ko.xz"], "001-b.ko.xz"),
            (&["a.ko"], "a.ko"),
            (&["000-.ko"], "000-.ko"),
            (&["000-a.ko", "000-b.ko"], "000-b.ko"),
        ] {
            let fault = listed(folder(files).path()).expect_err(named);
            assert_eq!(fault.rule, Rule::MachineFault);
            assert!(fault.found.starts_with(named), "{}", fault.found);
        }
        assert!(listed(Path::new("/nowhere")).expect_err("no folder").found.starts_with("/nowhere: "));
    }

    /// A file that is no module: the kernel refuses it, or refuses us; either ends the boot and names the file.
    #[test]
    fn what_the_kernel_does_not_load_is_a_fault_that_names_it() {
        let fault = load(folder(&["000-efivarfs.ko"]).path()).expect_err("no module");
        assert!(fault.found.contains("000-efivarfs.ko: "), "{}", fault.found);
    }

    #[test]
    fn the_kernels_table_names_its_modules() {
        let table = "usb_storage 81920 0 - Live 0xffffffffc0000000\next4 983040 1 - Live 0x0\n";
        assert_eq!(in_table(table), ["usb_storage", "ext4"].map(str::to_owned).into());
        assert!(in_table("").is_empty());
    }
}
