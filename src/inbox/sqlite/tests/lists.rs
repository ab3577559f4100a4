//! Lists over more events than one page looks at.

use super::*;
use crate::event::Subject;
use crate::inbox::Offer;
use crate::inbox::query::DeliveryFilter;

async fn store(inbox: &SqliteInbox, offers: Vec<Offer>) {
    let batch = Batch {
        offers,
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(0)).await.unwrap();
}

#[tokio::test]
async fn deliveries_of_a_subject_that_was_quiet_for_long_are_on_the_first_page() {
    let inbox = SqliteInbox::open(options(Location::Memory)).unwrap();
    let sink = inbox.sink("s").await.unwrap();
    let quiet = event("a").of("incident:quiet").to(sink).offer();
    store(&inbox, vec![quiet]).await;
    let other = Offer {
        key: None,
        ..event("b").alone().offer()
    };
    for _ in 0..11 {
        store(&inbox, vec![other.clone(); 2_000]).await;
    }
    let filter = DeliveryFilter {
        limit: 10,
        subject: Subject::parse("incident:quiet"),
        ..DeliveryFilter::default()
    };
    let page = inbox.deliveries(filter).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.next_cursor, None);
    inbox.close().await.unwrap();
}
