//! The Syniverse token issuers, simulated: all APIs as they are on the wire, faults on demand, a journal.
//!
//! ```text
//! pure     journal   calls and tokens, what happened and when
//!          fault     which calls go wrong, and how        reply    an answer that faults can edit
//!          encoding  an answer that a gateway compresses
//!          application, session, client                   the three APIs, one owner each
//!          switches  how the issuers behave                 request  what a call says
//!          model     all owners, switches and faults: receive -> answer -> end, the instant is an argument
//!          analysis  dead-token time, lateness and calls per rotation, from a journal
//! sockets  issuers   the model with a clock               port     up, down and up again
//!          server    HTTP over the model                  tls      a certificate authority of its own
//!          control   the control endpoint                 simulator  all of it, started from a test
//! ```

pub mod analysis;
pub mod application;
pub mod client;
mod control;
mod encoding;
pub mod fault;
mod issuers;
pub mod journal;
pub mod model;
mod port;
pub mod reply;
pub mod request;
mod server;
pub mod session;
mod simulator;
pub mod switches;
mod tls;

pub use simulator::{Options, Simulator};
