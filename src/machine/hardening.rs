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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the tree and what is in it; no content takes it away.
    type Change<'a> = (&'a str, Option<&'a str>);

    const EFI: &str = "sys/firmware/efi/efivars";

    /// A machine as it should be, but for the changes.
    fn machine(changes: &[Change<'_>]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        let cmdline = format!("{}\n", COMMAND_LINE.trim());
        let sound: &[Change<'_>] = &[
            ("proc/cmdline", Some(&cmdline)),
            ("sys/kernel/security/lockdown", Some("none integrity [confidentiality]\n")),
            ("proc/sys/kernel/tainted", Some("0\n")),
            ("proc/modules", Some("ext4 983040 1 - Live 0x0\nusbcore 344064 9 - Live 0x0\n")),
            ("proc/sys/kernel/modules_disabled", Some("1\n")),
            ("sys/class/net/lo/operstate", Some("unknown\n")),
        ];
        for (path, content) in sound.iter().chain(changes) {
            let path = dir.path().join(path);
            match content {
                None => std::fs::remove_file(path).expect("removed"),
                Some(content) => {
                    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                    std::fs::write(path, content).expect("written");
                }
            }
        }
        dir
    }

    fn loaded() -> BTreeSet<String> {
        ["ext4", "usbcore"].map(str::to_owned).into()
    }

    fn verified(changes: &[Change<'_>]) -> Checked<Vec<Fact>> {
        verify(machine(changes).path(), &loaded())
    }

    #[test]
    fn a_machine_as_it_should_be_is_told_line_by_line() {
        let facts = verified(&[]).expect("sound");
        let told: Vec<_> = facts.iter().map(|fact| (fact.standing, fact.says.as_str())).collect();
        assert_eq!(
            told,
            [
                (Standing::Holds, "the kernel was started with exactly the options of this image"),
                (Standing::Holds, "the kernel is locked down: confidentiality"),
                (Standing::Holds, "the kernel is untouched: no foreign module, no fault since it started"),
                (Standing::Holds, "2 kernel modules, exactly those of this image; no other can be loaded"),
                (Standing::Holds, "no network: the kernel knows no network device"),
                (Standing::Holds, "the memory cannot be read through /dev/mem"),
                (Standing::Look, "Secure Boot: this firmware does not say"),
            ]
        );
    }

    #[test]
    fn each_thing_that_does_not_hold_stops_with_what_was_found() {
        let more = format!("{} init=/bin/sh\n", COMMAND_LINE.trim());
        let told = format!("{:?}; {:?} expected", more.trim(), COMMAND_LINE.trim());
        for (change, found) in [
            (("proc/cmdline", Some(more.as_str())), format!("the kernel was started with other options: {told}")),
            (("sys/kernel/security/lockdown", Some("none [integrity] confidentiality\n")), "lockdown is integrity; confidentiality".into()),
            (("sys/kernel/security/lockdown", Some("[none] integrity confidentiality\n")), "lockdown is none; confidentiality".into()),
            (("sys/kernel/security/lockdown", Some("\n")), "lockdown is unknown; confidentiality".into()),
            (("sys/kernel/security/lockdown", None), "/sys/kernel/security/lockdown: No such file".into()),
            (("proc/sys/kernel/tainted", Some("8192\n")), "touched: 8192; 0 expected".into()),
            (
                ("proc/modules", Some("ext4 1 1 - Live 0x0\nusbcore 1 9 - Live 0x0\ne1000e 1 0 - Live 0x0\n")),
                "not of the image \"e1000e\", missing \"\"".into(),
            ),
            (("proc/modules", Some("ext4 1 1 - Live 0x0\n")), "not of the image \"\", missing \"usbcore\"".into()),
            (("proc/sys/kernel/modules_disabled", Some("0\n")), "modules_disabled reads 0; 1 expected".into()),
            (("sys/class/net/eth0/operstate", Some("down\n")), "network devices: eth0; none expected".into()),
            (("dev/mem", Some("")), "/dev/mem can be opened; a refusal expected".into()),
        ] {
            let fault = verified(&[change]).expect_err(&found);
            assert_eq!(fault.rule, Rule::MachineFault);
            assert!(fault.found.contains(&found), "{} instead of {found}", fault.found);
        }
    }

    #[test]
    fn secure_boot_is_told_and_stops_nothing() {
        let variable = format!("{EFI}/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
        for (bytes, expected) in [
            ("\x06\0\0\0\x01", (Standing::Holds, "Secure Boot is on")),
            ("\x06\0\0\0\0", (Standing::Look, "Secure Boot is off: the firmware starts whatever stick is in it")),
            ("\x06\0\0\0", (Standing::Look, "Secure Boot: the firmware's answer cannot be read")),
        ] {
            let fact = verified(&[(&variable, Some(bytes))]).expect("sound").pop().expect("a fact");
            assert_eq!((fact.standing, fact.says.as_str()), expected);
        }
    }

    #[test]
    fn switches_are_set_and_read_back() {
        let dir = machine(&[]);
        let folders = ["kernel/yama", "fs"].map(|folder| dir.path().join("proc/sys").join(folder));
        folders.iter().for_each(|folder| std::fs::create_dir_all(folder).expect("made"));
        assert_eq!(lock(dir.path()), Ok(()));
        for (name, value) in SWITCHES {
            let found = std::fs::read_to_string(dir.path().join("proc/sys").join(name)).expect(name);
            assert_eq!(found, format!("{value}\n"));
        }
        assert!(SWITCHES.contains(&("kernel/modules_disabled", "1")));
    }

    /// A folder where the switch should be cannot be written: as a kernel without it answers.
    #[test]
    fn a_switch_that_does_not_stay_stops_with_its_value() {
        assert_eq!(
            lock(Path::new("/nowhere")).expect_err("nothing there").found,
            "kernel/modules_disabled is No such file or directory (os error 2); \"1\" expected"
        );
        // A file that takes everything and keeps its own value: a full device.
        let dir = machine(&[("proc/sys/kernel/modules_disabled", None)]);
        std::os::unix::fs::symlink("/proc/self/oom_score", dir.path().join("proc/sys/kernel/modules_disabled")).expect("linked");
        let found = lock(dir.path()).expect_err("it keeps its value").found;
        assert!(found.starts_with("kernel/modules_disabled is \"") && found.ends_with("\"; \"1\" expected"), "{found}");
    }

    #[test]
    fn the_boot_partition_is_what_the_loader_left_word_of() {
        let variable = format!("{EFI}/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
        let id = "9B1C7A40-0000-4AAA-8BBB-0123456789AB";
        let utf16 = |text: &str| [vec![6, 0, 0, 0], text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat();
        for (bytes, expected) in [
            (utf16(&format!("{id}\0")), Some(id.to_ascii_lowercase())),
            (utf16(id), Some(id.to_ascii_lowercase())),
            (utf16("9B1C7A40"), None),
            (utf16(&id.replace('9', "\u{1b}")), None),
            (utf16(""), None),
            (vec![6, 0], None),
        ] {
            let dir = machine(&[(&variable, Some(""))]);
            std::fs::write(dir.path().join(&variable), bytes).expect("written");
            assert_eq!(boot_part(dir.path()), expected);
        }
        assert_eq!(boot_part(Path::new("/nowhere")), None);
    }
}
