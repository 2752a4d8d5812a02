//! How arguments of the command line are read.

#[cfg(feature = "desk")]
use crate::core::ids::Pid;
use crate::core::rules::Fault;

/// An argument that is read by its own type; the message is what that type compared.
pub fn typed<T: std::str::FromStr<Err = Fault>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|fault: Fault| fault.shown().to_owned())
}

/// A paper's id: `sha256:` and 64 hex digits.
#[cfg(feature = "desk")]
pub fn pid(text: &str) -> Result<Pid, String> {
    let hash = text.strip_prefix("sha256:").and_then(Pid::from_hex);
    hash.ok_or_else(|| format!("{text:?} found; sha256: and 64 lower-case hex digits expected"))
}
