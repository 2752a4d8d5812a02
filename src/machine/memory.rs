//! How much memory is in use: of the whole machine, whose disk is memory as well.

use std::path::Path;

/// Kibibytes in a mebibyte.
const KIB_A_MIB: u64 = 1024;

/// Memory, in mebibytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What could not be given to a program now.
    pub in_use_mib: u64,
    /// What the kernel manages.
    pub all_mib: u64,
}

/// What the kernel says of the machine's memory, below `root`; `None` when it does not say.
pub fn memory(root: &Path) -> Option<Memory> {
    parse(&std::fs::read_to_string(root.join("proc/meminfo")).ok()?)
}

fn parse(table: &str) -> Option<Memory> {
    let kib = |label: &str| table.lines().find_map(|line| line.strip_prefix(label)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let (all, available) = (kib("MemTotal:")?, kib("MemAvailable:")?);
    Some(Memory { in_use_mib: all.checked_sub(available)?.div_ceil(KIB_A_MIB), all_mib: all / KIB_A_MIB })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_is_what_could_not_be_given_to_a_program_rounded_up() {
        let table = "MemTotal:         489012 kB\nMemFree:          300000 kB\nMemAvailable:     420403 kB\nBuffers:  1 kB\n";
        assert_eq!(parse(table), Some(Memory { in_use_mib: 68, all_mib: 477 }));
    }

    #[test]
    fn memory_that_the_kernel_does_not_tell_is_not_told() {
        for table in ["", "MemTotal: 5 kB\n", "MemTotal: 5 kB\nMemAvailable: x kB\n", "MemTotal: 5 kB\nMemAvailable: 6 kB\n"] {
            assert_eq!(parse(table), None, "{table:?}");
        }
    }
}
