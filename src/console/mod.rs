//! What the operator of the appliance sees and types: pages, on a screen and on a serial line alike.
//!
//! It owns terminals and keys. It decides nothing: a page is a value that somebody above made, and what was typed is given back as it is.

pub mod page;
