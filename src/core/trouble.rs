//! What a ledger's events say of trouble: halts and what ended them, settled texts, branches that went, and the orders that were carried out.
//!
//! Folded with the books, of which it is a part. It refuses what no desk of ours writes: an end of a halt without the governors' order.

use std::collections::{BTreeMap, BTreeSet};

use super::cose::Envelope;
use super::halt::{Halt, Recover, Resume};
use super::ids::{Hash, Pid};
use super::order::{Authority, InForce, Used, What, verify};
use super::rules::{Checked, Fault, Rule};

/// Halts, orders, settled texts.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    halts: BTreeMap<Hash, Halt>,
    ended: BTreeMap<Hash, Pid>,
    settled: BTreeMap<Hash, Pid>,
    strayed: BTreeSet<Hash>,
    recoveries: BTreeMap<Pid, Recover>,
    used: Used,
}

impl Trouble {
    /// A halt. One that an order has ended does not begin again: every dossier names the ledger's last event.
    ///
    /// # Errors
    /// `ledger-fault` when an order has ended this very halt.
    pub fn halt(&mut self, halt: Halt) -> Checked<()> {
        if let Some(order) = self.ended.get(&halt.dossier) {
            return Err(broken(format!("a halt over dossier {} found, which order {order} has ended", halt.dossier)));
        }
        self.halts.insert(halt.dossier, halt);
        Ok(())
    }

    /// The end of a halt.
    ///
    /// # Errors
    /// `ledger-fault` when there was no such halt, or the order is not in force or says otherwise.
    pub fn resumed(mut self, resume: &Resume, authority: &Authority<'_>) -> Checked<Trouble> {
        let order = self.order(&resume.envelope, (&resume.order, &resume.env), authority)?;
        let says = What::Resume { dossier: resume.dossier, settled: resume.settled.clone() };
        if order.order().what != says {
            return Err(broken(format!("a resume event that its order {} does not say", resume.order)));
        }
        if self.halts.remove(&resume.dossier).is_none() {
            return Err(broken(format!("a resume event for dossier {}; a halt event for it before expected", resume.dossier)));
        }
        self.ended.insert(resume.dossier, resume.order);
        for text in &resume.settled {
            self.settled.entry(*text).or_insert(resume.order);
        }
        self.used.take(&order);
        Ok(self)
    }

    /// The choice of a branch.
    ///
    /// # Errors
    /// `ledger-fault` when the desk was not halted, or the order is not in force or is of another kind.
    pub fn recovered(mut self, recover: &Recover, authority: &Authority<'_>) -> Checked<Trouble> {
        let order = self.order(&recover.envelope, (&recover.order, &recover.env), authority)?;
        if !matches!(order.order().what, What::Recover { .. }) {
            return Err(broken(format!("a recover event by order {}, which is one to {}", recover.order, order.order().what)));
        }
        if self.halts.is_empty() {
            return Err(broken("a recover event while the desk was not halted"));
        }
        self.strayed.extend(&recover.texts);
        self.recoveries.insert(recover.order, recover.clone());
        self.used.take(&order);
        Ok(self)
    }

    fn order(&self, envelope: &Envelope, named: (&Pid, &Hash), authority: &Authority<'_>) -> Checked<InForce> {
        let order = verify(std::slice::from_ref(envelope), authority, &self.used).map_err(|fault| broken(fault.to_string()))?;
        let found = (order.pid(), order.envelope().env());
        if found != (*named.0, *named.1) || order.envelope() != envelope {
            return Err(broken(format!("order (pid, env) {named:?} found; {found:?} follows from its envelope as counted")));
        }
        Ok(order)
    }

    /// Halts that no order has ended, by dossier.
    pub fn halts(&self) -> &BTreeMap<Hash, Halt> {
        &self.halts
    }

    /// The order that ended a halt.
    pub fn ended(&self, dossier: &Hash) -> Option<&Pid> {
        self.ended.get(dossier)
    }

    /// Texts that orders have settled, by SHA-256, each with its order (SPEC 3.11): they are reported and halt no more.
    pub fn settled(&self) -> &BTreeMap<Hash, Pid> {
        &self.settled
    }

    /// Texts of branches that went: an order may settle them although no medium has brought them yet.
    pub fn strayed(&self) -> &BTreeSet<Hash> {
        &self.strayed
    }

    /// What an order recovered.
    pub fn recovery(&self, order: &Pid) -> Option<&Recover> {
        self.recoveries.get(order)
    }

    /// While halted the log key signs nothing, and no session goes on.
    ///
    /// # Errors
    /// `ledger-fault` with the session and the halt.
    pub fn check_not_halted(&self, session: u64) -> Checked<()> {
        match self.halts.values().next() {
            Some(halt) => Err(broken(format!("session {session} goes on while the desk is halted over dossier {}", halt.dossier))),
            None => Ok(()),
        }
    }

    /// The orders carried out.
    pub fn used(&self) -> &Used {
        &self.used
    }
}

fn broken(found: impl Into<String>) -> Fault {
    Fault::new(Rule::LedgerFault, found)
}
