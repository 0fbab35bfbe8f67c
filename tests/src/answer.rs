//! An answer as it came, and whether that was all of it.

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, in lower case.
    pub head: String,
    /// Its body, without the framing.
    pub body: Vec<u8>,
    /// Whether its framing says that it is whole.
    pub complete: bool,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }

    /// `error.code` of an envelope.
    pub fn code(&self) -> String {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        value["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// The answer at the start of these bytes and its length, once it is whole or the end is here.
pub(crate) fn parse(bytes: &[u8], closed: bool) -> Option<(Answer, usize)> {
    let start = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..start]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let rest = &bytes[start..];
    let (body, used, complete) = if header("transfer-encoding: chunked").is_some() {
        dechunk(rest)
    } else {
        let length = header("content-length: ").map_or(0, |length| length.parse().unwrap_or(0));
        let taken = rest.len().min(length);
        (rest[..taken].to_vec(), taken, taken == length)
    };
    (complete || closed).then(|| (Answer { status, head, body, complete }, start + used))
}

fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, usize, bool) {
    let whole = bytes.len();
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&bytes[..end]);
        let Ok(size) = usize::from_str_radix(&size, 16) else { break };
        if bytes.len() < end + 2 + size + 2 {
            body.extend_from_slice(&bytes[(end + 2).min(bytes.len())..]);
            break;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
        if size == 0 {
            return (body, whole - bytes.len(), true);
        }
    }
    (body, whole, false)
}
