//! An answer before it becomes bytes: a status, headers and a body that faults can still edit.

use serde_json::{Map, Value, json};

use crate::encoding;
use crate::fault::{Encoding, Form};

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers beside Content-Type and Date, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
}

/// Body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// No body.
    Empty,
    /// JSON.
    Json(Value),
    /// Text of any kind.
    Text {
        /// Value of the Content-Type header.
        content_type: &'static str,
        /// The text.
        text: String,
    },
    /// What is no text.
    Bytes {
        /// Value of the Content-Type header.
        content_type: &'static str,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl Reply {
    /// An answer in JSON.
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::Json(body) }
    }

    /// A failure in the envelope of the application API.
    pub(crate) fn application_failure(status: u16, message: &str) -> Self {
        Self { status, headers: Vec::new(), body: Body::application_failure(message) }
    }

    /// A failure in the envelope of the session API.
    pub(crate) fn session_failure(status: u16, code: &str, message: &str) -> Self {
        Self { status, headers: Vec::new(), body: Body::session_failure(code, message) }
    }

    /// A failure of the token endpoint, as RFC 6749 writes it.
    pub(crate) fn oauth_failure(status: u16, code: &str, description: &str) -> Self {
        Self { status, headers: Vec::new(), body: Body::oauth_failure(code, description) }
    }

    /// A refusal by the gateway in front of the APIs.
    pub(crate) fn gateway(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::xml(status) }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty }
    }

    /// The same answer with one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same answer, compressed.
    pub(crate) fn encoded(self, encoding: Encoding) -> Self {
        let (content_type, bytes) = self.body.rendered().unwrap_or_default();
        let body = Body::Bytes { content_type, bytes: encoding::encoded(&bytes, encoding) };
        Self { body, ..self }.with_header("content-encoding", encoding.name())
    }

    /// Writes `validityTime` or `expires_in` in another form; a failure is left as it is.
    pub(crate) fn write_validity(&mut self, form: &Form) {
        let Some(fields) = self.token_fields() else { return };
        let name = if fields.contains_key("access_token") { "expires_in" } else { "validityTime" };
        let seconds = fields.get(name).and_then(Value::as_i64).unwrap_or_default();
        let written = match form {
            Form::Absent => None,
            Form::Float => Some(json!(seconds as f64)),
            Form::Text => Some(json!(seconds.to_string())),
            Form::Millis => Some(json!(seconds.saturating_mul(1000))),
            Form::Value(value) => Some(value.clone()),
        };
        set(fields, name, written);
    }

    /// Replaces the token, or leaves it out; a failure is left as it is.
    pub(crate) fn write_token(&mut self, token: Option<&str>) {
        let Some(fields) = self.token_fields() else { return };
        let known = ["accessToken", "access_token"].into_iter().find(|name| fields.contains_key(*name));
        set(fields, known.unwrap_or("token"), token.map(Value::from));
    }

    /// The object that holds the token: the content element for a session, else the root.
    fn token_fields(&mut self) -> Option<&mut Map<String, Value>> {
        let Body::Json(root) = &mut self.body else { return None };
        let is_root = ["accessToken", "access_token"].iter().any(|name| root.get(name).is_some());
        let holder = if is_root { Some(root) } else { root.pointer_mut("/content/0") };
        holder.and_then(Value::as_object_mut)
    }
}

fn set(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => fields.insert(name.to_owned(), value),
        None => fields.remove(name),
    };
}

impl Body {
    /// Content type and bytes; none for an empty body.
    pub fn rendered(&self) -> Option<(&'static str, Vec<u8>)> {
        match self {
            Self::Empty => None,
            Self::Json(value) => Some(("application/json", value.to_string().into_bytes())),
            Self::Text { content_type, text } => Some((content_type, text.clone().into_bytes())),
            Self::Bytes { content_type, bytes } => Some((content_type, bytes.clone())),
        }
    }

    /// The same body, followed by spaces up to `length` bytes.
    pub(crate) fn padded(&self, length: usize) -> Self {
        let (content_type, mut bytes) = self.rendered().unwrap_or(("text/plain", Vec::new()));
        bytes.resize(length.max(bytes.len()), b' ');
        Self::Bytes { content_type, bytes }
    }

    /// The same body after the byte order mark of UTF-8.
    pub(crate) fn marked(&self) -> Self {
        let (content_type, bytes) = self.rendered().unwrap_or(("text/plain", Vec::new()));
        Self::Bytes { content_type, bytes: ["\u{feff}".as_bytes(), &bytes].concat() }
    }

    /// The failure envelope of the application API.
    pub(crate) fn application_failure(message: &str) -> Self {
        Self::Json(json!({"errorCode": 1, "moreInfo": "", "userMsg": message}))
    }

    /// The failure envelope of the session API.
    pub(crate) fn session_failure(code: &str, message: &str) -> Self {
        Self::Json(json!({"errorCode": code, "errorMessage": message, "content": "", "pageable": ""}))
    }

    /// A failure of the token endpoint.
    pub(crate) fn oauth_failure(code: &str, description: &str) -> Self {
        Self::Json(json!({"error": code, "error_description": description}))
    }

    /// An XML fault, as a gateway sends it.
    pub(crate) fn xml(status: u16) -> Self {
        let text = format!("<fault><code>{status}</code><message>Refused by the gateway</message></fault>");
        Self::Text { content_type: "application/xml", text }
    }

    /// An HTML page, as a load balancer sends it.
    pub(crate) fn html(status: u16) -> Self {
        let text = format!("<!DOCTYPE html><html><body><h1>{status}</h1></body></html>");
        Self::Text { content_type: "text/html", text }
    }
}
