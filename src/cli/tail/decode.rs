//! Server-sent events, read as they come in pieces of any size.

use std::mem::take;

use anyhow::bail;

/// A line longer than this is none of a receiver's.
const LONGEST: usize = 4 << 20;

/// What stands between two empty lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Its name; empty where it has none.
    pub(super) name: String,
    /// Where the stream is behind it, where it says so.
    pub(super) id: Option<String>,
    /// Empty in what is no message, but says where the stream is.
    pub(super) data: String,
}

/// Puts messages together.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    /// The line end before was a carriage return: a line feed belongs to it.
    after_return: bool,
    message: Message,
    has_data: bool,
}

impl Decoder {
    /// The messages that end in `bytes`, which follow those before.
    ///
    /// # Errors
    /// When this is no stream of events.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<Message>> {
        let mut messages = Vec::new();
        for byte in bytes {
            let belongs = take(&mut self.after_return) && *byte == b'\n';
            match byte {
                b'\n' if belongs => {}
                b'\n' => messages.extend(self.end_line()),
                b'\r' => {
                    self.after_return = true;
                    messages.extend(self.end_line());
                }
                _ => self.line.push(*byte),
            }
        }
        if self.line.len() > LONGEST || self.message.data.len() > LONGEST {
            bail!("what comes is no stream of events");
        }
        Ok(messages)
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            self.has_data = false;
            let message = take(&mut self.message);
            let says = !message.data.is_empty() || message.id.is_some();
            return says.then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.message.name),
            "id" => self.message.id = Some(value.to_owned()),
            "data" => {
                if take(&mut self.has_data) {
                    self.message.data.push('\n');
                }
                self.has_data = true;
                self.message.data.push_str(value);
            }
            // Comments, whose field is empty, and what a later version may say.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, id: Option<&str>, data: &str) -> Message {
        Message {
            name: name.to_owned(),
            id: id.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    const STREAM: &str = ": hello\nretry: 2000\n\nid: 7\nevent: position\ndata: {\"seq\":7}\n\n\
        : alive\nid: 9\n\nid:10\r\nevent:event\r\ndata:a\r\ndata: b\r\n\r\ndata:  x\rdata\r\r\
        other: y\n\ndata: é\n\nevent: cut";

    #[test]
    fn messages_are_the_same_in_whatever_pieces_they_come() {
        let wanted = [
            message("position", Some("7"), "{\"seq\":7}"),
            message("", Some("9"), ""),
            message("event", Some("10"), "a\nb"),
            message("", None, " x\n"),
            message("", None, "é"),
        ];
        for size in [1, 2, 3, 7, 1000] {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                found.extend(decoder.feed(piece).unwrap());
            }
            assert_eq!(found, wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn what_does_not_end_is_given_up() {
        let mut decoder = Decoder::default();
        let piece = vec![b'x'; LONGEST / 2];
        assert!(decoder.feed(&piece).is_ok());
        assert!(decoder.feed(&piece).is_ok());
        assert!(decoder.feed(&piece).is_err());
    }
}
