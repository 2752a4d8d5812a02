//! `sessions/<s>.papers`: every paper that a session judged, in the order judged, with its answer (SPEC 8.3).
//!
//! No signature covers this file. A reader takes from it what the papers themselves prove, and what only the desk could know: which objects it
//! held when it judged.

use super::cbor::{Canonical, Reader, Writer, item_len};
use super::cose::Envelope;
use super::objects::{Rows, read_rows, write_rows};
use super::payload::Ruling;
use super::rules::{Checked, Fault, Rule};

/// One paper of a session, as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its envelope as counted.
    pub envelope: Envelope,
    /// `accepted`, or `<outcome> <rule>`.
    pub verdict: String,
    /// The compared values; empty when accepted.
    pub detail: String,
    /// What the desk held of the referenced objects when it judged.
    pub objects: Rows,
}

impl Row {
    /// The row of an answer.
    pub fn of(ruling: &Ruling) -> Row {
        Row {
            envelope: ruling.envelope.clone(),
            verdict: ruling.verdict.line(),
            detail: ruling.verdict.detail().to_owned(),
            objects: ruling.objects.clone(),
        }
    }
}

impl Canonical for Row {
    fn write(&self, w: &mut Writer) {
        w.array(4);
        self.envelope.write(w);
        w.text(&self.verdict).text(&self.detail);
        write_rows(w, &self.objects);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Row> {
        r.reading("row").array_of(4)?;
        let envelope = Envelope::read(r)?;
        let (verdict, detail) = (r.text()?.to_owned(), r.text()?.to_owned());
        Ok(Row { envelope, verdict, detail, objects: read_rows(r)? })
    }
}

/// The rows of a sessions file.
///
/// # Errors
/// `folder-incomplete` when it breaks off; the rule of whatever is no row, with its offset.
pub fn rows(bytes: &[u8]) -> Checked<Vec<Row>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let within = |fault: Fault| fault.within(format_args!("the paper at byte {at}"));
        let cut = || Fault::new(Rule::FolderIncomplete, format!("the paper at byte {at} breaks off"));
        let len = item_len(&bytes[at..]).map_err(within)?.ok_or_else(cut)?;
        out.push(Row::from_cbor(&bytes[at..at + len]).map_err(within)?);
        at += len;
    }
    Ok(out)
}
