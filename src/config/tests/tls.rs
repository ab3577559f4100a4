//! Certificates are read with the configuration, and what is wrong with them is told like the rest.

use jiff::Timestamp;

use super::*;

const NAMED: &str =
    "[server.tls]\ncert = \"tls/own.pem\"\nkey = \"tls/own.key\"\n[admin.tls]\ncert = \"\"\n";

/// A place whose configuration names files, and a certificate with its key in them that is valid
/// from 2026 to 2027.
fn place() -> Place {
    let place = Place::with_file(NAMED);
    put(&place, "localhost");
    place
}

/// Puts another certificate into the files.
fn put(place: &Place, name: &str) {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    place.write("tls/own.pem", &params.self_signed(&key).unwrap().pem());
    place.write("tls/own.key", &key.serialize_pem());
}

#[test]
fn a_listener_speaks_tls_once_certificate_and_key_are_named() {
    let place = place();
    let loaded = place.load().unwrap();
    assert!(loaded.settings.server.tls.is_on());
    assert!(!loaded.settings.admin.tls.is_on());
    let identity = loaded.identities.server.unwrap();
    assert_eq!(identity.certificate().name, "localhost");
    assert!(loaded.identities.admin.is_none());
    let watched: Vec<_> = loaded.watched.paths().map(Path::to_owned).collect();
    for file in ["tls/own.pem", "tls/own.key"] {
        assert!(watched.contains(&place.path().join(file)), "{watched:?}");
    }
    let shown = describe(&loaded.settings);
    assert!(shown.contains("key = \"tls/own.key\""), "{shown}");
    assert!(!shown.contains("[admin.tls]"), "{shown}");
}

#[test]
fn files_that_are_not_there_or_do_not_fit_are_named_with_line_and_key() {
    let place = place();
    let one = fs::read_to_string(place.path().join("tls/own.key")).unwrap();
    put(&place, "localhost");
    place.write("tls/own.key", &one);
    insta::assert_snapshot!(place.problems(), @r#"config.toml:3: server.tls.key = "tls/own.key": does not belong to the certificate: name the two that were made together; allowed: the path of a file with the certificate's key in PEM, without a passphrase, or "" for none"#);
    fs::remove_file(place.path().join("tls/own.pem")).unwrap();
    insta::assert_snapshot!(place.problems(), @r#"config.toml:2: server.tls.cert = "tls/own.pem": leads to tls/own.pem, which cannot be read: No such file or directory (os error 2); allowed: the path of a file with the certificate in PEM, followed by those of who signed it, or "" for plain HTTP"#);
}

#[test]
fn one_file_without_the_other_is_refused() {
    let alone = "[admin.tls]\nclient_ca = \"authority.pem\"\n";
    let problems = Place::with_file(alone).problems();
    insta::assert_snapshot!(problems, @r#"config.toml:1: admin.tls.cert: is not set, and what else is set of tls is of no use without it; allowed: the path of a file with the certificate in PEM, followed by those of who signed it, or "" for plain HTTP"#);
    let alone = "[server.tls]\ncert = \"own.pem\"\n";
    let problems = Place::with_file(alone).problems();
    insta::assert_snapshot!(problems, @r#"config.toml:1: server.tls.key: is not set, and what else is set of tls is of no use without it; allowed: the path of a file with the certificate's key in PEM, without a passphrase, or "" for none"#);
}

#[test]
fn people_are_told_of_a_certificate_that_expires_within_two_weeks() {
    let identities = place().load().unwrap().identities;
    let at = |time: &str| identities.warnings(time.parse::<Timestamp>().unwrap());
    assert_eq!(at("2026-12-18T00:00:00Z"), [""; 0]);
    insta::assert_snapshot!(at("2026-12-18T00:00:01Z").join("\n"), @"server.tls.cert (localhost) expires at 2027-01-01T00:00:00Z, in 13 days: renew it; the new file is taken without a restart");
    insta::assert_snapshot!(at("2026-12-31T12:00:00Z").join("\n"), @"server.tls.cert (localhost) expires at 2027-01-01T00:00:00Z, in 12 hours: renew it; the new file is taken without a restart");
    insta::assert_snapshot!(at("2027-01-01T00:00:00Z").join("\n"), @"server.tls.cert (localhost) expired at 2027-01-01T00:00:00Z, and clients refuse it: renew it; the new file is taken without a restart");
    insta::assert_snapshot!(at("2025-12-31T00:00:00Z").join("\n"), @"server.tls.cert (localhost) is not valid before 2026-01-01T00:00:00Z, and clients refuse it until then: is the clock right?");
}

#[test]
fn tls_is_turned_on_and_off_by_a_restart_and_other_files_are_taken_over() {
    let place = place();
    let running = place.load().unwrap().settings;
    place.write("config.toml", "");
    let off = merge_reload(&running, place.load().unwrap().settings);
    assert_eq!(off.kept, ["server.tls"]);
    assert_eq!(off.settings.server.tls, running.server.tls);
    place.write("config.toml", &NAMED.replace("tls/own", "tls/../tls/own"));
    let moved = merge_reload(&running, place.load().unwrap().settings);
    assert_eq!(moved.kept, [""; 0]);
    assert_ne!(moved.settings.server.tls, running.server.tls);
}

#[test]
fn a_collectors_authorities_are_read_and_watched_like_them() {
    let place = Place::with_file("[otlp]\nca_file = \"tls/own.pem\"\n");
    insta::assert_snapshot!(place.problems(), @r#"config.toml:2: otlp.ca_file = "tls/own.pem": leads to tls/own.pem, which cannot be read: No such file or directory (os error 2); allowed: the path of a file with certificates in PEM, or "" for none"#);
    put(&place, "localhost");
    let loaded = place.load().unwrap();
    let file = place.path().join("tls/own.pem");
    assert!(loaded.watched.paths().any(|path| path == file));
    let read = loaded.settings.otlp.ca_file.unwrap();
    assert_eq!(read.text(), fs::read_to_string(&file).unwrap());
}
