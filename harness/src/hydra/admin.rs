//! The server's admin API, which speaks plain http on loopback.
//!
//! HTTP/1.0, so that the end of the connection is the end of the answer, and no client library is needed.

use std::{io, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{ClientAuthentication, HydraClient};
use crate::{Error, Result};

/// Usually some milliseconds; a frozen server answers never.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) async fn create_client(port: u16, client: &HydraClient<'_>) -> Result<()> {
    let wanted = json!({
        "client_id": client.id,
        "client_secret": client.secret,
        "scope": client.scopes.join(" "),
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": match client.authentication {
            ClientAuthentication::Basic => "client_secret_basic",
            ClientAuthentication::Body => "client_secret_post",
        },
    });
    let doing = format!("create the client {}", client.id);
    post(port, "/admin/clients", JSON, &wanted.to_string(), &doing).await.map(drop)
}

pub(crate) async fn introspect(port: u16, token: &str) -> Result<Value> {
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
    let doing = "introspect a token";
    let body = post(port, "/admin/oauth2/introspect", FORM, &form, doing).await?;
    serde_json::from_str(&body).map_err(|_| Error::Hydra { doing: doing.to_owned(), answer: body })
}

pub(crate) async fn readiness(port: u16) -> std::result::Result<(), String> {
    let answer = exchange(port, "GET /health/ready HTTP/1.0\r\n\r\n").await.map_err(|error| error.to_string())?;
    if answer.is_success() { Ok(()) } else { Err(format!("{} {}", answer.status, answer.body)) }
}

/// The body of the answer.
async fn post(port: u16, path: &str, content_type: &str, body: &str, doing: &str) -> Result<String> {
    let length = body.len();
    let request =
        format!("POST {path} HTTP/1.0\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}");
    let answer = exchange(port, &request).await.map_err(Error::io(format!("{doing} at the admin API of Hydra")))?;
    if answer.is_success() {
        return Ok(answer.body);
    }
    Err(Error::Hydra { doing: doing.to_owned(), answer: format!("{} {}", answer.status, answer.body) })
}

struct Answer {
    /// As `201 Created`.
    status: String,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (_, status) = head.lines().next()?.split_once(' ')?;
        Some(Self { status: status.to_owned(), body: body.to_owned() })
    }

    fn is_success(&self) -> bool {
        self.status.starts_with('2')
    }
}

async fn exchange(port: u16, request: &str) -> io::Result<Answer> {
    let text = timeout(ANSWERS_WITHIN, async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        io::Result::Ok(text)
    });
    let text = text.await.map_err(io::Error::from)??;
    Answer::read(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no answer in HTTP: {text:?}")))
}
