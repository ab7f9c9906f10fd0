//! [`Journal`]: the ring of events, and what each open file has read of it.
//!
//! # Vocabulary
//!
//! - **reader**: an open file. It begins with the first event after its open, and reads all of them at its own pace: one
//!   that is slow takes nothing from the others, and what one has read the others read too.
//! - **overtaken**: more events came than the ring holds since the reader's last one. It goes on with the oldest that
//!   is left, as the kernel's `kfifo` of a line request drops the oldest; the numbers of the events show the gap, and
//!   a line of text tells it.
//! - **begun**: the part of a text that a read had no room for; it goes to the next one.
//!
//! # Numbers
//!
//! The journal numbers events since the driver was bound. A reader is told them from its own open on, as the kernel
//! numbers the events of a line request: its first event is 1, of all lines and of each.

use std::collections::HashMap;
use std::fmt::Write;

use uio_core::error::Errno;

use crate::event::{EVENT_BYTES, Event, Id};
use crate::regs::LINES;

/// Events that the ring holds. The kernel keeps 16 a line, if it is not asked for more.
pub(crate) const CAPACITY: usize = 1024;

/// Complaints about commands that one open file may put into the log.
const COMPLAINTS: u32 = 8;

/// What reads give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// Lines of text.
    #[default]
    Text,
    /// `struct gpio_v2_line_event`s.
    Binary,
}

#[derive(Debug, Default)]
struct Reader {
    format: Format,
    /// The number of the last event that it has had, in the journal's numbers.
    had: u64,
    /// The journal's numbers at the open.
    first: u64,
    line_first: [u32; LINES],
    begun: Vec<u8>,
    complaints: u32,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Journal {
    ring: Box<[Event]>,
    /// Events so far.
    count: u64,
    line_counts: [u32; LINES],
    last_ns: u64,
    readers: HashMap<u64, Reader>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            ring: vec![Event::default(); CAPACITY].into(),
            count: 0,
            line_counts: [0; LINES],
            last_ns: 0,
            readers: HashMap::new(),
        }
    }
}

impl Journal {
    /// Puts an event in; the oldest goes if the ring is full. Allocates nothing.
    pub(crate) fn put(&mut self, time_ns: u64, line: u8, id: Id) {
        let counted = &mut self.line_counts[usize::from(line)];
        *counted = counted.wrapping_add(1);
        // The counter is not exact to the nanosecond; time does not go back.
        self.last_ns = self.last_ns.max(time_ns);
        let (timestamp_ns, line_seqno) = (self.last_ns, *counted);
        let place = self.place(self.count);
        self.count += 1;
        self.ring[place] = Event { timestamp_ns, id, line, seqno: 0, line_seqno };
    }

    /// Where the event is after which `count` were.
    fn place(&self, count: u64) -> usize {
        // CAST: below the capacity.
        (count % self.ring.len() as u64) as usize
    }

    pub(crate) fn open(&mut self, handle: u64) {
        let (had, first, line_first) = (self.count, self.count, self.line_counts);
        self.readers.insert(handle, Reader { had, first, line_first, ..Reader::default() });
    }

    pub(crate) fn release(&mut self, handle: u64) {
        self.readers.remove(&handle);
    }

    fn reader(&mut self, handle: u64) -> Result<&mut Reader, Errno> {
        self.readers.get_mut(&handle).ok_or(Errno::EBADF)
    }

    pub(crate) fn format(&mut self, handle: u64) -> Result<Format, Errno> {
        Ok(self.reader(handle)?.format)
    }

    /// Has reads give another form. What was begun in the old one is dropped.
    pub(crate) fn set_format(&mut self, handle: u64, format: Format) -> Result<(), Errno> {
        let reader = self.reader(handle)?;
        reader.begun.clear();
        reader.format = format;
        Ok(())
    }

    /// Has the next reads give this text before the events to come.
    pub(crate) fn answer(&mut self, handle: u64, text: &str) -> Result<(), Errno> {
        self.reader(handle)?.begun.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Bytes of answers that the reader has not taken.
    pub(crate) fn unread_answers(&mut self, handle: u64) -> Result<usize, Errno> {
        Ok(self.reader(handle)?.begun.len())
    }

    /// Whether the open file may have one more complaint logged.
    pub(crate) fn may_complain(&mut self, handle: u64) -> bool {
        self.reader(handle).is_ok_and(|reader| {
            reader.complaints += 1;
            reader.complaints <= COMPLAINTS
        })
    }

    /// Whether a read would give something.
    pub(crate) fn is_readable(&mut self, handle: u64) -> bool {
        let count = self.count;
        self.reader(handle).is_ok_and(|reader| !reader.begun.is_empty() || reader.had < count)
    }

    /// The events that the slowest reader has before it.
    pub(crate) fn fill(&self) -> usize {
        let slowest = self.readers.values().map(|reader| self.count - reader.had).max();
        let most = self.ring.len();
        slowest.map_or(0, |unread| usize::try_from(unread).unwrap_or(most).min(most))
    }

    /// A read: lines of text, or whole events.
    ///
    /// # Errors
    ///
    /// - `EAGAIN` if there is nothing;
    /// - `EINVAL` if `buf` has no room for an event.
    pub(crate) fn read(&mut self, handle: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        match self.reader(handle)?.format {
            Format::Text => self.read_text(handle, buf),
            Format::Binary => self.read_events(handle, buf),
        }
    }

    fn read_events(&mut self, handle: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        if buf.len() < EVENT_BYTES {
            return Err(Errno::EINVAL);
        }
        let mut count = 0;
        for room in buf.chunks_exact_mut(EVENT_BYTES) {
            let Some((event, _)) = self.next(handle)? else { break };
            room.copy_from_slice(&event.to_bytes());
            count += EVENT_BYTES;
        }
        if count == 0 { Err(Errno::EAGAIN) } else { Ok(count) }
    }

    fn read_text(&mut self, handle: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut text = std::mem::take(&mut self.reader(handle)?.begun);
        let mut line = String::new();
        while text.len() < buf.len() {
            let Some((event, lost)) = self.next(handle)? else { break };
            line.clear();
            if lost > 0 {
                // A String takes everything.
                let _ =
                    writeln!(line, "# {lost} events lost: they came faster than they were read");
            }
            event.write_text(&mut line);
            text.extend_from_slice(line.as_bytes());
        }
        if text.is_empty() && !buf.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let count = text.len().min(buf.len());
        buf[..count].copy_from_slice(&text[..count]);
        self.reader(handle)?.begun = text.split_off(count);
        Ok(count)
    }

    /// The next event for a reader, in its numbers, and how many were lost before it.
    fn next(&mut self, handle: u64) -> Result<Option<(Event, u64)>, Errno> {
        let oldest = self.count.saturating_sub(self.ring.len() as u64);
        let had = self.reader(handle)?.had;
        let lost = oldest.saturating_sub(had);
        let at = had.max(oldest);
        if at == self.count {
            return Ok(None);
        }
        let mut event = self.ring[self.place(at)];
        let reader = self.reader(handle)?;
        reader.had = at + 1;
        // CAST: the numbers wrap, as the kernel's.
        event.seqno = (reader.had - reader.first) as u32;
        let line_first = reader.line_first[usize::from(event.line)];
        event.line_seqno = event.line_seqno.wrapping_sub(line_first);
        Ok(Some((event, lost)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(bytes: &[u8]) -> Vec<[u32; 4]> {
        let word =
            |event: &[u8], at: usize| u32::from_ne_bytes(event[at..at + 4].try_into().unwrap());
        bytes
            .chunks_exact(EVENT_BYTES)
            .map(|event| [8, 12, 16, 20].map(|at| word(event, at)))
            .collect()
    }

    fn read(journal: &mut Journal, handle: u64, room: usize) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; room];
        let count = journal.read(handle, &mut buf)?;
        buf.truncate(count);
        Ok(buf)
    }

    fn binary(handles: &[u64]) -> Journal {
        let mut journal = Journal::default();
        for handle in handles {
            journal.open(*handle);
            journal.set_format(*handle, Format::Binary).unwrap();
        }
        journal
    }

    #[test]
    fn each_reader_has_all_events_since_its_open_numbered_from_one() {
        let mut journal = binary(&[1]);
        journal.put(10, 3, Id::Rising);
        journal.open(2);
        journal.set_format(2, Format::Binary).unwrap();
        journal.put(20, 5, Id::Falling);
        journal.put(30, 3, Id::Falling);
        let first = events(&read(&mut journal, 1, 4096).unwrap());
        assert_eq!(first, [[1, 3, 1, 1], [2, 5, 2, 1], [2, 3, 3, 2]]);
        let second = events(&read(&mut journal, 2, 4096).unwrap());
        assert_eq!(second, [[2, 5, 1, 1], [2, 3, 2, 1]]);
        assert_eq!(read(&mut journal, 1, 4096), Err(Errno::EAGAIN));
    }

    #[test]
    fn a_read_gives_whole_events_and_refuses_less_room() {
        let mut journal = binary(&[1]);
        assert_eq!(read(&mut journal, 1, 47), Err(Errno::EINVAL), "also when there is none");
        (0..3).for_each(|time| journal.put(time, 0, Id::Rising));
        assert_eq!(read(&mut journal, 1, 47), Err(Errno::EINVAL));
        assert_eq!(read(&mut journal, 1, 2 * 48 + 47).unwrap().len(), 96);
        assert_eq!(events(&read(&mut journal, 1, 48).unwrap()), [[1, 0, 3, 3]]);
    }

    #[test]
    fn overflow_drops_the_oldest_and_the_numbers_show_the_gap() {
        let mut journal = binary(&[1, 2]);
        journal.put(0, 7, Id::Rising);
        assert_eq!(read(&mut journal, 2, 48).unwrap().len(), 48);
        let many = u32::try_from(CAPACITY).unwrap() + 10;
        (0..many).for_each(|time| journal.put(time.into(), 0, Id::Rising));
        assert_eq!(journal.fill(), CAPACITY);
        let got = events(&read(&mut journal, 1, 48 * 2 * CAPACITY).unwrap());
        assert_eq!(got.len(), CAPACITY);
        assert_eq!(got[0], [1, 0, 12, 11], "eleven are lost, ten of this line");
        assert_eq!(got.last(), Some(&[1, 0, many + 1, many]));
        let other = events(&read(&mut journal, 2, 48).unwrap());
        assert_eq!(other[0], [1, 0, 12, 11], "ten are lost for the one that had read one");
    }

    #[test]
    fn text_is_a_stream_that_any_size_of_read_may_cut() {
        let mut journal = Journal::default();
        journal.open(1);
        journal.put(1_000_000_005, 3, Id::Rising);
        journal.put(2_000_000_000, 4, Id::Falling);
        let mut text = Vec::new();
        while let Ok(byte) = read(&mut journal, 1, 1) {
            text.extend(byte);
        }
        let wanted = "     1.000000005 line 3 rising\n     2.000000000 line 4 falling\n";
        assert_eq!(String::from_utf8(text).unwrap(), wanted);
    }

    #[test]
    fn text_tells_a_gap() {
        let mut journal = Journal::default();
        journal.open(1);
        (0..CAPACITY + 3).for_each(|_| journal.put(0, 0, Id::Rising));
        let text = String::from_utf8(read(&mut journal, 1, 80).unwrap()).unwrap();
        assert!(text.starts_with("# 3 events lost"), "{text}");
        let rest = String::from_utf8(read(&mut journal, 1, 4096).unwrap()).unwrap();
        assert!(!rest.contains('#'), "once: {rest}");
    }

    #[test]
    fn time_does_not_go_back() {
        let mut journal = binary(&[1]);
        journal.put(100, 0, Id::Rising);
        journal.put(99, 0, Id::Falling);
        let bytes = read(&mut journal, 1, 96).unwrap();
        assert_eq!(bytes[..8], bytes[48..56]);
    }

    #[test]
    fn an_answer_comes_before_the_events_to_come() {
        let mut journal = Journal::default();
        journal.open(1);
        journal.answer(1, "line 0 in 0\n").unwrap();
        journal.put(0, 0, Id::Rising);
        assert!(journal.is_readable(1));
        let text = String::from_utf8(read(&mut journal, 1, 4096).unwrap()).unwrap();
        assert_eq!(text.lines().next(), Some("line 0 in 0"));
        assert_eq!(text.lines().count(), 2);
    }
}
