//! The files for Docker Compose agree with each other and with the binary.

use std::path::Path;

use serde_json::{Value, json};

use crate::deploy::{key, port_of, seconds, secrets, toml, yaml};
use crate::tidy::{ROOT, read};

#[test]
fn compose_has_the_ports_and_files_of_the_binary_and_time_for_the_drain() {
    let compose = &yaml("deploy/compose.yaml")[0];
    let (defaults, image) = (
        toml("config/default.toml"),
        toml("deploy/image/default.toml"),
    );
    let receiver = &compose["services"]["receiver"];
    let public = port_of(key(&defaults, "server", "listen"));
    let admin = port_of(key(&image, "admin", "listen"));
    let ports = json!([
        format!("{public}:{public}"),
        format!("127.0.0.1:{admin}:{admin}")
    ]);
    assert_eq!(receiver["ports"], ports);
    let drains = seconds(key(&image, "server", "drain_delay"))
        + seconds(key(&defaults, "server", "drain_timeout"));
    assert!(seconds(receiver["stop_grace_period"].as_str().unwrap()) > drains);
    // Folders, so that what is changed, replaced or added in them is seen.
    let mounts = json!([
        "inbox:/data",
        "./compose/config:/etc/flashduty-receiver:ro",
        "./compose/secrets:/run/secrets:ro",
    ]);
    assert_eq!(receiver["volumes"], mounts);
    for file in secrets("deploy/compose/config/config.toml") {
        assert_eq!(Path::new(&file).parent(), Some(Path::new("/run/secrets")));
    }
    let commands = read("deploy/compose.yaml");
    for name in ["push-token", "admin-token"] {
        assert!(commands.contains(&format!("> compose/secrets/{name}\n")));
    }
    assert!(
        Path::new(ROOT)
            .join("deploy")
            .join(receiver["build"].as_str().unwrap())
            .join("Dockerfile")
            .exists()
    );
}

#[test]
fn lines_are_collected_of_every_receiver_that_compose_starts_and_of_nothing_else() {
    let alloy = read("deploy/log/alloy.alloy");
    let (_, behind) = alloy.split_once("regex         = \"").unwrap();
    let (pattern, _) = behind.split_once('"').unwrap();
    // It must match all of the service's name.
    let whole = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
    for file in ["deploy/compose.yaml", "deploy/compose.postgres.yaml"] {
        let compose = &yaml(file)[0];
        for (name, service) in compose["services"].as_object().unwrap() {
            let is_receiver = service["image"] == "flashduty-receiver:latest";
            assert_eq!(whole.is_match(name), is_receiver, "{file}: {name}");
        }
    }
}

/// The containers' paths of a service, each with what is mounted there.
fn mounts(service: &Value) -> Vec<(&str, &str)> {
    let listed = service["volumes"].as_array().unwrap().iter();
    let parts = listed.map(|one| one.as_str().unwrap().trim_end_matches(":ro"));
    parts.map(|one| one.split_once(':').unwrap()).collect()
}

#[test]
fn the_pair_of_compose_has_a_spill_each_addresses_that_stay_and_the_password_of_its_database() {
    let compose = &yaml("deploy/compose.postgres.yaml")[0];
    let (defaults, image) = (
        toml("config/default.toml"),
        toml("deploy/image/default.toml"),
    );
    let path = "deploy/compose/config-postgres/config.toml";
    let own = toml(path);
    let services = &compose["services"];
    let address = |name: &str| services[name]["networks"]["inside"]["ipv4_address"].as_str();
    let (public, admin) = (
        port_of(key(&defaults, "server", "listen")),
        port_of(key(&image, "admin", "listen")),
    );
    let nginx = read("deploy/compose/nginx.conf");
    for (name, spill) in [("receiver-1", "spill-1"), ("receiver-2", "spill-2")] {
        let receiver = &services[name];
        let upstream = format!("server {}:{public} max_fails=0;", address(name).unwrap());
        assert!(nginx.contains(&upstream), "{upstream}");
        let mounted = mounts(receiver);
        assert_eq!(
            mounted,
            [
                (spill, "/data"),
                ("./compose/config-postgres", "/etc/flashduty-receiver"),
                ("./compose/secrets", "/run/secrets"),
            ]
        );
        assert!(compose["volumes"].get(spill).is_some());
        let ports = receiver["ports"][0].as_str().unwrap();
        assert!(ports.starts_with("127.0.0.1:") && ports.ends_with(&format!(":{admin}")));
        let drains = seconds(key(&own, "server", "drain_delay"))
            + seconds(key(&defaults, "server", "drain_timeout"));
        assert!(seconds(receiver["stop_grace_period"].as_str().unwrap()) > drains);
        assert_eq!(receiver["read_only"], true);
        assert_eq!(receiver["cap_drop"], json!(["ALL"]));
        let waits = &receiver["depends_on"]["database"]["condition"];
        assert_eq!(waits, "service_healthy");
    }
    assert_ne!(
        services["receiver-1"]["ports"],
        services["receiver-2"]["ports"]
    );
    let trusted = own["source"]["trusted_proxies"].as_array().unwrap();
    assert_eq!(trusted[0].as_str(), address("proxy"));
    assert!(
        mounts(&services["proxy"])
            .contains(&("./compose/nginx.conf", "/etc/nginx/conf.d/default.conf"))
    );

    let database = &services["database"];
    let told = &database["environment"];
    let text = |key: &str| told[key].as_str().unwrap();
    let url = format!(
        "postgres://{}@database:5432/{}?sslmode=disable",
        text("POSTGRES_USER"),
        text("POSTGRES_DB")
    );
    assert_eq!(key(&own, "store", "url"), url);
    let password = text("POSTGRES_PASSWORD_FILE");
    assert_eq!(key(&own, "store", "password"), format!("file:{password}"));
    assert!(mounts(database).contains(&("./compose/secrets/database-password", password)));
    assert_eq!(database["healthcheck"]["test"][1], "pg_isready");
    for file in secrets(path) {
        assert_eq!(Path::new(&file).parent(), Some(Path::new("/run/secrets")));
    }
    let commands = read("deploy/compose.postgres.yaml");
    for name in ["push-token", "admin-token", "database-password"] {
        assert!(commands.contains(&format!("> compose/secrets/{name}\n")));
    }
}
