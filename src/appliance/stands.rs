//! Between two things that the operator does.

/// Where a visit stands between two things that the operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stands {
    /// Nothing is known of the data disk, or it may have changed.
    Unknown,
    /// The desk was found well, and its head was recognised.
    Home,
    /// The desk is halted, for this reason.
    Halted(String),
    /// Nothing is left to do here.
    Off,
}
