//! The kernel's word that a device came or went, through a netlink socket. What it says is not read: it only wakes, and what is there is
//! then looked for anew, so that neither a lost message nor a false one can mislead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use crate::core::rules::{Checked, Fault, Rule};

/// Group of the kernel's own messages; those of a device manager would come in group 2.
const FROM_THE_KERNEL: u32 = 1;

/// The socket.
pub struct Uevents(OwnedFd);

impl Uevents {
    /// Listens from now on. Look for devices once after it, not before: nothing is missed between.
    ///
    /// # Errors
    /// `machine-fault` with what the kernel answered.
    pub fn listen() -> Checked<Uevents> {
        let failed = |error: Errno| {
            let error = std::io::Error::from(error);
            Fault::new(Rule::MachineFault, format!("the kernel does not tell when a stick comes or goes: netlink: {error}"))
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT)).map_err(failed)?;
        bind(&socket, &SocketAddrNetlink::new(0, FROM_THE_KERNEL)).map_err(failed)?;
        Ok(Uevents(socket))
    }

    /// Another descriptor of the same socket, for whoever waits for keys and devices at once.
    ///
    /// # Errors
    /// `machine-fault`: no descriptors are left.
    pub fn waker(&self) -> Checked<OwnedFd> {
        self.0.try_clone().map_err(|error| Fault::new(Rule::MachineFault, format!("no second descriptor of the device messages: {error}")))
    }

    /// Takes every message that waits; `true` when there was one.
    pub fn drain(&self) -> bool {
        let mut heard = false;
        let mut message = [0; 8192];
        loop {
            match recv(&self.0, &mut message, RecvFlags::DONTWAIT) {
                // So many came that some were lost: that is a message too.
                Ok(_) | Err(Errno::NOBUFS) => heard = true,
                Err(Errno::INTR) => {}
                Err(_) => return heard,
            }
        }
    }

    /// Waits until a message comes, at most this long; takes all that wait. `false` when none came.
    pub fn wait(&self, most: Duration) -> bool {
        wait_for(self.0.as_fd(), most);
        self.drain()
    }
}

fn wait_for(descriptor: BorrowedFd<'_>, most: Duration) {
    let mut waiting = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    let most = Timespec { tv_sec: most.as_secs() as i64, tv_nsec: i64::from(most.subsec_nanos()) };
    let _ = poll(&mut waiting, Some(&most));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of this machine may come or not: what holds is that waiting ends, and that nothing is left after it was taken.
    #[test]
    fn listening_waits_and_ends_and_leaves_nothing() {
        let uevents = Uevents::listen().expect("a socket");
        uevents.wait(Duration::from_millis(1));
        let waker = uevents.waker().expect("a descriptor");
        uevents.drain();
        let mut message = [0; 16];
        assert!(matches!(recv(&waker, &mut message, RecvFlags::DONTWAIT), Err(Errno::AGAIN)));
    }
}
