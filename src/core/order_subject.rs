//! What an order is about, compared with what is at hand: the halt that it ends, the branch that it lets stay.

use std::collections::BTreeSet;

use super::ids::Hash;
use super::order::{Order, What};
use super::rules::{Checked, Fault, Rule};

fn kind_is(order: &Order, expected: &str) -> Fault {
    Fault::new(Rule::OrderKind, format!("an order to {} found; one to {expected} expected", order.what))
}

/// The texts that a resume order settles, when it is about this halt and settles nothing but what is listed.
///
/// # Errors
/// `order-kind`, `order-subject`, `order-settles`.
pub fn resume<'a>(order: &'a Order, halt: &Hash, listed: &BTreeSet<Hash>) -> Checked<&'a [Hash]> {
    let What::Resume { dossier, settled } = &order.what else { return Err(kind_is(order, "resume")) };
    if dossier != halt {
        return Err(Fault::new(Rule::OrderSubject, format!("an order on dossier sha256:{dossier} found; sha256:{halt} expected")));
    }
    // Settling what nobody has found would make the desk blind to it.
    match settled.iter().find(|text| !listed.contains(*text)) {
        Some(text) => {
            Err(Fault::new(Rule::OrderSettles, format!("text sha256:{text} found; one of {} listed ones expected", listed.len())))
        }
        None => Ok(settled),
    }
}

/// Whether a recover order lets our branch stay, and not theirs.
///
/// # Errors
/// `order-kind`, `order-subject`.
pub fn recover(order: &Order, ours: &Hash, theirs: &Hash) -> Checked<bool> {
    let What::Recover { stays } = &order.what else { return Err(kind_is(order, "recover")) };
    if stays != ours && stays != theirs {
        let found = format!("a branch that ends in event {stays} found; {ours} (ours) or {theirs} (the other) expected");
        return Err(Fault::new(Rule::OrderSubject, found));
    }
    Ok(stays == ours)
}
