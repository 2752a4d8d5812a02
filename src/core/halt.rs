//! What stops a desk and what lets it go on: the payloads of `halt` and `resume` (SPEC 7.4), and the halt file (SPEC 7.7).

use super::cbor::{Canonical, Reader, Writer};
use super::ids::{Hash, Pid};
use super::limits::SESSION_PAPERS_MAX;
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
    /// Its envelope as counted.
    pub env: Hash,
    /// SHA-256 of the dossier.
    pub dossier: Hash,
    /// SHA-256 of the texts it settles, ascending.
    pub settled: Vec<Hash>,
}

impl Canonical for Resume {
    fn write(&self, w: &mut Writer) {
        w.map(4).uint(0).bytes(&self.order.0).uint(1).bytes(&self.env.0).uint(2).bytes(&self.dossier.0).uint(3).array(self.settled.len());
        for text in &self.settled {
            w.bytes(&text.0);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Resume> {
        let (mut order, mut env, mut dossier, mut settled) = (None, None, None, None);
        r.reading("resume").map(|key, r| {
            match key {
                0 => order = Some(r.hash()?),
                1 => env = Some(r.hash()?),
                2 => dossier = Some(r.hash()?),
                3 => {
                    let len = r.array(SESSION_PAPERS_MAX as usize)?;
                    settled = Some((0..len).map(|_| r.hash()).collect::<Checked<Vec<_>>>()?);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let settled: Vec<Hash> = r.need(settled, "3 (settled)")?;
        if settled.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(r.fault("3 (settled) does not ascend"));
        }
        Ok(Resume { order: r.need(order, "0 (order)")?, env: r.need(env, "1 (env)")?, dossier: r.need(dossier, "2 (dossier)")?, settled })
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn settled_texts_ascend() {
        let resume = |settled: &[u8]| Resume {
            order: Hash([1; 32]),
            env: Hash([2; 32]),
            dossier: Hash([3; 32]),
            settled: settled.iter().map(|byte| Hash([*byte; 32])).collect(),
        };
        for good in [&[][..], &[4], &[4, 5]] {
            assert_eq!(Resume::from_cbor(&resume(good).to_cbor()), Ok(resume(good)));
        }
        for bad in [[5, 4], [4, 4]] {
            assert_eq!(Resume::from_cbor(&resume(&bad).to_cbor()).map_err(|fault| fault.rule), Err(Rule::PayloadShape));
        }
    }
}
