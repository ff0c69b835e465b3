//! `simulate`, on the examples of the documentation.

use crate::command::said;
use std::process::Command;

async fn simulated(example: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syniverse-token-operator"));
    let file = format!("{}/examples/{example}.yaml", env!("CARGO_MANIFEST_DIR"));
    command.args(["simulate", "-f", &file]).args(arguments);
    let told = said(command, String::new()).await;
    assert_eq!(told.err, "");
    (told.code, told.out)
}

#[tokio::test]
async fn each_example_is_told_with_its_dead_time() {
    for (example, code) in [("syniversetoken", 1), ("standby", 0), ("client-credentials", 0), ("session", 0)] {
        let (found, told) = simulated(example, &["--for", "49h"]).await;
        assert_eq!(found, code, "{example}: {told}");
    }
    assert_eq!(simulated("syniversetoken", &["--for", "49h", "--allow", "1s"]).await.0, 0);
    let (code, told) = simulated("standby", &["--for", "10h", "--outage", "20h@+0s"]).await;
    assert!(code == 1 && told.contains("without a token for 36000.0 s"), "{told}");
    let (_, told) = simulated("syniversetoken", &["--for", "30h", "--outage", "1h@+23h30m"]).await;
    assert!(told.contains("the issuer cannot be reached") && told.contains("dead for 1800."), "{told}");
}
