//! Clocks that differ: the receiver's, and the sender's, by which its history goes.

use super::*;

#[tokio::test]
async fn a_clock_that_is_ahead_passes_nothing_over() {
    let set = Set::fresh(Vec::new());
    // Ten hours ahead, from the first look on.
    let look_at = |here: i64| {
        *set.clock.0.lock().unwrap() = at(here);
        set.fake.history.lock().unwrap().there = Some(at(here - 600));
        set.look()
    };
    for here in 1000..1005 {
        look_at(here).await.unwrap();
    }
    let add = |number| set.fake.history.lock().unwrap().past.push(past(number));
    (400..405).for_each(add);
    look_at(1010).await.unwrap();
    assert_eq!(set.taken(), [400, 401, 402, 403, 404]);
    assert!(set.reached().await < at(410), "no further than the history");
    // It is set right.
    add(409);
    *set.clock.0.lock().unwrap() = at(412);
    set.fake.history.lock().unwrap().there = Some(at(412));
    set.look().await.unwrap();
    assert_eq!(set.taken().last(), Some(&409));
    assert_eq!(set.reached().await, at(411));
}
