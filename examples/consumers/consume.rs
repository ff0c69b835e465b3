//! Calls an API with the token of a mounted Secret, once a second: consume URL. Needs reqwest and tokio.

use std::time::Duration;
use std::{env, io};

use reqwest::{Client, StatusCode};
use tokio::time::sleep;

/// What can go wrong: the file cannot be read, or the API not be reached.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Gives the status of one request with the token that is in the file now.
async fn request(client: &Client, url: &str) -> Result<StatusCode> {
    let file = env::var("TOKEN_FILE").unwrap_or_else(|_| "/var/run/syniverse/accessToken".to_owned());
    let token = tokio::task::spawn_blocking(|| std::fs::read_to_string(file)).await??;
    Ok(client.get(url).bearer_auth(token).send().await?.status())
}

/// Does the same, and repeats it once after a 401.
async fn call(client: &Client, url: &str) -> Result<StatusCode> {
    let status = request(client, url).await?;
    if status != StatusCode::UNAUTHORIZED {
        return Ok(status);
    }
    sleep(Duration::from_secs(1)).await; // a new token may be on its way into the file
    request(client, url).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = env::args().nth(1).ok_or_else(|| io::Error::other("name a URL"))?;
    let client = Client::builder().timeout(Duration::from_secs(10)).build()?;
    loop {
        match call(&client, &url).await {
            Ok(status) => println!("{}", status.as_u16()),
            Err(error) => println!("{error}"),
        }
        sleep(Duration::from_secs(1)).await;
    }
}
