//! Reads settings, starts telemetry, opens the client, runs until told to stop.

fn main() {}
