//! Tests of the embedded store's end: what may still be going on then.

use super::*;
use crate::inbox::conformance::{at, event};
use crate::inbox::{Batch, Inbox as _};

fn open(folder: &Path) -> SqliteInbox {
    SqliteInbox::open(SqliteOptions {
        location: Location::File(folder.join("inbox.db")),
        lock_wait: Duration::ZERO,
        max_size: 0,
    })
    .unwrap()
}

async fn commit(inbox: &SqliteInbox, id: &'static str) {
    let batch = Batch {
        offers: vec![event(id).offer()],
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(0)).await.unwrap();
}

#[tokio::test]
async fn a_question_that_takes_for_ever_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = open(folder.path());
    let (begin, begun) = oneshot::channel();
    let endless = inbox.read(move |sql| {
        let _heard = begin.send(());
        let count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
             SELECT count(*) FROM n";
        sql.query_row(count, [], |row| row.get::<_, i64>(0))
    });
    let close = async {
        begun.await.unwrap();
        inbox.close().await
    };
    let (asked, closed) = tokio::join!(endless, close);
    assert!(matches!(asked, Err(InboxError::Refused(_))), "{asked:?}");
    closed.unwrap();
}

#[tokio::test]
async fn the_log_is_moved_into_the_file_beside_a_writer_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = open(folder.path());
    commit(&inbox, "a").await;
    assert_eq!(inbox.log.bytes_copied(), 0);
    inbox.flush().await;
    assert_eq!(inbox.log.bytes_copied(), inbox.log.bytes_in_use());
    commit(&inbox, "b").await;
    inbox.close().await.unwrap();
    assert!(!folder.path().join("inbox.db-wal").exists());
    let again = open(folder.path());
    assert_eq!(again.counts().await.unwrap().events, 2);
    again.close().await.unwrap();
}

#[tokio::test]
async fn a_log_that_is_moved_aside_is_waited_for_by_the_end_and_not_begun_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = open(folder.path());
    commit(&inbox, "a").await;
    // Whoever asked for it has gone, and it has not come far.
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let flushing = inbox.beside("held", move || gone.recv());
    drop(flushing.unwrap());
    let close = inbox.close();
    tokio::pin!(close);
    let early = tokio::select! {
        biased;
        _ = &mut close => true,
        () = tokio::time::sleep(Duration::from_millis(50)) => false,
    };
    assert!(!early, "closed while somebody had the file open");
    go.send(()).unwrap();
    close.await.unwrap();

    // The next process has the file.
    std::fs::write(folder.path().join("inbox.db"), "another's").unwrap();
    inbox.flush().await;
    assert_eq!(*inbox.log.broken().borrow(), None);
}
