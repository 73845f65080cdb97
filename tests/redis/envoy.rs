//! Two Envoys on one Redis with TLS and a user, by the configuration that `render` writes.

use crate::server::RIGHTS;
use crate::support::{Redis, free_address};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const POLICY: &str = "
version: 1
name: fleet
limits:
  - { name: all, per: [], scope: global, rolling: { quota: 10, window: 1h }, failure: deny }
store:
  engine:
    redis: counters
    timeout: 1s
    user: sluicegate
    password: { env: ENGINE_PASSWORD }
";

/// A gateway of its own process, which ends with the test.
struct Gateway {
    listen: SocketAddr,
    child: Child,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn required(name: &str) -> PathBuf {
    let path = std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: `make e2e`"));
    PathBuf::from(path)
}

/// The path of an authority's certificate, and flags of a Redis that has one of it.
fn certificates(folder: &Path) -> (PathBuf, Vec<String>) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Otherwise both certificates have one name, and look self-signed.
    let name = &mut authority.distinguished_name;
    name.push(DnType::CommonName, "authority");
    let key = KeyPair::generate().expect("a key");
    let root = authority.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(authority, key);
    let own_key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let own = own.signed_by(&own_key, &issuer).expect("a certificate");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let ca = write("ca.pem", root.pem());
    let users = format!("user sluicegate on >secret {RIGHTS}\nuser default off\n");
    let flags = [
        ("--tls-cert-file", write("own.pem", own.pem())),
        ("--tls-key-file", write("own.key", own_key.serialize_pem())),
        ("--tls-ca-cert-file", ca.clone()),
        ("--tls-auth-clients", "no".to_owned()),
        ("--aclfile", write("users.acl", users)),
    ];
    let flags = flags
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value]);
    (PathBuf::from(ca), flags.collect())
}

fn start(folder: &Path, engine: SocketAddr, ca: &Path) -> Gateway {
    let (listen, admin) = (free_address(), free_address());
    let policy = folder.join("policy.yaml");
    std::fs::write(&policy, POLICY).expect("a file");
    let rendered = Command::new(required("SLUICEGATE"))
        .args(["render", "envoy", "--upstream", "127.0.0.1:1", "--policy"])
        .arg(&policy)
        .args([
            "--listen",
            &listen.to_string(),
            "--admin",
            &admin.to_string(),
        ])
        .args(["--engine", &engine.to_string(), "--engine-tls"])
        .arg(ca)
        .arg("--wasm")
        .arg(required("SLUICEGATE_WASM"))
        .output()
        .expect("a program");
    assert!(
        rendered.status.success(),
        "{}",
        String::from_utf8_lossy(&rendered.stderr)
    );
    let bootstrap = folder.join(format!("{}.yaml", listen.port()));
    std::fs::write(&bootstrap, rendered.stdout).expect("a file");
    let child = Command::new(required("ENVOY"))
        .arg("-c")
        .arg(bootstrap)
        .args([
            "--disable-hot-restart",
            "--concurrency",
            "2",
            "--log-level",
            "error",
        ])
        .env("ENGINE_PASSWORD", "secret")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("an Envoy");
    let gateway = Gateway { listen, child };
    let begin = Instant::now();
    while status(admin, "/ready") != Some(200) {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "Envoy is not ready"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    gateway
}

/// The status of a response, if there is one.
fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    response.split(' ').nth(1)?.parse().ok()
}

#[test]
fn two_envoys_share_a_redis_with_tls_and_a_user() {
    let folder = tempfile::tempdir().expect("a directory");
    let (ca, flags) = certificates(folder.path());
    let redis = Redis::start_with_tls(&flags);
    let gateways = [(); 2].map(|()| start(folder.path(), redis.address, &ca));
    let mut admitted = 0;
    for turn in 0..30 {
        let status = status(gateways[turn % 2].listen, "/");
        // Behind the gateways there is no upstream.
        assert!(matches!(status, Some(429 | 503)), "{status:?}");
        admitted += u32::from(status == Some(503));
    }
    assert_eq!(admitted, 10, "over both, and none is lost");
}
