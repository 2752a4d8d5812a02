//! The console of the appliance, driven as an operator does: the real program over folders, page after page.
#![cfg(feature = "appliance")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "appliance/broken_foundings.rs"]
mod broken_foundings;
#[path = "appliance/cuts.rs"]
mod cuts;
mod stage;
#[path = "appliance/story.rs"]
mod story;
#[path = "appliance/troubles.rs"]
mod troubles;
#[path = "appliance/visitor.rs"]
mod visitor;
