//! The command line: its flags, parsed once into plain types.

pub mod settings;
