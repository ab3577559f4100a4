//! Which sinks want an event. Decided once, before the event is offered, for both ways in which it
//! may be judged.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use serde_json::Value;

use crate::filter::{EvaluationError, Explanation, Expression, Scope};
use crate::inbox::{Order, SinkId, Wanted};
use crate::words::Words;

const STALE: &str = "stale";
static YES: Value = Value::Bool(true);
static NO: Value = Value::Bool(false);

/// One configured sink, as far as routing goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its number in the store.
    pub sink: SinkId,
    /// How its deliveries of one subject follow one another.
    pub order: Order,
    /// Whether it wants stale events, too.
    pub include_stale: bool,
    /// Which events it wants; all without one.
    pub filter: Option<Arc<Expression>>,
    /// Events that its filter could not judge, for another reason than that they lack what it asks for.
    pub filter_errors: Counter,
}

/// The sinks of the running configuration.
#[derive(Debug, Clone)]
pub struct Routing {
    targets: Vec<Target>,
    /// What each target would want without its filter, in the same order.
    everyone: Arc<[Wanted]>,
    filtered: bool,
}

impl Routing {
    /// Takes the enabled sinks.
    pub fn new(targets: Vec<Target>) -> Self {
        let everyone = targets
            .iter()
            .map(|target| Wanted {
                sink: target.sink,
                order: target.order,
                fresh: true,
                stale: target.include_stale,
            })
            .collect();
        Self {
            filtered: targets.iter().any(|target| target.filter.is_some()),
            targets,
            everyone,
        }
    }

    /// The sinks that want the event. While no sink has a filter this is one shared list: the body
    /// is not looked at, and nothing is allocated.
    pub fn wanted(&self, words: &Words<'_>) -> Arc<[Wanted]> {
        if !self.filtered {
            return Arc::clone(&self.everyone);
        }
        let targets = self.targets.iter().zip(&*self.everyone);
        targets
            .map(|(target, wanted)| match &target.filter {
                Some(filter) => target.narrowed(*wanted, filter, words),
                None => *wanted,
            })
            .filter(|wanted| wanted.fresh || wanted.stale)
            .collect()
    }

    /// The same sinks with other numbers: those they have in `numbers`.
    #[must_use]
    pub fn numbered(&self, numbers: &BTreeMap<Arc<str>, SinkId>) -> Self {
        let targets = self.targets.iter().cloned().map(|target| Target {
            sink: numbers.get(&target.name).copied().unwrap_or(target.sink),
            ..target
        });
        Self::new(targets.collect())
    }

    /// What the enabled sinks are called.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.targets.iter().map(|target| &target.name)
    }

    /// The enabled sink called `name`.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| &*target.name == name)
    }

    /// Whether the sink numbered `sink` is configured and enabled.
    pub fn knows(&self, sink: SinkId) -> bool {
        self.targets.iter().any(|target| target.sink == sink)
    }

    /// What becomes of the event at each sink and why, in words, one sentence each.
    pub fn explain(&self, words: &Words<'_>) -> Vec<String> {
        let sentences = self.targets.iter().map(|target| {
            let name = &target.name;
            match (&target.filter, target.include_stale) {
                (Some(filter), _) => format!("sink {name} {}", target.explain(filter, words)),
                // A command is never stale.
                (None, _) if words.event().command => format!("sink {name} takes every command"),
                (None, true) => format!("sink {name} takes every event, stale ones, too"),
                (None, false) => format!("sink {name} takes every event, but no stale ones"),
            }
        });
        sentences.collect()
    }
}

impl Target {
    /// Whether the sink wants an event that was judged `stale`, or else accepted. What its filter
    /// cannot judge it does not want; nothing is counted.
    pub fn wants(&self, words: &Words<'_>, stale: bool) -> bool {
        let scope = scope(words, if stale { &YES } else { &NO });
        let filter = self.filter.as_ref();
        (self.include_stale || !stale)
            && filter.is_none_or(|filter| filter.evaluate(&scope) == Ok(true))
    }

    fn narrowed(&self, mut wanted: Wanted, filter: &Expression, words: &Words<'_>) -> Wanted {
        let fresh = filter.evaluate(&scope(words, &NO));
        let stale = match self.looks_twice(filter) {
            true => filter.evaluate(&scope(words, &YES)),
            false => fresh.clone(),
        };
        if is_fault(&fresh) || is_fault(&stale) {
            self.filter_errors.inc();
        }
        wanted.fresh = fresh == Ok(true);
        wanted.stale &= stale == Ok(true);
        wanted
    }

    /// Whether the answer may be another one for an event that turns out stale.
    fn looks_twice(&self, filter: &Expression) -> bool {
        self.include_stale && filter.references(STALE)
    }

    fn explain(&self, filter: &Expression, words: &Words<'_>) -> String {
        let fresh = filter.explain(&scope(words, &NO));
        let stale = match self.looks_twice(filter) {
            true => filter.explain(&scope(words, &YES)),
            false => fresh.clone(),
        };
        match (fresh.matched, stale.matched && self.include_stale) {
            // It is never stale.
            (true, _) if words.event().command => format!("takes it: {}", reason(&fresh)),
            (false, _) if words.event().command => {
                format!("does not take it: {}", reason(&fresh))
            }
            (true, true) => format!("takes it, also when it turns out stale: {}", reason(&fresh)),
            (true, false) => format!("takes it unless it turns out stale: {}", reason(&fresh)),
            (false, true) => format!("takes it only when it turns out stale: {}", reason(&stale)),
            (false, false) => format!("does not take it: {}", reason(&fresh)),
        }
    }
}

fn is_fault(judged: &Result<bool, EvaluationError>) -> bool {
    judged.as_ref().is_err_and(EvaluationError::is_fault)
}

fn scope<'a>(words: &'a Words<'_>, stale: &'a Value) -> Scope<'a> {
    Scope::new(words.tree()).with(STALE, stale)
}

fn reason(explanation: &Explanation) -> String {
    match explanation {
        Explanation {
            clause: Some(clause),
            error: Some(error),
            ..
        } => format!("{clause} cannot be judged, because {error}"),
        Explanation {
            clause: Some(clause),
            matched,
            ..
        } => format!("{clause} is {matched}"),
        Explanation { matched: true, .. } => "every part of its filter is true".to_owned(),
        Explanation { matched: false, .. } => "no part of its filter is true".to_owned(),
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::event::Event;
    use crate::words::WORDS;

    fn event(body: &'static str) -> Event {
        Event {
            event_id: None,
            event_time: None,
            subject: None,
            ..Event::sample(body)
        }
    }

    fn target(number: i64, filter: Option<&str>, include_stale: bool) -> Target {
        Target {
            name: format!("s{number}").into(),
            sink: SinkId(number),
            order: Order::Subject,
            include_stale,
            filter: filter.map(|source| Arc::new(Expression::compile(source, &WORDS).unwrap())),
            filter_errors: Counter::default(),
        }
    }

    const CRITICAL: &str =
        r#"{"incident":{"incident_severity":"Critical","labels":{"team":"db"}}}"#;

    /// Who wants an event that turns out accepted, and who one that turns out stale.
    fn wanted(routing: &Routing, body: &'static str) -> (Vec<i64>, Vec<i64>) {
        let event = event(body);
        let wanted = routing.wanted(&Words::new(&event));
        let whose = |stale: bool| {
            let wanted = wanted.iter().filter(|wanted| wanted.wants(stale));
            wanted.map(|wanted| wanted.sink.0).collect()
        };
        (whose(false), whose(true))
    }

    #[test]
    fn without_filters_everyone_shares_one_list_and_the_body_is_not_read() {
        let routing = Routing::new(vec![target(1, None, false), target(2, None, true)]);
        let event = event("no json");
        let words = Words::new(&event);
        assert!(Arc::ptr_eq(
            &routing.wanted(&words),
            &routing.wanted(&words)
        ));
        assert_eq!(wanted(&routing, "no json"), (vec![1, 2], vec![2]));
    }

    #[test]
    fn a_sink_gets_what_its_filter_is_true_of() {
        let routing = Routing::new(vec![
            target(1, Some("severity == 'Critical'"), false),
            target(2, Some("severity == 'Info'"), true),
            target(3, Some("labels.team == 'db'"), true),
            target(4, None, true),
        ]);
        assert_eq!(wanted(&routing, CRITICAL), (vec![1, 3, 4], vec![3, 4]));
    }

    #[test]
    fn a_filter_may_tell_stale_events_from_others() {
        let routing = Routing::new(vec![
            target(1, Some("stale"), true),
            target(2, Some("stale"), false),
            target(3, Some("!stale"), true),
            target(4, Some("stale == (severity == 'Critical')"), true),
        ]);
        assert_eq!(wanted(&routing, CRITICAL), (vec![3], vec![1, 4]));
        assert_eq!(wanted(&routing, "{}"), (vec![3], vec![1]));
    }

    #[test]
    fn a_filter_that_cannot_judge_is_no_match_and_counts_once_an_event() {
        let target = target(1, Some("stale == (push.incident.count > 2)"), true);
        let errors = target.filter_errors.clone();
        let routing = Routing::new(vec![target]);
        let wrong = r#"{"incident":{"count":"three"}}"#;
        assert_eq!(wanted(&routing, wrong), (vec![], vec![]));
        assert_eq!(errors.get(), 1);
        let right = r#"{"incident":{"count":3}}"#;
        assert_eq!(wanted(&routing, right), (vec![], vec![1]));
        assert_eq!(errors.get(), 1);
    }

    #[test]
    fn an_event_that_lacks_what_a_filter_asks_for_is_no_match_and_no_error() {
        for lacking in [
            "labels.region == 'eu'",
            "!(labels.region == 'eu')",
            "stale == (push.alert.count > 2)",
        ] {
            let target = target(1, Some(lacking), true);
            let errors = target.filter_errors.clone();
            let routing = Routing::new(vec![target]);
            assert_eq!(wanted(&routing, CRITICAL), (vec![], vec![]), "{lacking}");
            assert_eq!(errors.get(), 0, "{lacking}");
        }
    }

    #[test]
    fn each_sink_says_in_a_sentence_whether_it_takes_the_event_and_why() {
        let routing = Routing::new(vec![
            target(1, None, false),
            target(2, None, true),
            target(
                3,
                Some("severity == 'Critical' && labels.team == 'db'"),
                true,
            ),
            target(
                4,
                Some("severity == 'Critical' && labels.team == 'web'"),
                true,
            ),
            target(5, Some("severity == 'Info' || labels.team == 'db'"), false),
            target(6, Some("severity == 'Info' || labels.team == 'web'"), false),
            target(
                7,
                Some("severity == 'Critical' && labels.region != 'eu'"),
                false,
            ),
            target(8, Some("stale"), true),
        ]);
        let event = event(CRITICAL);
        insta::assert_snapshot!(routing.explain(&Words::new(&event)).join("\n"), @r#"
        sink s1 takes every event, but no stale ones
        sink s2 takes every event, stale ones, too
        sink s3 takes it, also when it turns out stale: every part of its filter is true
        sink s4 does not take it: labels.team == 'web' is false
        sink s5 takes it unless it turns out stale: labels.team == 'db' is true
        sink s6 does not take it: no part of its filter is true
        sink s7 does not take it: labels.region != 'eu' cannot be judged, because labels has no "region"
        sink s8 takes it only when it turns out stale: stale is true
        "#);
    }

    #[test]
    fn of_a_command_nothing_is_said_that_depends_on_its_being_stale() {
        let routing = Routing::new(vec![
            target(1, None, false),
            target(2, None, true),
            target(3, Some("severity == 'Critical'"), false),
            target(4, Some("severity == 'Critical'"), true),
            target(5, Some("stale"), true),
        ]);
        let event = Event {
            command: true,
            ..event(CRITICAL)
        };
        insta::assert_snapshot!(routing.explain(&Words::new(&event)).join("\n"), @r#"
        sink s1 takes every command
        sink s2 takes every command
        sink s3 takes it: severity == 'Critical' is true
        sink s4 takes it: severity == 'Critical' is true
        sink s5 does not take it: stale is false
        "#);
    }
}
