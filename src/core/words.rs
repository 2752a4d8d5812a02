//! Hashes as words that two people can read to each other (SPEC 4.5).

use bip39::Language;

use super::ids::Hash;
use super::rules::{Checked, Fault, Rule};

const HEAD_WORDS: usize = 6;
const WORD_BITS: usize = 11;

/// The 24 BIP-39 words of `hash ‖ first byte of SHA-256(hash)`: 264 bits, 11 a word, from the most significant; space separated.
///
/// # Source
/// BIP-39, English word list; SPEC 4.5.
pub fn words24(hash: &Hash) -> String {
    words(hash).join(" ")
}

/// The first 6 of the 24 words of a root, joined by `-`: 66 of its 256 bits, for comparing at a glance and never instead of a proof.
///
/// # Source
/// SPEC 4.5.
pub fn head_words(root: &Hash) -> String {
    words(root)[..HEAD_WORDS].join("-")
}

/// Whether these are words that a head can have: six of the list, joined by `-`.
///
/// # Errors
/// `usage` with the word that is none.
pub fn check_head_words(text: &str) -> Checked<()> {
    let words: Vec<&str> = text.split('-').collect();
    if words.len() != HEAD_WORDS {
        return Err(Fault::new(Rule::Usage, format!("{} words found; {HEAD_WORDS} joined by - expected", words.len())));
    }
    let list = Language::English.word_list();
    match words.iter().find(|word| list.binary_search(word).is_err()) {
        Some(word) => Err(Fault::new(Rule::Usage, format!("{word:?} found; a word of the list (BIP-39, English, lower case) expected"))),
        None => Ok(()),
    }
}

fn words(hash: &Hash) -> [&'static str; 24] {
    let checksum = Hash::of(&hash.0).0[0];
    let bit = |at: usize| {
        let byte = hash.0.get(at / 8).copied().unwrap_or(checksum);
        usize::from(byte >> (7 - at % 8) & 1)
    };
    let list = Language::English.word_list();
    std::array::from_fn(|word| list[(0..WORD_BITS).fold(0, |index, at| index << 1 | bit(word * WORD_BITS + at))])
}

/// The hash whose 24 words these are, separated by spaces or `-`; `None` when a word or the checksum is wrong.
pub fn hash_of_words(text: &str) -> Option<Hash> {
    let text = text.replace('-', " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mnemonic = bip39::Mnemonic::parse_in(Language::English, words.join(" ")).ok()?;
    Hash::from_slice(&mnemonic.to_entropy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_four_words_lead_back_to_the_hash_and_a_wrong_one_to_nothing() {
        let hash = Hash::of(b"tabellion");
        let text = words24(&hash);
        assert_eq!(hash_of_words(&text), Some(hash));
        assert_eq!(hash_of_words(&text.replace(' ', "-")), Some(hash));
        let first = text.split(' ').next().expect("a word");
        let wrong = text.replacen(first, if first == "zoo" { "able" } else { "zoo" }, 1);
        assert_eq!(hash_of_words(&wrong), None);
        assert_eq!(hash_of_words(&text[..text.len() / 2]), None);
    }

    #[test]
    fn words_are_those_of_the_bip_39_vectors() {
        // BIP-39's own test vectors for 32 bytes of entropy.
        assert_eq!(words24(&Hash([0; 32])), format!("{}art", "abandon ".repeat(23)));
        assert_eq!(words24(&Hash([0xff; 32])), format!("{}vote", "zoo ".repeat(23)));
        assert_eq!(words24(&Hash([0x80; 32])).split(' ').take(4).collect::<Vec<_>>(), ["letter", "advice", "cage", "absurd"]);
        let entropy = Hash::from_hex("68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c").unwrap();
        let expected = "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis \
                        maple dilemma loan word shrug inflict delay length";
        assert_eq!(words24(&entropy), expected);
    }

    #[test]
    fn words_are_those_of_the_bip39_crate() {
        for n in 0..=255u8 {
            let hash = Hash::of(&[n]);
            assert_eq!(words24(&hash), bip39::Mnemonic::from_entropy(&hash.0).unwrap().to_string());
        }
    }

    #[test]
    fn head_words_are_the_first_six() {
        let root = Hash::from_hex("68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c").unwrap();
        assert_eq!(head_words(&root), "hamster-diagram-private-dutch-cause-delay");
    }
}
