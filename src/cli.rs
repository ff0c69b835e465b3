//! The command line: its flags, parsed once into plain types, and the commands for people.

pub mod command_line;
pub mod commands;
pub mod completion;
pub mod settings;
