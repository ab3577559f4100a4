//! The list of events: what it shows of each, and what it can be asked for.

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;
use crate::admin::events::SEARCHES;

async fn page(query: &str) -> Value {
    let target = format!("/api/v1/events?{query}");
    let (parts, body) = Asked::default().send(request("GET", &target)).await;
    assert_eq!(parts.status, 200, "{query}");
    serde_json::from_slice(&body).unwrap()
}

fn seqs(page: &Value) -> Vec<i64> {
    let rows = page["items"].as_array().unwrap();
    rows.iter()
        .map(|row| row["seq"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_list_shows_titles_and_severities_where_there_are_any() {
    let page = page("").await;
    assert_eq!(seqs(&page), [3, 2, 1]);
    assert_eq!(page["items"][0].get("title"), None);
    assert_eq!(page["items"][2]["title"], "disk 磁 full");
    assert_eq!(page["items"][2]["severity"], "Critical");
    assert_eq!(page.get("searched_to"), None, "it is no search");
    let target = "/api/v1/events/1";
    let (_, body) = Asked::default().send(request("GET", target)).await;
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(event["title"], "disk 磁 full");
    let target = "/api/v1/subjects/incident:664af0";
    let (_, body) = Asked::default().send(request("GET", target)).await;
    let subject: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(subject["events"]["items"][2]["severity"], "Critical");
}

#[tokio::test]
async fn events_are_searched_by_text_and_by_source() {
    for (query, wanted) in [
        ("text=DISK%20%E7%A3%81", vec![1]),
        ("text=%3Cscript%3E", vec![3, 2]),
        ("text=d_sk", vec![]),
        ("source=47.94.95.118", vec![3, 2, 1]),
        ("source=47.94.0.0/16&text=full", vec![1]),
        ("source=47.95.0.0/16", vec![]),
        ("source=::ffff:47.94.95.118&event_type=i_ack", vec![2]),
    ] {
        let page = page(query).await;
        assert_eq!(seqs(&page), wanted, "{query}");
        assert_eq!(page.get("next_cursor"), None, "{query}");
        assert!(
            page["searched_to"].is_string() || wanted.is_empty(),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_search_for_nothing_or_from_nowhere_is_refused() {
    for (query, allowed) in [
        ("text=", "1 to 200 characters"),
        ("source=47.94", "a block such as 203.0.113.0/24"),
        ("source=47.94.95.118/16", "a block such as 203.0.113.0/24"),
        ("source=private_ranges", "a block such as 203.0.113.0/24"),
        ("text=a&cursor=x", "the next_cursor of the page before"),
    ] {
        let refused = refusal(&format!("/api/v1/events?{query}")).await;
        assert!(refused.starts_with("400 "), "{refused}");
        assert!(refused.contains(allowed), "{refused}");
    }
}

#[tokio::test]
async fn few_search_at_once_and_the_next_one_is_told_to_come_back() {
    let gate = Arc::new(Semaphore::new(0));
    let mut asked = Asked::default();
    asked.inbox.gate = Some(Arc::clone(&gate));
    let router = asked.router();
    let ask = |query: &str| {
        let request = request("GET", &format!("/api/v1/events?{query}"));
        let request = request.body(Body::empty()).unwrap();
        router.clone().oneshot(request)
    };
    let mut searching = JoinSet::new();
    for query in ["text=full", "source=47.94.95.118"]
        .iter()
        .cycle()
        .take(SEARCHES)
    {
        searching.spawn(ask(query));
    }
    // Until they wait for the store.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let refused = ask("text=full").await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()[CONTENT_TYPE], "application/problem+json");
    assert_eq!(
        ask("event_type=i_new").await.unwrap().status(),
        200,
        "a list"
    );
    gate.add_permits(100);
    while let Some(found) = searching.join_next().await {
        assert_eq!(found.unwrap().unwrap().status(), 200);
    }
    assert_eq!(ask("text=full").await.unwrap().status(), 200);
}
