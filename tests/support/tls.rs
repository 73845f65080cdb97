//! Certificates for one test, and clients that present them.

use crate::harness::{Call, extension};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use serde_json::{Value, json};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The name of every gateway.
const GATEWAY: &str = "gateway.test";

/// A certificate with its key, both as PEM.
pub(crate) struct Certified {
    certificate: String,
    key: String,
}

/// Signs certificates.
pub(crate) struct Authority {
    own: Certified,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let own = Certified {
            certificate,
            key: key.serialize_pem(),
        };
        Self {
            own,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for these URIs.
    pub(crate) fn certify(&self, uris: &[&str]) -> Certified {
        let sans = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().expect("a URI")));
        self.sign(sans.collect())
    }

    fn sign(&self, sans: Vec<SanType>) -> Certified {
        let mut params = CertificateParams::default();
        params.subject_alt_names = sans;
        let key = KeyPair::generate().expect("a key");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("a certificate")
            .pem();
        Certified {
            certificate,
            key: key.serialize_pem(),
        }
    }

    /// A gateway's transport socket. With `verify`, it requires a certificate of this authority
    /// from every client; otherwise, it requests none.
    pub(crate) fn transport_socket(&self, verify: bool) -> Value {
        let own = self.sign(vec![SanType::DnsName(GATEWAY.try_into().expect("a name"))]);
        let inline = |text: &str| json!({ "inline_string": text });
        let mut common = json!({
            "tls_certificates": [
                { "certificate_chain": inline(&own.certificate), "private_key": inline(&own.key) },
            ],
        });
        if verify {
            common["validation_context"] = json!({ "trusted_ca": inline(&self.own.certificate) });
        }
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": extension("transport_sockets.tls.v3.DownstreamTlsContext"),
                "common_tls_context": common,
                "require_client_certificate": verify,
            },
        })
    }

    /// A client of the gateway at `address`, which presents a certificate or none.
    pub(crate) fn client(&self, address: SocketAddr, presented: Option<&Certified>) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.own)).expect("the authority");
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match presented {
            Some(own) => config
                .with_client_auth_cert(
                    vec![certificate(own)],
                    PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key"),
                )
                .expect("a key that fits"),
            None => config.with_no_client_auth(),
        };
        TlsClient {
            address,
            config: Arc::new(config),
        }
    }
}

fn certificate(certified: &Certified) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certified.certificate.as_bytes()).expect("a certificate")
}

/// A client over TLS, with a connection for each request.
pub(crate) struct TlsClient {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl TlsClient {
    pub(crate) async fn send(&self, call: Call) -> Result<u16, Box<dyn Error>> {
        let stream = TcpStream::connect(self.address).await?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector
            .connect(ServerName::try_from(GATEWAY)?, stream)
            .await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = call.request(GATEWAY);
        *request.uri_mut() = request
            .uri()
            .path_and_query()
            .expect("a path")
            .as_str()
            .parse()?;
        request.headers_mut().insert("host", GATEWAY.parse()?);
        let status = sender.send_request(request).await?.status().as_u16();
        connection.abort();
        Ok(status)
    }

    /// The statuses of `count` equal calls, one after another.
    pub(crate) async fn statuses(&self, call: &Call, count: usize) -> Vec<u16> {
        let mut statuses = Vec::with_capacity(count);
        for _ in 0..count {
            statuses.push(self.send(call.clone()).await.expect("an answer"));
        }
        statuses
    }
}
