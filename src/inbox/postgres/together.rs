//! Leases that deliveries of a batch share: one for those of a sink, in place of a lane for each.

use std::collections::BTreeMap;

use super::session::Call;

/// By sink and time to live: the first position, which is the lease's number, and the last one.
#[derive(Debug, Default)]
pub(super) struct Together(BTreeMap<(i64, i64), (i64, i64)>);

impl Together {
    /// Puts the delivery at `seq` under the lease of its sink, whose number is returned. Positions
    /// come in their order.
    pub(super) fn lease(&mut self, sink: i64, ttl: i64, seq: i64) -> i64 {
        let (number, last) = self.0.entry((sink, ttl)).or_insert((seq, seq));
        *last = seq;
        *number
    }

    /// Gives `write` the leases, in four arrays.
    pub(super) fn rows_to<'c>(&self, write: Call<'c>) -> Call<'c> {
        let all = || self.0.iter();
        write
            .each(all().map(|((sink, _), _)| *sink))
            .each(all().map(|(_, (number, _))| *number))
            .each(all().map(|(_, (_, last))| *last))
            .each(all().map(|((_, ttl), _)| *ttl))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_shared_by_what_lasts_as_long_for_one_sink() {
        let mut together = Together::default();
        let numbers = [(1, 60, 3), (2, 60, 3), (1, 60, 4), (1, 30, 5), (1, 60, 7)]
            .map(|(sink, ttl, seq)| together.lease(sink, ttl, seq));
        assert_eq!(numbers, [3, 3, 3, 5, 3]);
        let all: Vec<_> = together.0.into_iter().collect();
        assert_eq!(
            all,
            [((1, 30), (5, 5)), ((1, 60), (3, 7)), ((2, 60), (3, 3))]
        );
    }
}
