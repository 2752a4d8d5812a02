//! System calls that nothing here makes, refused for the rest of the boot: no network socket, no other program, no other kernel.
//!
//! A refused call answers EPERM and is never fatal: a killed process 1 would take the machine down without a word.

use std::collections::BTreeMap;

use libc::c_long;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter_all_threads,
};

use crate::core::rules::{Checked, Fault, Rule};

/// Refused whatever is asked. `mount`, `umount2` and `reboot` are not here: sticks come and go, and the machine is switched off.
const REFUSED: &[c_long] = &[
    // Another program.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_fork,
    libc::SYS_vfork,
    // Another kernel, or more of this one.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_syslog,
    // Another process's memory, or faults taken in our own hands.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_userfaultfd,
    // Ways around a filter of calls.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_personality,
    libc::SYS_seccomp,
    // Names, keys and namespaces that are not used.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_mknod,
    libc::SYS_mknodat,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
];

/// Sockets of another family than these are refused.
const FAMILIES: [u64; 2] = [libc::AF_UNIX as u64, libc::AF_NETLINK as u64];

fn program() -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        let other = |family| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family);
        let neither = FAMILIES.iter().map(|family| other(*family)).collect::<Result<Vec<_>, _>>();
        rules.insert(call, vec![SeccompRule::new(neither.map_err(seccompiler::Error::Backend)?).map_err(seccompiler::Error::Backend)?]);
    }
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, TargetArch::x86_64).map_err(seccompiler::Error::Backend)?;
    BpfProgram::try_from(filter).map_err(seccompiler::Error::Backend)
}

/// Puts the filter on every thread, for good, and tries it: a network socket must be refused, and one between processes must not.
/// Answers with what was tried.
///
/// # Errors
/// `machine-fault` when the kernel does not take it, or lets through what it must refuse.
pub fn install() -> Checked<String> {
    let failed = |found: String| Fault::new(Rule::MachineFault, found);
    let program = program().map_err(|error| failed(format!("the filter of system calls cannot be made: {error}")))?;
    apply_filter_all_threads(&program).map_err(|error| failed(format!("the kernel takes no filter of system calls: {error}")))?;
    tried().map_err(failed)
}

fn tried() -> Result<String, String> {
    for (family, name) in [(AddressFamily::INET, "IPv4"), (AddressFamily::INET6, "IPv6"), (AddressFamily::PACKET, "packet")] {
        match socket(family, SocketType::DGRAM, None) {
            Err(Errno::PERM) => {}
            Err(error) => return Err(format!("{name} socket: {error}; EPERM, a refusal by our own filter, expected")),
            Ok(_) => return Err(format!("{name} socket: opened; EPERM, a refusal by our own filter, expected")),
        }
    }
    match socket(AddressFamily::UNIX, SocketType::STREAM, None) {
        Ok(_) => Ok("tried: IPv4, IPv6 and packet sockets are refused".to_owned()),
        Err(error) => Err(format!("socket between processes: {error}; one that opens expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own: the filter stays on it, and on nothing else of this test program.
    fn filtered<T: Send + 'static>(then: impl FnOnce() -> T + Send + 'static) -> T {
        let inside = || {
            seccompiler::apply_filter(&program().expect("a program")).expect("applied");
            then()
        };
        std::thread::spawn(inside).join().expect("a thread that ends")
    }

    #[test]
    fn sockets_of_a_network_are_refused_and_others_open() {
        assert_eq!(filtered(tried), Ok("tried: IPv4, IPv6 and packet sockets are refused".to_owned()));
        let listens = filtered(|| super::super::uevents::Uevents::listen().map(drop));
        assert_eq!(listens, Ok(()));
        let pair = filtered(|| std::os::unix::net::UnixStream::pair().map(drop).map_err(|error| error.raw_os_error()));
        assert_eq!(pair, Ok(()));
    }

    /// Without the filter the same trial says what is wrong: it cannot pass for want of looking.
    #[test]
    fn the_trial_fails_where_no_filter_is() {
        let found = tried().expect_err("no filter here");
        assert!(found.starts_with("IPv4 socket: ") && found.ends_with("EPERM, a refusal by our own filter, expected"), "{found}");
    }

    #[test]
    fn no_other_program_module_or_root_is_to_be_had() {
        let refused = filtered(|| {
            [
                std::process::Command::new("/bin/true").status().map(drop),
                rustix::system::init_module(&[], c"").map_err(Into::into),
                rustix::fs::mknodat(rustix::fs::CWD, "/nowhere/x", rustix::fs::FileType::Fifo, 0o600.into(), 0).map_err(Into::into),
                rustix::process::chroot("/").map_err(Into::into),
            ]
            .map(|answer: std::io::Result<()>| answer.map_err(|error| error.raw_os_error()))
        });
        assert_eq!(refused, [Err(Some(1)); 4], "EPERM");
    }

    /// What the desk does all day, under the filter: files, a thread, a database.
    #[test]
    fn files_threads_and_mounts_go_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().to_owned();
        let content = filtered(move || {
            std::fs::write(path.join("a"), "b").expect("written");
            std::thread::spawn(move || std::fs::read_to_string(path.join("a")).expect("read")).join().expect("joined")
        });
        assert_eq!(content, "b");
        let mounted = filtered(|| rustix::mount::unmount("/nowhere/at/all", rustix::mount::UnmountFlags::empty()));
        assert_eq!(mounted, Err(Errno::NOENT), "it comes as far as the path");
    }
}
