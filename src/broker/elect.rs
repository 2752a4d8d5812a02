//! Who leads: whoever gets the lock; everybody else follows, and whoever is stopped is roused.
//!
//! The lock of the operating system decides and nothing else: it dies with its process, so a leader that has ended is replaced at once, and no
//! file has to be believed or cleared away. This module never takes the lock itself; it asks for it and says when it may be free.

use std::path::Path;
use std::time::Duration;

use crate::clock::monotonic_us;
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::{LOCK_FILE, is_locked};

use super::book::{random, turned_away};
use super::follow::{Remote, Turned};
use super::rouse::{Rouse, described, holder};
use super::socket::{Connected, after, connect};

/// How long a command waits for the ledger in all.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// The shortest and the longest pause between two looks, in milliseconds; each is drawn anew, so that many do not ask at the same moments.
const PAUSES_MS: (u64, u64) = (2, 20);

/// What a command found.
pub enum Role<L> {
    /// It holds the lock, and what it made of it.
    Leads(L),
    /// Another does, and answers.
    Follows(Remote),
}

/// The moment until which a command that begins now waits.
pub fn bound() -> u64 {
    after(WAIT_MAX)
}

/// Leads or follows, within the time until `until_us`.
///
/// `lead` takes the lock and does what a leader does before it listens; the inner fault says who was faster.
///
/// # Errors
/// `another-writer` with who it is; what `lead` answers; `broker-message` when whoever leads turns us away.
pub fn elect<L, E: From<Fault>>(
    dir: &Path,
    ledger: &str,
    program: &str,
    until_us: u64,
    lead: &mut dyn FnMut() -> Result<Result<L, Fault>, E>,
) -> Result<Role<L>, E> {
    let mut rouse = Rouse::default();
    loop {
        if let Connected::To(channel) = connect(dir)? {
            match Remote::greet(channel, ledger, program, until_us) {
                Ok(remote) => return Ok(Role::Follows(remote)),
                Err(Turned::Again) => {}
                Err(Turned::Away(fault)) => return Err(fault.into()),
            }
        }
        let mut other = None;
        if !is_locked(dir)? {
            match lead()? {
                Ok(led) => return Ok(Role::Leads(led)),
                Err(fault) => other = Some(fault),
            }
        }
        if let Some(pid) = holder(dir) {
            rouse.look(pid, || holder(dir) == Some(pid));
        }
        if monotonic_us() >= until_us {
            // Somebody may write without asking for the lock: then that is what was met last.
            let fault = other.filter(|_| holder(dir).is_none()).unwrap_or_else(|| held(dir));
            turned_away(dir, &fault);
            return Err(fault.into());
        }
        pause()?;
    }
}

/// Who holds the lock for longer than was waited.
pub fn held(dir: &Path) -> Fault {
    let who = holder(dir).map_or_else(|| "another process, the system does not say which,".to_owned(), described);
    let found = format!("{}: held by {who}, and not let go while this waited; a free lock expected", dir.join(LOCK_FILE).display());
    Fault::new(Rule::AnotherWriter, found)
}

/// A pause of a length that nobody can foresee.
///
/// # Errors
/// `file-fault` when there is no randomness.
pub fn pause() -> Checked<()> {
    let [byte] = random()?;
    let (least, most) = PAUSES_MS;
    std::thread::sleep(Duration::from_millis(least + u64::from(byte) * (most - least) / 255));
    Ok(())
}
