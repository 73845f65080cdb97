//! A server that gives tokens for a registry to one user, as the large registries have.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use crate::harness::now;

const ISSUER: &str = "tokens.test";
const SERVICE: &str = "registry.test";

/// Listens until the test's process ends.
pub(crate) struct Tokens {
    address: SocketAddr,
    certificate: String,
}

impl Tokens {
    /// Starts the server for the user whose login is `user:password`.
    pub(crate) fn start(login: &'static str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default()
            .self_signed(&key)
            .expect("a certificate");
        let signer = Signer {
            key: key.serialize_der(),
            certificate: STANDARD.encode(certificate.der()),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(&stream, login, &signer);
            }
        });
        Self {
            address,
            certificate: certificate.pem(),
        }
    }

    /// The `auth` of a registry that trusts these tokens.
    pub(crate) fn auth(&self, directory: &Path) -> String {
        let file = directory.join("tokens.pem");
        fs::write(&file, &self.certificate).expect("a file");
        format!(
            "auth: {{ token: {{ realm: \"http://{}/token\", service: {SERVICE}, issuer: {ISSUER}, \
             rootcertbundle: {file:?} }} }}\n",
            self.address
        )
    }
}

struct Signer {
    key: Vec<u8>,
    certificate: String,
}

impl Signer {
    /// A token that allows to pull and to push this name.
    fn token(&self, name: &str) -> String {
        let head = json!({ "typ": "JWT", "alg": "ES256", "x5c": [self.certificate] });
        let seconds = now().as_secs();
        let access = json!([{ "type": "repository", "name": name, "actions": ["pull", "push"] }]);
        let claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": "ali", "jti": "1", "access": access,
            "iat": seconds, "nbf": seconds - 60, "exp": seconds + 600,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(&claims));
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.key, &random);
        let signature = key.expect("a key").sign(&random, signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.expect("a signature"));
        format!("{signed}.{signature}")
    }
}

/// Answers one request, with a token if it has the login and asks for a repository.
fn answer(mut stream: &TcpStream, login: &str, signer: &Signer) {
    let lines: Vec<String> = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let wanted = format!("authorization: basic {}", STANDARD.encode(login));
    let is_known = lines.iter().any(|line| line.eq_ignore_ascii_case(&wanted));
    let scope = lines.first().and_then(|line| {
        let scope = line.split_once("scope=repository%3A")?.1;
        Some(scope.split_once("%3Apull%2Cpush")?.0.replace("%2F", "/"))
    });
    let (status, body) = match scope.filter(|_| is_known) {
        Some(name) => ("200 OK", json!({ "token": signer.token(&name) })),
        None => ("401 Unauthorized", json!({ "details": "no login" })),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}",
        body.len()
    );
    // A client that has gone has no use for an answer.
    let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
}
