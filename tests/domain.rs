//! A proposer's own domain, through the command line: numbers, content stored once, two commands at once, and a kill at any moment.
