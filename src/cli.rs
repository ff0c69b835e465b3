//! The command line: of the operator, and the commands for people.

pub mod command_line;
pub mod commands;
pub mod completion;
