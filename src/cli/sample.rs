//! Sample pushes in the sender's shape: what `push` sends by default and what `demo` plays.
//!
//! Field names, units and irregularities are those of the sender: times of the envelope in
//! milliseconds, times of the incident in seconds, absent times as 0, absent texts as "". A custom
//! action carries its `event_id` inside the incident, and nowhere else.

use serde::Serialize;

/// The sample incident at one moment of its life.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    /// Such as `i_new`; a type that begins with `a_` makes an alert push.
    pub event_type: &'a str,
    /// The sender's id of the event.
    pub event_id: &'a str,
    /// Milliseconds since the Unix epoch.
    pub event_time: i64,
    /// The incident's (or alert's) id, 24 hex digits.
    pub subject_id: &'a str,
    /// Text appended to the description, to reach a wanted size.
    pub padding: &'a str,
}

impl Moment<'_> {
    /// The body, compact as the sender writes it; about 1.4 KB for an incident without padding.
    pub fn body(&self) -> Vec<u8> {
        let body = if self.event_type.starts_with("a_") {
            serde_json::to_vec(&AlertPush::at(self))
        } else {
            serde_json::to_vec(&IncidentPush::at(self))
        };
        body.expect("a sample of texts and numbers is always JSON")
    }
}

#[derive(Serialize)]
struct IncidentPush<'a> {
    event_time: i64,
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<Person>,
    incident: Incident<'a>,
}

impl<'a> IncidentPush<'a> {
    fn at(moment: &Moment<'a>) -> Self {
        let custom = moment.event_type == "i_custom";
        Self {
            event_time: moment.event_time,
            event_type: moment.event_type,
            event_id: (!custom).then_some(moment.event_id),
            person: (moment.event_type != "i_new").then_some(OPERATOR),
            incident: Incident::at(moment, custom),
        }
    }
}

#[derive(Serialize)]
struct AlertPush<'a> {
    event_time: i64,
    event_type: &'a str,
    event_id: &'a str,
    alert: Alert<'a>,
}

impl<'a> AlertPush<'a> {
    fn at(moment: &Moment<'a>) -> Self {
        Self {
            event_time: moment.event_time,
            event_type: moment.event_type,
            event_id: moment.event_id,
            alert: Alert::at(moment),
        }
    }
}

#[derive(Serialize)]
struct Person {
    person_id: i64,
    person_name: &'static str,
    email: &'static str,
}

/// Ids of people are above 2^32 at the sender, so the sample's are too.
const OPERATOR: Person = Person {
    person_id: 3_790_925_372_131,
    person_name: "Lin Yue",
    email: "lin.yue@example.com",
};

#[derive(Serialize)]
struct Responder {
    #[serde(flatten)]
    person: Person,
    assigned_at: i64,
    acknowledged_at: i64,
}

#[derive(Serialize)]
struct Labels {
    cluster: &'static str,
    device: &'static str,
    instance: &'static str,
    mountpoint: &'static str,
    resource: &'static str,
    service: &'static str,
    team: &'static str,
}

const LABELS: Labels = Labels {
    cluster: "prod-east-2",
    device: "/dev/nvme1n1",
    instance: "db-3.prod.example.com:9100",
    mountpoint: "/var/lib/mysql",
    resource: "db-3",
    service: "orders-db",
    team: "订单",
};

const TITLE: &str = "disk almost full / orders-db / db-3";
const CHANNEL: (i64, &str) = (2_490_121_812_131, "Order systems");

#[derive(Serialize)]
struct Incident<'a> {
    incident_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    account_id: i64,
    account_name: &'static str,
    num: &'a str,
    title: &'static str,
    description: String,
    impact: &'static str,
    root_cause: &'static str,
    resolution: &'static str,
    incident_severity: &'static str,
    incident_status: &'static str,
    progress: &'static str,
    created_at: i64,
    updated_at: i64,
    start_time: i64,
    last_time: i64,
    end_time: i64,
    ack_time: i64,
    close_time: i64,
    snoozed_before: i64,
    labels: Labels,
    fields: Fields,
    #[serde(skip_serializing_if = "Option::is_none")]
    closer: Option<Person>,
    responders: Vec<Responder>,
    alert_cnt: u32,
    channel_id: i64,
    channel_name: &'static str,
    group_method: &'static str,
    detail_url: String,
}

#[derive(Serialize)]
struct Fields {
    environment: &'static str,
    on_duty: [&'static str; 2],
}

impl<'a> Incident<'a> {
    fn at(moment: &Moment<'a>, custom: bool) -> Self {
        let seconds = moment.event_time / 1000;
        let started = seconds - 60;
        let closed = moment.event_type == "i_rslv";
        let taken = matches!(
            moment.event_type,
            "i_ack" | "i_custom" | "i_rslv" | "i_comm"
        );
        let assigned = moment.event_type != "i_new";
        let description = format!(
            "/var/lib/mysql on db-3 is 92% full and grows by 1.4 GB an hour; it will be full in \
             about five hours.{}",
            moment.padding
        );
        let responder = Responder {
            person: OPERATOR,
            assigned_at: started + 10,
            acknowledged_at: if taken { seconds } else { 0 },
        };
        Self {
            incident_id: moment.subject_id,
            event_id: custom.then_some(moment.event_id),
            account_id: 2_451_002_751_131,
            account_name: "Example Shop",
            num: "61D4F2",
            title: TITLE,
            description,
            impact: "",
            root_cause: "",
            resolution: if closed {
                "binary logs purged, volume grown"
            } else {
                ""
            },
            incident_severity: "Critical",
            incident_status: if closed { "Ok" } else { "Critical" },
            progress: match (closed, taken) {
                (true, _) => "Closed",
                (false, true) => "Processing",
                (false, false) => "Triggered",
            },
            created_at: started,
            updated_at: seconds,
            start_time: started,
            last_time: seconds,
            end_time: if closed { seconds } else { 0 },
            ack_time: if taken { seconds } else { 0 },
            close_time: if closed { seconds } else { 0 },
            snoozed_before: 0,
            labels: LABELS,
            fields: Fields {
                environment: "production",
                on_duty: ["dba", "orders"],
            },
            closer: closed.then_some(OPERATOR),
            responders: if assigned { vec![responder] } else { vec![] },
            alert_cnt: 3,
            channel_id: CHANNEL.0,
            channel_name: CHANNEL.1,
            group_method: "p",
            detail_url: format!(
                "https://console.flashcat.cloud/incident/detail/{}",
                moment.subject_id
            ),
        }
    }
}

#[derive(Serialize)]
struct Alert<'a> {
    alert_id: &'a str,
    data_source_id: i64,
    data_source_name: &'static str,
    data_source_type: &'static str,
    channel_id: i64,
    channel_name: &'static str,
    title: &'static str,
    title_rule: &'static str,
    description: String,
    alert_key: &'static str,
    alert_severity: &'static str,
    alert_status: &'static str,
    progress: &'static str,
    created_at: i64,
    updated_at: i64,
    start_time: i64,
    last_time: i64,
    end_time: i64,
    close_time: i64,
    labels: Labels,
    event_cnt: u32,
}

impl<'a> Alert<'a> {
    fn at(moment: &Moment<'a>) -> Self {
        let seconds = moment.event_time / 1000;
        let started = seconds - 60;
        let closed = moment.event_type == "a_close";
        let description = format!(
            "node_filesystem_avail_bytes below 8% for 5 minutes{}",
            moment.padding
        );
        Self {
            alert_id: moment.subject_id,
            data_source_id: 2_398_086_111_131,
            data_source_name: "Prometheus, production",
            data_source_type: "prometheus",
            channel_id: CHANNEL.0,
            channel_name: CHANNEL.1,
            title: TITLE,
            title_rule: "$alertname / $service / $resource",
            description,
            alert_key: "7dc02f9ca1f0a2f3f2d5b1c1a6a3c9be",
            alert_severity: "Critical",
            alert_status: if closed { "Ok" } else { "Critical" },
            progress: if closed { "Closed" } else { "Triggered" },
            created_at: started,
            updated_at: seconds,
            start_time: started,
            last_time: seconds,
            end_time: if closed { seconds } else { 0 },
            close_time: if closed { seconds } else { 0 },
            labels: LABELS,
            event_cnt: 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(event_type: &str) -> Moment<'_> {
        Moment {
            event_type,
            event_id: "0123456789abcdef0123456789abcdef",
            event_time: 1_760_000_000_123,
            subject_id: "664af00000000000000000aa",
            padding: "",
        }
    }

    #[test]
    fn an_incident_push_is_as_large_as_a_real_one() {
        let size = moment("i_ack").body().len();
        assert!((1300..1700).contains(&size), "{size} bytes");
    }

    #[test]
    fn a_custom_action_carries_its_event_id_inside_the_incident_only() {
        let body: serde_json::Value = serde_json::from_slice(&moment("i_custom").body()).unwrap();
        assert_eq!(body.get("event_id"), None);
        assert_eq!(
            body["incident"]["event_id"],
            "0123456789abcdef0123456789abcdef"
        );
        let body: serde_json::Value = serde_json::from_slice(&moment("i_ack").body()).unwrap();
        assert_eq!(body["event_id"], "0123456789abcdef0123456789abcdef");
        assert_eq!(body["incident"].get("event_id"), None);
    }

    #[test]
    fn alert_types_make_alert_pushes() {
        let body: serde_json::Value = serde_json::from_slice(&moment("a_close").body()).unwrap();
        assert_eq!(body["alert"]["alert_status"], "Ok");
        assert_eq!(body["alert"]["alert_id"], "664af00000000000000000aa");
        assert_eq!(body.get("incident"), None);
    }
}
