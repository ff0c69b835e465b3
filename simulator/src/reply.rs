//! An answer before it becomes bytes: a status, headers and a body that faults can still edit.

use serde_json::{Map, Value, json};

use crate::fault::Form;

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

    /// Writes `validityTime` in another form; a failure is left as it is.
    pub(crate) fn write_validity(&mut self, form: &Form) {
        let Some(fields) = self.token_fields() else { return };
        let seconds = fields.get("validityTime").and_then(Value::as_i64).unwrap_or_default();
        let written = match form {
            Form::Absent => None,
            Form::Float => Some(json!(seconds as f64)),
            Form::Text => Some(json!(seconds.to_string())),
            Form::Value(value) => Some(value.clone()),
        };
        set(fields, "validityTime", written);
    }

    /// Replaces the token, or leaves it out; a failure is left as it is.
    pub(crate) fn write_token(&mut self, token: Option<&str>) {
        let Some(fields) = self.token_fields() else { return };
        let name = if fields.contains_key("accessToken") { "accessToken" } else { "token" };
        set(fields, name, token.map(Value::from));
    }

    /// The object that holds the token: the root for an application, the content element for a session.
    fn token_fields(&mut self) -> Option<&mut Map<String, Value>> {
        let Body::Json(root) = &mut self.body else { return None };
        let holder = if root.get("accessToken").is_some() { Some(root) } else { root.pointer_mut("/content/0") };
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
    /// Content type and text; none for an empty body.
    pub fn rendered(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Empty => None,
            Self::Json(value) => Some(("application/json", value.to_string())),
            Self::Text { content_type, text } => Some((content_type, text.clone())),
        }
    }

    /// The same body, followed by spaces up to `bytes`.
    pub(crate) fn padded(&self, bytes: usize) -> Self {
        let (content_type, text) = self.rendered().unwrap_or(("text/plain", String::new()));
        let padding = " ".repeat(bytes.saturating_sub(text.len()));
        Self::Text { content_type, text: text + &padding }
    }

    /// The failure envelope of the application API.
    pub(crate) fn application_failure(message: &str) -> Self {
        Self::Json(json!({"errorCode": 1, "moreInfo": "", "userMsg": message}))
    }

    /// The failure envelope of the session API.
    pub(crate) fn session_failure(code: &str, message: &str) -> Self {
        Self::Json(json!({"errorCode": code, "errorMessage": message, "content": "", "pageable": ""}))
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
