//! A charter as its founders and governors meet it.

use serde::Serialize;

use crate::core::charter;
use crate::core::policy_text;

use super::facts::sha256;
use super::output::Page;

/// A charter's facts.
#[derive(Serialize)]
pub struct Charter {
    /// The Common it founds.
    pub origin: String,
    /// Whether it counts for nothing.
    pub rehearsal: bool,
    /// The log key, as a verifier key.
    pub log_key: String,
    /// SHA-256 of the log key after it.
    pub next_key: String,
    /// SHA-256 of the first policy.
    pub policy: String,
    /// The first policy as TOML.
    pub policy_toml: String,
    /// The founders' words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl From<&charter::Charter> for Charter {
    fn from(charter: &charter::Charter) -> Charter {
        Charter {
            origin: charter.origin.to_string(),
            rehearsal: charter.rehearsal,
            log_key: charter.log.to_string(),
            next_key: sha256(&charter.next),
            policy: sha256(&charter.policy.hash()),
            policy_toml: policy_text::print(&charter.policy),
            text: charter.text.as_ref().map(|text| text.as_str().to_owned()),
        }
    }
}

impl Charter {
    /// The facts in words.
    pub fn say(&self, page: &mut Page) {
        page.labelled("charter", format!("of {}{}", self.origin, if self.rehearsal { ", a REHEARSAL" } else { "" }));
        page.labelled("log key", &self.log_key);
        page.labelled("next key", &self.next_key);
        page.labelled("policy", &self.policy);
        for line in self.policy_toml.lines().skip(1).filter(|line| !line.is_empty()) {
            page.line(format!("    {line}"));
        }
        if let Some(text) = &self.text {
            page.labelled("text", text);
        }
    }
}
