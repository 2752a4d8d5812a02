//! A process that holds what others need and does not run: looked at in /proc, continued, and in the end killed.
//!
//! Only one that is *stopped* (state T: a signal, or ^Z in a terminal) is touched. Whatever it was doing, a kill is safe at every moment: what
//! was not committed is not there, and what was is synced. Each signal goes through a pidfd that was opened before it was seen that the process
//! is still the one that is meant; no other process can get it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::clock::monotonic_us;
use crate::ledger::LOCK_FILE;

/// How long a stopped process is waited for before each step: continued, then killed.
pub(super) const STEP: Duration = Duration::from_secs(2);
/// Ticks of a second in /proc, on every Linux that this is built for.
const TICKS: u64 = 100;
/// Most characters of a command line that a message repeats.
const COMMAND_CHARS_MAX: usize = 120;

/// What was done about a process so far.
#[derive(Default)]
pub(super) struct Rouse {
    pid: u32,
    /// Since when it is seen stopped.
    since: Option<u64>,
    /// Whether it was continued: it is, once.
    is_continued: bool,
}

impl Rouse {
    /// Looks at process `pid`, which does not answer; `still` says whether it is still the one that is meant. Called again and again.
    pub(super) fn look(&mut self, pid: u32, still: impl FnOnce() -> bool) {
        if pid != self.pid {
            *self = Rouse { pid, ..Rouse::default() };
        }
        if state(pid) != Some('T') {
            self.since = None;
            return;
        }
        let now = monotonic_us();
        let since = *self.since.get_or_insert(now);
        if u128::from(now.saturating_sub(since)) < STEP.as_micros() {
            return;
        }
        let signal = if self.is_continued { Signal::KILL } else { Signal::CONT };
        (self.since, self.is_continued) = (Some(now), true);
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
        if let Ok(process) = pidfd_open(raw, PidfdFlags::empty())
            && still()
        {
            // Another user's is not ours to touch: the system says no, and it is waited for.
            let _ = pidfd_send_signal(&process, signal);
        }
    }
}

/// State of a process as /proc has it.
fn state(pid: u32) -> Option<char> {
    behind_name(pid)?.trim_start().chars().next()
}

/// What stands in `stat` behind the name, which may hold anything.
fn behind_name(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.to_owned())
}

/// The process that holds the lock of the ledger in `dir`, if the system says.
pub(super) fn holder(dir: &Path) -> Option<u32> {
    let found = std::fs::symlink_metadata(dir.join(LOCK_FILE)).ok()?;
    let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", found.ino());
    holder_in(&std::fs::read_to_string("/proc/locks").ok()?, &file)
}

fn holder_in(locks: &str, file: &str) -> Option<u32> {
    let pid = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, found, ..] = words.as_slice() else { return None };
        (*found == file).then(|| pid.parse().ok()).flatten().filter(|pid| *pid > 0)
    };
    locks.lines().find_map(pid)
}

/// What a process is and since when, in words.
pub(super) fn described(pid: u32) -> String {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&command).split('\0').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().map(|c| if c.is_control() { '?' } else { c }).take(COMMAND_CHARS_MAX).collect();
    let what = if shown.is_empty() { format!("process {pid}") } else { format!("process {pid} ({shown})") };
    match seconds(pid) {
        Some(seconds) => format!("{what}, which has run for {seconds} s"),
        None => what,
    }
}

/// How long a process has run.
fn seconds(pid: u32) -> Option<u64> {
    let began: u64 = behind_name(pid)?.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: u64 = uptime.split('.').next()?.parse().ok()?;
    Some(uptime.saturating_sub(began / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holder_of_a_lock_is_the_process_in_the_row_of_its_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:7 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 fe:00:8 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 13 fe:00:7 0 EOF\n3: FLOCK  ADVISORY  READ 14 fe:00:7 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 15 fe:00:7 0 EOF\n5: FLOCK  ADVISORY  WRITE 0 fe:00:9 0 EOF\n";
        assert_eq!([7, 8, 9, 70].map(|file| holder_in(locks, &format!("fe:00:{file}"))), [Some(15), Some(12), None, None]);
    }

    #[test]
    fn this_process_runs_and_is_described_by_its_command() {
        let pid = std::process::id();
        assert!(state(pid).is_some_and(|state| "RSD".contains(state)), "{:?}", state(pid));
        let described = described(pid);
        assert!(described.starts_with(&format!("process {pid} (")) && described.contains(", which has run for "), "{described}");
        assert_eq!(super::described(u32::MAX), "process 4294967295");
    }
}
