//! Server-sent events, taken out of bytes as they come.

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What `Last-Event-ID` would name it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its data; several lines are joined.
    pub data: String,
}

/// Bytes go in, whole events come out.
#[derive(Debug, Default)]
pub struct Parser {
    rest: Vec<u8>,
    event: Event,
}

impl Parser {
    /// The events that `bytes` complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        // Only the new bytes are searched: a long line that comes in pieces costs no more.
        let mut from = self.rest.len();
        self.rest.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(at) = self.rest[from..].iter().position(|b| *b == b'\n') {
            let end = from + at;
            let line = String::from_utf8_lossy(&self.rest[start..end]).into_owned();
            events.extend(self.line(line.trim_end_matches('\r')));
            start = end + 1;
            from = start;
        }
        self.rest.drain(..start);
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (event != Event::default()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = value.to_string(),
            "event" => self.event.name = value.to_string(),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments (an empty field) keep the connection alive.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, name: &str, data: &str) -> Event {
        Event {
            id: id.into(),
            name: name.into(),
            data: data.into(),
        }
    }

    #[test]
    fn events_come_out_whole_however_the_bytes_are_cut() {
        let text = ": hello\n\nid: 4.0\nevent: task\ndata: {\"a\":\"ü\"}\n\nevent: end\r\ndata:x\r\ndata: y\r\n\r\nevent: half\n";
        let expected = vec![
            event("4.0", "task", "{\"a\":\"ü\"}"),
            event("", "end", "x\ny"),
        ];
        for size in [1, 2, 3, 7, text.len()] {
            let mut parser = Parser::default();
            let events: Vec<Event> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| parser.feed(chunk))
                .collect();
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }
}
