//! Every bound of SPEC section 2.6, in one place. Passing one is an error with a rule id, never a truncation.

/// Largest envelope that is brought, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 65_536;
/// Most signatures in an envelope that is brought.
pub const SIGNATURES_MAX: usize = 16;
/// Most signatures in an envelope united by the ledger.
pub const SIGNATURES_UNITED_MAX: usize = 512;
/// Most operations in one paper.
pub const OPERATIONS_MAX: usize = 256;
/// Most papers one paper may wait for.
pub const AFTER_MAX: usize = 16;
/// Most files in a backup.
pub const BACKUP_FILES_MAX: usize = 250_000;
/// Largest header of a backup, in bytes.
pub const BACKUP_HEADER_BYTES_MAX: u64 = 33_554_432;
/// Most texts that one order settles.
pub const ORDER_SETTLED_MAX: usize = 1_024;
/// Most papers judged in one session.
pub const SESSION_PAPERS_MAX: u64 = 100_000;
/// Largest policy, in bytes of canonical CBOR.
pub const POLICY_BYTES_MAX: usize = 32_768;
/// Most members in a policy.
pub const MEMBERS_MAX: usize = 256;
/// Most keys of one member, active and retired.
pub const MEMBER_KEYS_MAX: usize = 8;
/// Most groups in a policy.
pub const GROUPS_MAX: usize = 64;
/// Deepest nesting of groups.
pub const GROUP_DEPTH_MAX: usize = 4;
/// Most rules in a policy.
pub const POLICY_RULES_MAX: usize = 256;
/// Most papers held for one author.
pub const HELD_PER_AUTHOR_MAX: usize = 32;
/// Most objects in a bundle.
pub const BUNDLE_OBJECTS_MAX: u64 = 100_000;
/// Largest object, in bytes.
pub const OBJECT_BYTES_MAX: u64 = 17_179_869_184;
/// Most objects in a pack of the published folder: trees and members of all papers of a session.
pub const PACK_OBJECTS_MAX: u64 = 25_600_000;
/// Most paths in a tree.
pub const TREE_PATHS_MAX: usize = 100_000;
/// Longest path in a tree, in bytes.
pub const TREE_PATH_BYTES_MAX: usize = 1_024;
/// Most segments of a path in a tree.
pub const TREE_DEPTH_MAX: usize = 32;
/// Largest tree artifact, in bytes: what the bounds on paths come to.
pub const TREE_BYTES_MAX: u64 = 107_200_005;
/// Most files looked at on one medium.
pub const MEDIUM_FILES_MAX: usize = 100_000;
/// Deepest folder looked into on a medium.
pub const MEDIUM_DEPTH_MAX: usize = 32;
/// Longest text for people, in bytes.
pub const TEXT_BYTES_MAX: usize = 2_048;
/// Longest detail of a verdict, in bytes.
pub const DETAIL_BYTES_MAX: usize = 200;
/// Longest origin, in bytes.
pub const ORIGIN_BYTES_MAX: usize = 128;
/// Longest name of an entry, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Most segments in the name of an entry.
pub const NAME_SEGMENTS_MAX: usize = 16;
/// Longest media type of an entry, in bytes.
pub const MEDIA_TYPE_BYTES_MAX: usize = 127;
/// Largest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 1_024;
/// Deepest nesting of arrays, maps and tags in one CBOR item.
pub const CBOR_DEPTH_MAX: usize = 16;
/// Largest number, session, sequence, size or epoch: 2^53 − 1.
pub const UINT_MAX: u64 = (1 << 53) - 1;
/// Most signature lines accepted on a note.
pub const NOTE_SIGNATURES_MAX: usize = 100;
/// Largest note or proof read, in bytes.
pub const NOTE_BYTES_MAX: usize = 1_000_000;
/// Hashes in a full tile (tlog-tiles).
pub const TILE_WIDTH: u64 = 256;
