//! Where an answer says which model it is of, found byte by byte and wherever it is cut.

/// The longest key that matters, and one byte more.
const LONGEST_KEY: usize = 9;

/// What begins the lines of an event that are its data.
const DATA: &[u8] = b"data:";

/// Reads JSON, whole or in the data of events, and says where the strings are that name its model:
/// those of the key `model` of the outermost object, or of its `message` or `response`. What a model
/// writes, and what a caller's tools take, is further inside.
#[derive(Debug)]
pub(super) struct Finder {
    /// Whether only lines that begin with `data:` are JSON.
    is_events: bool,
    line: Line,
    /// Whether a carriage return was the last byte: a line feed is then the other half of a line's end.
    returned: bool,
    /// How many objects and lists are open.
    depth: u32,
    /// Whether each of the innermost 128 is an object: the lowest bit is the innermost.
    objects: u128,
    /// The last key, as far as it matters.
    key: [u8; LONGEST_KEY],
    key_length: usize,
    /// Whether the object at the second level is one that tells its model.
    tells: bool,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// So much of `data:` has come.
    Start(usize),
    Data,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// What comes next is a key, if it is a string.
    Key,
    /// What comes next is a value.
    Value,
    /// In a string.
    Text { of: Text, escaped: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Key,
    /// The name of the model.
    Model,
    Other,
}

/// What a byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// The opening quote of the model's name.
    Opens,
    /// Its closing quote.
    Closes,
}

impl Finder {
    pub(super) fn new(is_events: bool) -> Self {
        Self {
            is_events,
            line: Line::Start(0),
            returned: false,
            depth: 0,
            objects: 0,
            key: [0; LONGEST_KEY],
            key_length: 0,
            tells: false,
            at: At::Value,
        }
    }

    /// The next byte.
    pub(super) fn next(&mut self, byte: u8) -> Found {
        if self.is_events && !self.is_data(byte) {
            return Found::Nothing;
        }
        match self.at {
            At::Text { of, escaped } => self.text(of, escaped, byte),
            At::Key | At::Value => self.between(byte),
        }
    }

    /// The name that began is none, as it does not end.
    pub(super) fn give_up(&mut self) {
        if let At::Text { of: Text::Model, escaped } = self.at {
            self.at = At::Text { of: Text::Other, escaped };
        }
    }

    /// Whether it belongs to the JSON of an event.
    fn is_data(&mut self, byte: u8) -> bool {
        let is_half = self.returned && byte == b'\n';
        self.returned = byte == b'\r';
        if is_half {
            return false;
        }
        if let b'\n' | b'\r' = byte {
            if self.line == Line::Start(0) {
                *self = Self { returned: self.returned, ..Self::new(true) };
            }
            self.line = Line::Start(0);
            return false;
        }
        match self.line {
            Line::Data => return true,
            Line::Start(length) if byte == DATA[length] => {
                let whole = length + 1 == DATA.len();
                self.line = if whole { Line::Data } else { Line::Start(length + 1) };
            }
            Line::Start(_) | Line::Other => self.line = Line::Other,
        }
        false
    }

    fn text(&mut self, of: Text, escaped: bool, byte: u8) -> Found {
        if !escaped && byte == b'"' {
            self.at = At::Value;
            return if of == Text::Model { Found::Closes } else { Found::Nothing };
        }
        if of == Text::Key && self.key_length < LONGEST_KEY {
            self.key[self.key_length] = byte;
            self.key_length += 1;
        }
        self.at = At::Text { of, escaped: !escaped && byte == b'\\' };
        Found::Nothing
    }

    fn between(&mut self, byte: u8) -> Found {
        match byte {
            b'"' if self.depth > 0 => return self.opens(),
            b'{' | b'[' => self.nest(byte == b'{'),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.objects >>= 1;
                self.at = At::Value;
            }
            b',' => self.at = if self.objects & 1 == 1 { At::Key } else { At::Value },
            _ => {}
        }
        Found::Nothing
    }

    fn opens(&mut self) -> Found {
        if self.at == At::Key {
            self.key_length = 0;
            self.at = At::Text { of: Text::Key, escaped: false };
            return Found::Nothing;
        }
        let level = self.depth == 1 || self.depth == 2 && self.tells;
        let is_member = self.objects & 1 == 1;
        if level && is_member && self.is_key(b"model") {
            self.at = At::Text { of: Text::Model, escaped: false };
            return Found::Opens;
        }
        self.at = At::Text { of: Text::Other, escaped: false };
        Found::Nothing
    }

    fn nest(&mut self, is_object: bool) {
        if self.depth == 1 {
            let member = self.objects & 1 == 1 && is_object;
            self.tells = member && (self.is_key(b"message") || self.is_key(b"response"));
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        self.at = if is_object { At::Key } else { At::Value };
    }

    fn is_key(&self, key: &[u8]) -> bool {
        &self.key[..self.key_length] == key
    }
}
