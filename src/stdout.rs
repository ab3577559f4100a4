//! The one thread that owns stdout.
//!
//! Event lines wait in the inbox until they are written, and on a pipe until they were read, so a
//! reader that goes away takes nothing with it. Operational lines are dropped and counted when
//! nobody reads. A blocked or closed stdout holds up this thread and nothing else.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::metrics::Metrics;

/// Operational lines that may wait for a slow reader.
const QUEUE: usize = 4096;
/// How often a pipe is asked whether its reader has caught up, at first and at most.
const LOOK_FIRST: Duration = Duration::from_micros(500);
const LOOK_LAST: Duration = Duration::from_millis(50);

/// Lines written together, one answer for all.
#[derive(Debug)]
pub struct Block {
    /// The lines, each with its newline.
    pub bytes: Vec<u8>,
    /// Where each line ends in `bytes`, ascending.
    pub ends: Vec<usize>,
}

/// How many lines of a block arrived, when not all did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stdout is closed ({reason}); {lines} lines of the block had been read")]
pub struct Closed {
    /// Lines that were read before.
    pub lines: usize,
    /// What the system said.
    pub reason: String,
}

enum Message {
    Line(Vec<u8>),
    Block(Block, oneshot::Sender<Result<(), Closed>>),
}

/// The handle on the thread; clones share it.
#[derive(Clone)]
pub struct Stdout {
    queue: SyncSender<Message>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Stdout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stdout")
    }
}

impl Stdout {
    /// Starts the thread on a duplicate of the process's stdout.
    pub fn start(metrics: Arc<Metrics>) -> io::Result<Self> {
        let file = File::from(rustix::io::dup(rustix::stdio::stdout())?);
        Self::start_on(file, metrics)
    }

    /// Starts the thread on `file`.
    pub fn start_on(file: File, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE);
        let pipe = rustix::fs::fstat(file.as_fd())
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_fifo());
        let output = Output {
            file,
            pipe,
            written: 0,
        };
        // Not joined: it may be blocked in a write for as long as the reader likes.
        std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || output.run(&messages))?;
        Ok(Self { queue, metrics })
    }

    /// Writes an operational line with its newline, or counts it as dropped.
    pub fn line(&self, line: Vec<u8>) {
        match self.queue.try_send(Message::Line(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.metrics.log_lines_dropped.inc();
            }
        }
    }

    /// Writes a block; the answer comes when it is written and, on a pipe, read.
    /// `None` when the queue is full: nobody reads.
    pub fn block(&self, block: Block) -> Result<oneshot::Receiver<Result<(), Closed>>, Block> {
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Message::Block(block, answer)) {
            Ok(()) => Ok(answered),
            Err(
                TrySendError::Full(Message::Block(block, _))
                | TrySendError::Disconnected(Message::Block(block, _)),
            ) => Err(block),
            Err(_) => unreachable!("a block was sent"),
        }
    }

    /// Waits until the lines before this call are written, at most for `patience`.
    pub async fn flush(&self, patience: Duration) {
        let nothing = Block {
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        if let Ok(answered) = self.block(nothing) {
            let _written_or_not = tokio::time::timeout(patience, answered).await;
        }
    }
}

struct Output {
    file: File,
    pipe: bool,
    /// Bytes written since the start.
    written: u64,
}

/// A block that is written and not yet read.
struct Unread {
    /// Where it begins and where its lines end, in bytes since the start.
    begin: u64,
    ends: Vec<usize>,
    answer: oneshot::Sender<Result<(), Closed>>,
}

impl Output {
    fn run(mut self, messages: &Receiver<Message>) {
        // In the order in which they were written, which is the one in which they are read.
        let mut unread: VecDeque<Unread> = VecDeque::new();
        let mut look_in = LOOK_FIRST;
        loop {
            let message = if unread.is_empty() {
                match messages.recv() {
                    Ok(message) => Some(message),
                    Err(_) => return,
                }
            } else {
                match messages.recv_timeout(look_in) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            };
            look_in = (look_in * 2).min(LOOK_LAST);
            match message {
                // A failing line is not reported on the log it could not be written to.
                Some(Message::Line(line)) => {
                    let _closed = self.write(&line);
                }
                Some(Message::Block(block, answer)) => {
                    look_in = LOOK_FIRST;
                    unread.extend(self.write_block(block, answer));
                }
                None => {}
            }
            self.look(&mut unread);
        }
    }

    fn write_block(
        &mut self,
        block: Block,
        answer: oneshot::Sender<Result<(), Closed>>,
    ) -> Option<Unread> {
        let begin = self.written;
        match self.write(&block.bytes) {
            Ok(()) => Some(Unread {
                begin,
                ends: block.ends,
                answer,
            }),
            Err(error) => {
                let _heard = answer.send(Err(self.closed(begin, &block.ends, &error)));
                None
            }
        }
    }

    /// Answers the blocks of which all was read, and all of them when nobody is left to read.
    fn look(&self, unread: &mut VecDeque<Unread>) {
        while let Some(waiting) = unread.pop_front() {
            let length = waiting.ends.last().copied().unwrap_or(0) as u64;
            let answer = if self.read_so_far() >= waiting.begin + length {
                Ok(())
            } else if self.has_no_reader() {
                // An empty write asks a pipe without readers for nothing; its state has to be
                // polled.
                let error = io::Error::from(io::ErrorKind::BrokenPipe);
                Err(self.closed(waiting.begin, &waiting.ends, &error))
            } else {
                unread.push_front(waiting);
                return;
            };
            let _heard = waiting.answer.send(answer);
        }
    }

    fn closed(&self, begin: u64, ends: &[usize], error: &io::Error) -> Closed {
        let read = self.read_so_far();
        Closed {
            lines: ends
                .iter()
                .take_while(|end| begin + **end as u64 <= read)
                .count(),
            reason: error.to_string(),
        }
    }

    /// Bytes that left this process for good: written to a file, or read out of a pipe.
    fn read_so_far(&self) -> u64 {
        let waiting = if self.pipe {
            rustix::io::ioctl_fionread(&self.file).unwrap_or(0)
        } else {
            0
        };
        self.written.saturating_sub(waiting)
    }

    fn has_no_reader(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&self.file, PollFlags::empty())];
        poll(&mut fds, Some(&now)).is_ok_and(|_| fds[0].revents().contains(PollFlags::ERR))
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count as u64;
                    bytes = bytes.get(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if may_pass(error.kind()) => std::thread::sleep(LOOK_LAST),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Somebody shares the pipe and made it non-blocking, or the file's disk is full.
fn may_pass(error: io::ErrorKind) -> bool {
    matches!(
        error,
        io::ErrorKind::WouldBlock | io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn pipe() -> (Stdout, File) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let stdout = Stdout::start_on(File::from(writer), Metrics::new()).unwrap();
        (stdout, File::from(reader))
    }

    fn block(lines: &[&str]) -> Block {
        let mut block = Block {
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        for line in lines {
            block.bytes.extend_from_slice(line.as_bytes());
            block.ends.push(block.bytes.len());
        }
        block
    }

    #[tokio::test]
    async fn a_block_is_answered_once_the_reader_has_read_it() {
        let (stdout, mut reader) = pipe();
        let mut answered = stdout.block(block(&["one\n", "two\n"])).unwrap();
        let mut text = [0; 4];
        reader.read_exact(&mut text).unwrap();
        assert!(
            answered.try_recv().is_err(),
            "half of it is still in the pipe"
        );
        reader.read_exact(&mut text).unwrap();
        assert_eq!(answered.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_takes_no_line_with_it() {
        let (stdout, mut reader) = pipe();
        let answered = stdout.block(block(&["one\n", "two\n"])).unwrap();
        let mut text = [0; 5];
        reader.read_exact(&mut text).unwrap();
        drop(reader);
        assert_eq!(answered.await.unwrap().unwrap_err().lines, 1);
    }

    #[tokio::test]
    async fn each_of_several_blocks_is_answered_once_it_was_read() {
        let (stdout, mut reader) = pipe();
        let first = stdout.block(block(&["one\n"])).unwrap();
        let second = stdout.block(block(&["two\n"])).unwrap();
        let mut text = [0; 8];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn a_blocked_pipe_counts_the_operational_lines_it_loses() {
        let (stdout, reader) = pipe();
        for _ in 0..QUEUE * 4 {
            stdout.line(vec![b'x'; 100]);
        }
        assert!(stdout.metrics.log_lines_dropped.get() > 0);
        drop(reader);
    }

    #[tokio::test]
    async fn a_file_on_a_full_disk_is_waited_for_and_not_given_up() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let stdout = Stdout::start_on(full, Metrics::new()).unwrap();
        let answered = stdout.block(block(&["one\n"])).unwrap();
        let patience = tokio::time::timeout(LOOK_LAST * 2, answered);
        assert!(patience.await.is_err(), "it was answered");
    }

    #[tokio::test]
    async fn a_file_counts_as_read_when_it_is_written() {
        let mut file = tempfile::tempfile().unwrap();
        let stdout = Stdout::start_on(file.try_clone().unwrap(), Metrics::new()).unwrap();
        let answered = stdout.block(block(&["one\n"])).unwrap();
        assert_eq!(answered.await.unwrap(), Ok(()));
        let mut text = String::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\n");
    }
}
