//! What stops a desk and what lets it go on: the payloads of `halt`, `resume` and `recover` (SPEC 7.4), and the halt file (SPEC 7.7).

use super::cbor::{Canonical, Reader, Writer};
use super::cose::Envelope;
use super::ids::{Hash, Pid};
use super::limits::{SESSION_PAPERS_MAX, UINT_MAX};
use super::lines::Lines;
use super::rules::{Checked, Rule};

const HALT_LINE: &str = "tabellion-halt v1";

/// `halt`: the desk stopped itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// The rule that stopped it.
    pub rule: Rule,
    /// SHA-256 of the dossier.
    pub dossier: Hash,
    /// What was found.
    pub found: String,
}

impl Halt {
    /// The halt file: four lines. What was found is one of them, whatever it holds.
    pub fn text(&self) -> String {
        let found: String = self.found.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{HALT_LINE}\nrule {}\ndossier sha256:{}\nfound {found}\n", self.rule, self.dossier)
    }

    /// Reads the halt file.
    ///
    /// # Errors
    /// `ledger-fault` naming the line; the desk is halted all the same.
    pub fn parse(text: &str) -> Checked<Halt> {
        let mut lines = Lines::new(text, Rule::LedgerFault);
        lines.exact(HALT_LINE)?;
        let rule = lines.read("rule", "the id of a rule", Rule::from_id)?;
        let dossier = lines.hash_named("dossier")?;
        let found = lines.value("found")?.to_owned();
        lines.end()?;
        Ok(Halt { rule, dossier, found })
    }
}

impl Canonical for Halt {
    fn write(&self, w: &mut Writer) {
        w.map(3).uint(0).text(self.rule.id()).uint(1).bytes(&self.dossier.0).uint(2).text(&self.found);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Halt> {
        let (mut rule, mut dossier, mut found) = (None, None, None);
        r.reading("halt").map(|key, r| {
            match key {
                0 => {
                    let id = r.text()?;
                    rule = Some(Rule::from_id(id).ok_or_else(|| r.fault(format!("rule {id:?} is not in section 10")))?);
                }
                1 => dossier = Some(r.hash()?),
                2 => found = Some(r.text()?.to_owned()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Halt { rule: r.need(rule, "0 (rule)")?, dossier: r.need(dossier, "1 (dossier)")?, found: r.need(found, "2 (found)")? })
    }
}

/// `resume`: an order ended a halt, and settled texts that halt no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The order.
    pub order: Pid,
    /// Its envelope as counted, hashed.
    pub env: Hash,
    /// SHA-256 of the dossier.
    pub dossier: Hash,
    /// SHA-256 of the texts it settles, ascending.
    pub settled: Vec<Hash>,
    /// The order's envelope as counted.
    pub envelope: Envelope,
}

impl Canonical for Resume {
    fn write(&self, w: &mut Writer) {
        w.map(5).uint(0).bytes(&self.order.0).uint(1).bytes(&self.env.0).uint(2).bytes(&self.dossier.0).uint(3).list(&self.settled);
        w.uint(4);
        self.envelope.write(w);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Resume> {
        let (mut order, mut env, mut dossier, mut settled, mut envelope) = (None, None, None, None, None);
        r.reading("resume").map(|key, r| {
            match key {
                0 => order = Some(r.hash()?),
                1 => env = Some(r.hash()?),
                2 => dossier = Some(r.hash()?),
                3 => settled = Some(r.list(SESSION_PAPERS_MAX as usize)?),
                4 => envelope = Some(Envelope::read(r)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Resume {
            order: r.reading("resume").need(order, "0 (order)")?,
            env: r.need(env, "1 (env)")?,
            dossier: r.need(dossier, "2 (dossier)")?,
            settled: ascending(settled, "3 (settled)", r)?,
            envelope: r.need(envelope, "4 (envelope)")?,
        })
    }
}

/// `recover`: an order let one of two branches of the ledger stay; the events of the other are in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recover {
    /// The order.
    pub order: Pid,
    /// Its envelope as counted, hashed.
    pub env: Hash,
    /// The last event that both branches have.
    pub common: u64,
    /// SHA-256 of the file that holds the branch that went.
    pub quarantine: Hash,
    /// The order's envelope as counted.
    pub envelope: Envelope,
    /// SHA-256 of the texts that the branch that went had signed, ascending.
    pub texts: Vec<Hash>,
}

impl Canonical for Recover {
    fn write(&self, w: &mut Writer) {
        w.map(6).uint(0).bytes(&self.order.0).uint(1).bytes(&self.env.0).uint(2).uint(self.common).uint(3).bytes(&self.quarantine.0);
        w.uint(4);
        self.envelope.write(w);
        w.uint(5).list(&self.texts);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Recover> {
        let (mut order, mut env, mut common, mut quarantine, mut envelope, mut texts) = (None, None, None, None, None, None);
        r.reading("recover").map(|key, r| {
            match key {
                0 => order = Some(r.hash()?),
                1 => env = Some(r.hash()?),
                2 => common = Some(r.uint_in(1..=UINT_MAX)?),
                3 => quarantine = Some(r.hash()?),
                4 => envelope = Some(Envelope::read(r)?),
                5 => texts = Some(r.list(TEXTS_MAX)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Recover {
            order: r.reading("recover").need(order, "0 (order)")?,
            env: r.need(env, "1 (env)")?,
            common: r.need(common, "2 (last common event)")?,
            quarantine: r.need(quarantine, "3 (quarantine)")?,
            envelope: r.need(envelope, "4 (envelope)")?,
            texts: ascending(texts, "5 (texts)", r)?,
        })
    }
}

/// Most texts of a branch that went.
const TEXTS_MAX: usize = 10_000_000;

fn ascending(texts: Option<Vec<Hash>>, field: &str, r: &Reader<'_>) -> Checked<Vec<Hash>> {
    let texts = r.need(texts, field)?;
    match texts.windows(2).any(|pair| pair[0] >= pair[1]) {
        true => Err(r.fault(format!("{field} does not ascend"))),
        false => Ok(texts),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cose::{PaperKind, Signer};
    use super::*;

    #[test]
    fn the_halt_file_has_four_lines_whatever_was_found() {
        let halt = Halt { rule: Rule::HeadElsewhere, dossier: Hash([1; 32]), found: "a\nb\u{1b}c".into() };
        let expected = format!("tabellion-halt v1\nrule head-elsewhere\ndossier sha256:{}\nfound a b c\n", "01".repeat(32));
        assert_eq!(halt.text(), expected);
        assert_eq!(Halt::parse(&expected), Ok(Halt { found: "a b c".into(), ..halt.clone() }));
        for cut in 0..expected.len() {
            assert_eq!(Halt::parse(&expected[..cut]).map_err(|fault| fault.rule), Err(Rule::LedgerFault), "{cut}");
        }
        assert_eq!(Halt::from_cbor(&halt.to_cbor()), Ok(halt));
    }

    fn envelope() -> Envelope {
        let signers = vec![Signer { kid: Hash([8; 32]), signature: [9; 64] }];
        Envelope { kind: PaperKind::Order, payload: vec![0xa0], signers }
    }

    #[test]
    fn settled_texts_ascend() {
        let resume = |settled: &[u8]| Resume {
            order: Hash([1; 32]),
            env: Hash([2; 32]),
            dossier: Hash([3; 32]),
            settled: settled.iter().map(|byte| Hash([*byte; 32])).collect(),
            envelope: envelope(),
        };
        for good in [&[][..], &[4], &[4, 5]] {
            assert_eq!(Resume::from_cbor(&resume(good).to_cbor()), Ok(resume(good)));
        }
        for bad in [[5, 4], [4, 4]] {
            assert_eq!(Resume::from_cbor(&resume(&bad).to_cbor()).map_err(|fault| fault.rule), Err(Rule::PayloadShape));
        }
    }
}
