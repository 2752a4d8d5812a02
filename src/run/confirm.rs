//! What a session is confirmed by: the number that the head would have, and of a paper that puts a new policy in force the beginning of its id.
//! A habit of typing yes confirms nothing.

use crate::core::ids::{Pid, parse_decimal};
use crate::core::payload::Ruling;
use crate::core::plan::Plan;
use crate::core::record::RecordKind;
use crate::core::rules::{Checked, Fault, Rule};

/// Fewest digits of an id that confirm it.
pub const DIGITS_MIN: usize = 8;

/// The papers of a plan that would put a new policy in force.
pub fn policies(plan: &Plan) -> impl Iterator<Item = &Ruling> {
    plan.rulings().iter().filter(|ruling| ruling.record.as_ref().is_some_and(|record| record.kind == RecordKind::Policy))
}

/// A policy's paper, by the digits of its id that the governors read to the operator; in the words that go into the ledger.
///
/// # Errors
/// `confirmation-missing`.
pub fn policy(typed: &str, pid: &Pid) -> Checked<String> {
    if is_beginning(typed, pid) {
        return Ok(format!("typed {typed} for sha256:{pid}"));
    }
    Err(Fault::new(Rule::ConfirmationMissing, format!("{typed:?} typed; the first {DIGITS_MIN} digits of sha256:{pid} expected")))
}

/// A session, by the number that the head would have; in the words that go into the ledger.
///
/// # Errors
/// `confirmation-missing`.
pub fn number(typed: &str, plan: &Plan) -> Checked<String> {
    let number = plan.after().number;
    if parse_decimal(typed) == Some(number) {
        return Ok(format!("typed {number}"));
    }
    Err(Fault::new(Rule::ConfirmationMissing, format!("{typed:?} typed; {number} expected")))
}

/// Whether what was typed is the beginning of an id.
fn is_beginning(typed: &str, pid: &Pid) -> bool {
    let digits = typed.strip_prefix("sha256:").unwrap_or(typed);
    digits.len() >= DIGITS_MIN && pid.hex().starts_with(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::Hash;

    #[test]
    fn a_policy_is_confirmed_by_eight_digits_of_its_id_and_by_no_yes() {
        let pid = Hash([0xab; 32]);
        for typed in ["abababab", "ababababab", "sha256:abababab"] {
            assert!(policy(typed, &pid).is_ok_and(|said| said.starts_with(&format!("typed {typed} for sha256:abab"))), "{typed}");
        }
        for typed in ["", "yes", "abababa", "sha256:abababa", "abababac", "ABABABAB", &"ab".repeat(33)] {
            assert_eq!(policy(typed, &pid).map_err(|fault| fault.rule), Err(Rule::ConfirmationMissing), "{typed}");
        }
    }
}
