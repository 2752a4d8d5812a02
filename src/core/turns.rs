//! Whose turn it is: members in an order that is foreseeable, the same for all, and not for sale (SPEC 6.5).

use super::ids::{Hash, Origin, Party};

/// `SHA-256("tabellion order v1" ‖ 00 ‖ origin ‖ 00 ‖ u64be(session) ‖ member)`: what members are sorted by, ascending.
pub fn turn_key(origin: &Origin, session: u64, member: &Party) -> Hash {
    Hash::of_parts(&[b"tabellion order v1\0", origin.as_str().as_bytes(), b"\0", &session.to_be_bytes(), member.as_str().as_bytes()])
}

/// The members in turn order of a session.
pub fn order<'a>(origin: &Origin, session: u64, members: impl Iterator<Item = &'a Party>) -> Vec<&'a Party> {
    let mut members: Vec<&Party> = members.collect();
    members.sort_by_key(|member| turn_key(origin, session, member));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_key_is_the_hash_of_the_parts_with_their_separators() {
        // printf 'tabellion order v1\0witness.example/common\0\0\0\0\0\0\0\0\x01alice' | sha256sum
        let origin = "witness.example/common".parse().expect("an origin");
        let alice = "alice".parse().expect("a member");
        assert_eq!(turn_key(&origin, 1, &alice).hex(), "28ce42ba2841f01bac216515ae13e2ced27970439c7595a4cd3ef74dd2f674f8");
    }
}
