//! How arguments of the command line are read.

use crate::core::rules::Fault;

/// An argument that is read by its own type; the message is what that type compared.
pub fn typed<T: std::str::FromStr<Err = Fault>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|fault: Fault| fault.shown().to_owned())
}
