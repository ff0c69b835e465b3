//! Plain http to servers on loopback.
//!
//! HTTP/1.0, so that the end of the connection is the end of the answer, and no client library is needed.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{Error, Result};

/// Usually some milliseconds; a frozen server answers never.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// The port of a server, and its name in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listener {
    pub(crate) server: &'static str,
    pub(crate) port: u16,
}

impl Listener {
    /// Whether a GET is answered with success, and why not otherwise.
    pub(crate) async fn readiness(self, path: &str) -> std::result::Result<(), String> {
        let answer = self.exchange(&format!("GET {path}"), "\r\n").await.map_err(|error| error.to_string())?;
        if answer.is_success() { Ok(()) } else { Err(format!("{} {}", answer.status, answer.body)) }
    }

    /// The body of the answer to a POST, which is made in order to do `doing`.
    pub(crate) async fn post(self, path: &str, content_type: &str, body: &str, doing: &str) -> Result<String> {
        let rest = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = self.exchange(&format!("POST {path}"), &rest).await;
        let answer = answer.map_err(Error::io(format!("{doing} at {}", self.server)))?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        Err(self.refusal(doing, format!("{} {}", answer.status, answer.body)))
    }

    /// The error of an answer that does not do what was asked for.
    pub(crate) fn refusal(self, doing: &str, answer: String) -> Error {
        Error::Refused { doing: doing.to_owned(), server: self.server, answer }
    }

    /// Sends a method with its path and `rest`: further headers, an empty line and the body.
    async fn exchange(self, request: &str, rest: &str) -> io::Result<Answer> {
        // HTTP/1.0 knows no Host, but Keycloak answers with 500 to requests without.
        let message = format!("{request} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n{rest}", self.port);
        let text = timeout(ANSWERS_WITHIN, async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(message.as_bytes()).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            io::Result::Ok(text)
        });
        let text = text.await.map_err(io::Error::from)??;
        Answer::read(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no answer in HTTP: {text:?}")))
    }
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
