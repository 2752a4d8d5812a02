//! The end of a boot: everything written, everything unmounted, and the machine off or started again.

use rustix::system::{RebootCommand, reboot};

use super::mounts;

/// What comes after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The machine switches itself off.
    Off,
    /// The machine starts again.
    Again,
}

/// Keeps Ctrl-Alt-Del from starting the machine again behind everybody's back: the kernel sends a signal instead, which process 1 ignores.
pub fn no_restart_by_keys() -> bool {
    reboot(RebootCommand::CadOff).is_ok()
}

/// Writes everything out, unmounts, and asks the kernel to end. Process 1 stays here if the kernel does not.
pub fn end(after: After) -> ! {
    mounts::end_all();
    let command = match after {
        After::Off => RebootCommand::PowerOff,
        After::Again => RebootCommand::Restart,
    };
    let _ = reboot(command);
    // A machine without a way to switch itself off halts here; its button does the rest.
    let _ = reboot(RebootCommand::Halt);
    stay()
}

/// Stays for ever: process 1 that ends takes the kernel down with it.
pub(super) fn stay() -> ! {
    loop {
        std::thread::park();
    }
}
