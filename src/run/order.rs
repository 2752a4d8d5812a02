//! Orders as files: the bare payload that governors are given to sign, and the signed copies that come back.

use std::path::{Path, PathBuf};

use crate::core::books::Books;
use crate::core::cbor::Canonical as _;
use crate::core::cose::Envelope;
use crate::core::ids::Pid;
use crate::core::order::{self, InForce, Order};
use crate::core::rules::{Checked, Fault, Rule};

use super::files::{self, write_bytes};
use super::problem::{Outcomes, Problem};

/// Writes an order's bare payload. The same again is left as it is.
///
/// # Errors
/// `exists` when another file is there; `file-fault`.
pub fn write_payload(path: &Path, order: &Order) -> Outcomes<()> {
    let payload = order.to_cbor();
    if !path.exists() {
        return Ok(write_bytes(path, &payload)?);
    }
    if files::read(path)? == payload {
        return Ok(());
    }
    let found = format!("{} is there and is not this order", path.display());
    Err(Problem::from(Fault::new(Rule::Exists, found)).advising("look at what is there, and name another file with --write-order"))
}

/// Reads the signed copies of one order.
///
/// # Errors
/// `order-unsigned` for a bare payload; `order-kind` for another paper; `usage` when they are not copies of one order; parse faults.
pub fn read_copies(paths: &[PathBuf]) -> Outcomes<Vec<Envelope>> {
    let copies = paths.iter().map(|path| read_copy(path)).collect::<Outcomes<Vec<Envelope>>>()?;
    if let Some((path, copy)) = paths.iter().zip(&copies).find(|(_, copy)| copy.payload != copies[0].payload) {
        let found = format!("{} is order sha256:{}; a copy of sha256:{} expected", path.display(), copy.pid(), copies[0].pid());
        return Err(Problem::usage(found).advising("give the copies of one order: each --order is one signed copy of it"));
    }
    Ok(copies)
}

fn read_copy(path: &Path) -> Outcomes<Envelope> {
    let bytes = files::read(path)?;
    if Order::from_cbor(&bytes).is_ok() {
        let found = format!("{} is the bare payload, with 0 signatures; the copy that tabellion approve makes expected", path.display());
        let next = format!("have the governors run: tabellion approve {}, and name what that writes", path.display());
        return Err(Problem::from(Fault::new(Rule::OrderUnsigned, found)).advising(next));
    }
    let read = || -> Checked<Envelope> {
        let envelope = Envelope::from_brought(&bytes)?;
        order::read(&envelope)?;
        Ok(envelope)
    };
    let advice = "name the file that tabellion approve made from the order's payload";
    read().map_err(|fault| Problem::from(fault.within(path.display())).advising(advice))
}

/// The one order in these copies, when it may be carried out at this ledger.
///
/// # Errors
/// As [`order::verify`].
pub fn check(copies: &[Envelope], books: &Books) -> Outcomes<InForce> {
    order::verify(copies, &books.authority()?, books.trouble().used()).map_err(|fault| match fault.rule {
        Rule::OriginMismatch => Problem::from(fault).advising("carry it out at the desk that it names"),
        _ => fault.into(),
    })
}

/// The id of the order in these copies.
pub fn pid_of(copies: &[Envelope]) -> Pid {
    copies.first().map(Envelope::pid).unwrap_or_default()
}
