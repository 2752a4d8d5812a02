//! What the kernel must refuse from now on, and what can be seen of the machine: switched, then read back and verified, never assumed.

use std::collections::BTreeSet;
use std::path::Path;

use crate::core::rules::{Checked, Fault, Rule};

use super::modules;

/// The command line that the image boots with; another one may have been given by whoever holds the machine.
pub const COMMAND_LINE: &str = include_str!("../../image/cmdline");

/// Switches of the kernel below `/proc/sys`, and what each is set to. Most cannot be set back before the next boot.
const SWITCHES: &[(&str, &str)] = &[
    // No module after those of the image: what is plugged in later meets only drivers that are here already.
    ("kernel/modules_disabled", "1"),
    ("kernel/kexec_load_disabled", "1"),
    ("kernel/sysrq", "0"),
    ("kernel/kptr_restrict", "2"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/perf_event_paranoid", "3"),
    ("kernel/yama/ptrace_scope", "3"),
    ("kernel/core_pattern", ""),
    ("fs/suid_dumpable", "0"),
    ("fs/protected_symlinks", "1"),
    ("fs/protected_hardlinks", "1"),
    // Messages of the kernel would stand across the page; what matters of them comes as an error of a call.
    ("kernel/printk", "1 4 1 7"),
];

/// Something that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it means.
    pub standing: Standing,
    /// What was found, in a line.
    pub says: String,
}

/// What a fact means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As it must be.
    Holds,
    /// Nothing stops, but a person should know.
    Look,
}

/// Sets every switch and reads it back. `root` is the top of the file system.
///
/// # Errors
/// `machine-fault` with switch, value found and value expected.
pub fn lock(root: &Path) -> Checked<()> {
    for (name, value) in SWITCHES {
        let path = root.join("proc/sys").join(name);
        let written = std::fs::write(&path, format!("{value}\n"));
        let found = std::fs::read_to_string(&path);
        let stands = found.as_ref().is_ok_and(|found| words(found) == words(value));
        if !stands {
            let found = match (found, written) {
                (Ok(found), _) => format!("{:?}", found.trim_end()),
                (Err(_), Err(error)) | (Err(error), Ok(())) => error.to_string(),
            };
            return Err(broken(format!("{name} is {found}; {value:?} expected")));
        }
    }
    Ok(())
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn broken(found: String) -> Fault {
    Fault::new(Rule::MachineFault, found)
}

/// Verifies what can be seen of the running kernel. `loaded` are the modules that this boot loaded.
///
/// # Errors
/// `machine-fault` with what was found and what is expected, for the first that does not hold.
pub fn verify(root: &Path, loaded: &BTreeSet<String>) -> Checked<Vec<Fact>> {
    let holds = |says: String| Fact { standing: Standing::Holds, says };
    Ok(vec![
        holds(command_line(root)?),
        holds(lockdown(root)?),
        holds(untainted(root)?),
        holds(exactly_these_modules(root, loaded)?),
        holds(no_network(root)?),
        holds(no_memory_device(root)?),
        secure_boot(root),
    ])
}

fn read(root: &Path, path: &str) -> Checked<String> {
    std::fs::read_to_string(root.join(path)).map_err(|error| broken(format!("/{path}: {error}")))
}

/// SPEC of the image: nobody adds an option at the boot menu unseen.
fn command_line(root: &Path) -> Checked<String> {
    let (found, expected) = (read(root, "proc/cmdline")?, COMMAND_LINE.trim());
    match found.trim() == expected {
        true => Ok("the kernel was started with exactly the options of this image".to_owned()),
        false => Err(broken(format!("the kernel was started with other options: {:?}; {expected:?} expected", found.trim()))),
    }
}

/// The mode in force stands in brackets: `none integrity [confidentiality]`.
fn lockdown(root: &Path) -> Checked<String> {
    let table = read(root, "sys/kernel/security/lockdown")?;
    let expected = COMMAND_LINE.split_whitespace().find_map(|option| option.strip_prefix("lockdown=")).unwrap_or_default();
    let found = words(&table).into_iter().find_map(|word| word.strip_prefix('[')?.strip_suffix(']')).unwrap_or("unknown");
    match found == expected {
        true => Ok(format!("the kernel is locked down: {found}")),
        false => Err(broken(format!("the kernel's lockdown is {found}; {expected} expected"))),
    }
}

fn untainted(root: &Path) -> Checked<String> {
    match read(root, "proc/sys/kernel/tainted")?.trim() {
        "0" => Ok("the kernel is untouched: no foreign module, no fault since it started".to_owned()),
        found => Err(broken(format!("the kernel is marked as touched: {found}; 0 expected"))),
    }
}

fn exactly_these_modules(root: &Path, loaded: &BTreeSet<String>) -> Checked<String> {
    let found = modules::in_table(&read(root, "proc/modules")?);
    let listed = |names: std::collections::btree_set::Difference<'_, String>| names.cloned().collect::<Vec<_>>().join(" ");
    let (more, fewer) = (listed(found.difference(loaded)), listed(loaded.difference(&found)));
    if !more.is_empty() || !fewer.is_empty() {
        return Err(broken(format!("the kernel's modules are not those of the image: not of the image {more:?}, missing {fewer:?}")));
    }
    match read(root, "proc/sys/kernel/modules_disabled")?.trim() {
        "1" => Ok(format!("{} kernel modules, exactly those of this image; no other can be loaded", found.len())),
        found => Err(broken(format!("modules_disabled reads {found}; 1 expected: no module after those of the image"))),
    }
}

fn no_network(root: &Path) -> Checked<String> {
    let path = root.join("sys/class/net");
    let unreadable = |error: std::io::Error| broken(format!("/sys/class/net: {error}"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        found.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    found.retain(|name| name != "lo");
    match found.is_empty() {
        true => Ok("no network: the kernel knows no network device".to_owned()),
        false => Err(broken(format!("the kernel knows network devices: {}; none expected", found.join(" ")))),
    }
}

fn no_memory_device(root: &Path) -> Checked<String> {
    match std::fs::File::open(root.join("dev/mem")) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::NotFound) => {
            Ok("the memory cannot be read through /dev/mem".to_owned())
        }
        Err(error) => Err(broken(format!("/dev/mem: {error}; a refusal expected"))),
        Ok(_) => Err(broken("/dev/mem can be opened; a refusal expected".to_owned())),
    }
}

/// The variable's value is one byte after four of attributes.
fn secure_boot(root: &Path) -> Fact {
    let path = root.join("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    let (standing, says) = match std::fs::read(path).ok().as_deref() {
        Some([_, _, _, _, 1]) => (Standing::Holds, "Secure Boot is on"),
        Some([_, _, _, _, 0]) => (Standing::Look, "Secure Boot is off: the firmware starts whatever stick is in it"),
        Some(_) => (Standing::Look, "Secure Boot: the firmware's answer cannot be read"),
        None => (Standing::Look, "Secure Boot: this firmware does not say"),
    };
    Fact { standing, says: says.to_owned() }
}

/// The boot partition's unique id, lower case, as the boot loader left it: UTF-16 after four bytes of attributes.
pub fn boot_part(root: &Path) -> Option<String> {
    let path = root.join("sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
    let bytes = std::fs::read(path).ok()?;
    let letters: Vec<u16> =
        bytes.get(4..)?.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).take_while(|&letter| letter != 0).collect();
    let id = String::from_utf16(&letters).ok()?.to_ascii_lowercase();
    (id.len() == 36 && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())).then_some(id)
}
