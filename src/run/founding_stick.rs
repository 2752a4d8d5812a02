//! A founding by stick: what the founders bring, and what they take home to sign.

use std::path::{Path, PathBuf};

use crate::core::note::VerifierKey;
use crate::core::policy::Policy;
use crate::core::rules::{Checked, Fault, Rule};
use crate::media::publish::{Observe, write_files};

use super::files;
use super::found::{PAYLOAD_FILE, read_policy};
use super::handling::Handling;

/// Where everything of a founding lies on a stick.
pub const FOUNDING: &str = "tabellion/founding";
/// The policy, as TOML.
pub const POLICY_FILE: &str = "policy.toml";
/// The next log key, one line.
pub const NEXT_FILE: &str = "next.vkey";
/// The charter with signatures.
pub const SIGNED_FILE: &str = "charter.cose";

/// What founders bring.
pub struct Brought {
    /// Where the policy lies.
    pub path: PathBuf,
    /// The policy.
    pub policy: Policy,
    /// The next log key; its name is the origin.
    pub next: VerifierKey,
}

/// Reads what the founders brought.
///
/// # Errors
/// `not-found`, `medium-fault`, `policy-unsound`; `usage` for a key that is none.
pub fn brought(medium: &Path) -> Checked<Brought> {
    let folder = medium.join(FOUNDING);
    let path = folder.join(POLICY_FILE);
    let policy = read_policy(&path).map_err(of_medium)?;
    let key = files::read(&folder.join(NEXT_FILE)).map_err(of_medium)?;
    let text = String::from_utf8_lossy(&key);
    let next = text.trim().parse().map_err(|fault: Fault| fault.within(format!("{FOUNDING}/{NEXT_FILE}")))?;
    Ok(Brought { path, policy, next })
}

/// Our own disk has no part in what a stick cannot give.
fn of_medium(fault: Fault) -> Fault {
    match fault.rule {
        Rule::FileFault => Fault { rule: Rule::MediumFault, ..fault },
        _ => fault,
    }
}

/// The signed charter on a stick, if it is there.
pub fn signed(medium: &Path) -> Option<PathBuf> {
    Some(medium.join(FOUNDING).join(SIGNED_FILE)).filter(|path| path.is_file())
}

/// Writes the charter's payload to a stick, for the founders to sign at home, and compares it once more when the stick was out of every cache.
///
/// # Errors
/// `medium-fault`; `file-fault` when the payload cannot be read.
pub fn hand_out(dir: &Path, medium: &Path, handling: &mut dyn Handling, observe: &mut Observe<'_>) -> Checked<()> {
    let payload = files::read(&dir.join(PAYLOAD_FILE))?;
    let path = format!("{FOUNDING}/{PAYLOAD_FILE}");
    handling.to_write(medium)?;
    write_files(medium, [(path.clone(), payload.clone())], observe)?;
    if handling.to_compare(medium)? && files::read(&medium.join(&path)).ok().as_ref() != Some(&payload) {
        return Err(Fault::new(
            Rule::MediumFault,
            format!("{path}: read from the stick again, it differs; the charter's payload expected"),
        ));
    }
    Ok(())
}
