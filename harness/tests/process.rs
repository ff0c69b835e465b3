//! A supervised process does what it is told and can be watched from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{path::Path, process::Command, time::Duration};

use harness::{Error, Operator, Process, Scratch, wait_for};

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).env("GREETING", "hello");
    shell
}

fn runs(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

#[tokio::test]
async fn a_program_ends_with_its_own_status() {
    let scratch = Scratch::new().unwrap();
    let mut process = Process::spawn(&shell("exit 7"), &scratch.path().join("log")).unwrap();

    assert_eq!(process.wait(SOON).await.unwrap().code(), Some(7));
}

#[tokio::test]
async fn a_dropped_process_is_dead_and_its_folder_gone() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().to_owned();
    let process = Process::spawn(&shell("exec sleep 1000"), &scratch.path().join("log")).unwrap();
    let id = process.id();
    assert!(runs(id));

    drop(process);
    drop(scratch);

    assert!(!runs(id));
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named_in_the_error() {
    let mut operator = Operator::start(Command::new("/no/such/program")).unwrap();

    let error = operator.wait_for_log("started", SOON).await.unwrap_err();

    assert!(matches!(&error, Error::Ended { name, .. } if name == "/no/such/program"), "{error}");
}

#[tokio::test]
async fn an_operator_asked_to_stop_may_finish_first() {
    let script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done";
    let mut operator = Operator::start(shell(script)).unwrap();
    operator.wait_for_log("up", SOON).await.unwrap();

    let status = operator.stop(SOON).await.unwrap();

    assert_eq!(status.code(), Some(3));
    assert!(operator.log().contains("bye"));
}

#[tokio::test]
async fn a_restarted_operator_has_the_same_environment_and_log() {
    let mut operator = Operator::start(shell("echo $GREETING from $$; exec sleep 1000")).unwrap();
    let first = operator.id();
    operator.wait_for_log(&format!("hello from {first}\n"), SOON).await.unwrap();

    operator.kill9();
    assert!(!runs(first));
    operator.restart().unwrap();

    let second = operator.id();
    operator.wait_for_log(&format!("hello from {second}\n"), SOON).await.unwrap();
    assert!(operator.log().contains(&format!("hello from {first}\n")));
}

#[tokio::test]
async fn a_condition_that_never_holds_is_named_when_time_is_up() {
    let never = wait_for("the impossible", Duration::from_millis(50), async || None::<()>).await;

    assert_eq!(never.unwrap_err().to_string(), "waited 50ms in vain for the impossible");
}
