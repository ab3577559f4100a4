//! What is taken as a listener's certificate and key, and what is said of the rest.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::*;

/// A certificate and its key, in PEM.
struct Made {
    cert: String,
    key: String,
}

/// An authority, and one that it signed.
struct Chain {
    authority: Made,
    own: Made,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn chain() -> Chain {
    let mut of_authority = params("the authority");
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = of_authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(of_authority, &authority_key);
    let key = KeyPair::generate().unwrap();
    let own = params("the receiver").signed_by(&key, &issuer).unwrap();
    Chain {
        authority: Made {
            cert: authority.pem(),
            key: authority_key.serialize_pem(),
        },
        own: Made {
            cert: own.pem(),
            key: key.serialize_pem(),
        },
    }
}

fn identity(cert: &str, key: &str, client_ca: Option<&str>) -> Result<Identity, PemFault> {
    Identity::new(Pem {
        cert,
        key,
        client_ca,
    })
}

/// What is wrong.
fn fault(cert: &str, key: &str, client_ca: Option<&str>) -> String {
    identity(cert, key, client_ca).unwrap_err().to_string()
}

#[test]
fn a_certificate_with_its_key_and_with_who_signed_it_is_taken() {
    let Chain { authority, own } = chain();
    let alone = identity(&own.cert, &own.key, None).unwrap();
    assert_eq!(alone.certificate().name, "the receiver");
    assert!(!alone.wants_certificate());
    let whole = format!("{}{}", own.cert, authority.cert);
    let whole = identity(&whole, &own.key, Some(&authority.cert)).unwrap();
    assert!(whole.wants_certificate());
    assert_eq!(whole.der(), alone.der());
    assert!(!whole.is_same(&alone));
    assert!(whole.is_same(&whole.clone()));
    let shown = format!("{whole:?}");
    assert!(!shown.contains("PRIVATE"), "{shown}");
}

#[test]
fn what_cannot_be_used_is_told_with_what_to_do() {
    let Chain { authority, own } = chain();
    let swapped = fault(&own.key, &own.cert, None);
    insta::assert_snapshot!(swapped, @"cert holds no certificate, but a private key: are the files of certificate and key swapped?");
    insta::assert_snapshot!(fault("", &own.key, None), @"cert holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----");
    insta::assert_snapshot!(fault(&own.cert, &own.cert, None), @"key holds no private key, but a certificate: are the files of certificate and key swapped?");
    insta::assert_snapshot!(fault(&own.cert, "", None), @"key holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----, -----BEGIN EC PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----");
    insta::assert_snapshot!(fault(&own.cert, &authority.key, None), @"key does not belong to the certificate: name the two that were made together");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    insta::assert_snapshot!(fault(&own.cert, encrypted, None), @"key is encrypted, and nobody is there to type the passphrase: write it without one, with openssl pkey -in KEY -out NEW_KEY");
    let unknown = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    insta::assert_snapshot!(fault(&own.cert, unknown, None), @"key is of no kind that is used: RSA of 2048 to 4096 bits, ECDSA over P-256 or P-384, or Ed25519");
    insta::assert_snapshot!(fault(&own.cert, &own.key, Some("")), @"client_ca holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----");
    let cut = own.cert.replace("-----END CERTIFICATE-----", "");
    insta::assert_snapshot!(fault(&cut, &own.key, None), @"cert is cut off: a line -----END …----- is missing");
}

#[test]
fn a_chain_in_another_order_is_told_from_a_key_that_does_not_fit() {
    let Chain { authority, own } = chain();
    let turned = format!("{}{}", authority.cert, own.cert);
    insta::assert_snapshot!(fault(&turned, &own.key, None), @"cert is out of order: certificate 2 (the receiver) is not of who signed certificate 1 (the authority); first comes the receiver's own, then whoever signed it, and so on");
    // A certificate that signed itself may be followed by itself.
    let twice = format!("{}{}", authority.cert, authority.cert);
    assert!(identity(&twice, &authority.key, None).is_ok());
    let both = format!("{}{}", own.cert, authority.cert);
    insta::assert_snapshot!(fault(&both, &authority.key, None), @"cert does not begin with the certificate of the key: that one comes first, then whoever signed it");
    let foreign = chain();
    let mixed = format!("{}{}", authority.cert, foreign.own.cert);
    let said = fault(&mixed, &authority.key, None);
    assert!(said.starts_with("cert is out of order"), "{said}");
}
