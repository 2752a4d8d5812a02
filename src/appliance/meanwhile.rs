//! Work that takes long and says nothing until it is done: meanwhile the page shows that the machine lives.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::clock::monotonic_us;
use crate::console::page::Page;

use super::room::Room;

/// How often the page is shown anew.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// Does `work` on a thread of its own, and shows `page` once a tick with the seconds that went by.
pub(super) fn meanwhile<T: Send>(room: &Room<'_>, tick: Duration, page: impl Fn(u64) -> Page, work: impl FnOnce() -> T + Send) -> T {
    let began = monotonic_us();
    thread::scope(|scope| {
        // Nothing is sent: that the other end is gone says that the work is over, also when it ended in a panic.
        let (at_work, watch) = channel::<()>();
        let worker = scope.spawn(move || {
            let _at_work = at_work;
            work()
        });
        room.show(&page(0));
        while watch.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
            room.show(&page(monotonic_us().saturating_sub(began) / 1_000_000));
        }
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
