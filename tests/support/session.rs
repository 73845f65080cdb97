//! Sessions as an identity provider creates them: JWTs signed with a key of this test (RFC 7519,
//! ES256).

use crate::harness::extension;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// A Unix time long after every test.
pub(crate) const LATE: u64 = 4_102_444_800;

/// The shipped filter.
pub(crate) fn demo_filters() -> Value {
    serde_saphyr::from_str(SHIPPED).expect("YAML")
}

/// A JWT from the shipped file.
pub(crate) fn demo_jwt(name: &str) -> String {
    let line = SHIPPED
        .lines()
        .find_map(|line| line.strip_prefix(&format!("# {name}: ")));
    line.expect("a demo JWT").to_owned()
}

const SHIPPED: &str = include_str!("../../envoy/filters/session.yaml");

/// The claims of a session that is valid in every test; more may be added.
pub(crate) fn claims(sub: &str, org: &str) -> Value {
    json!({ "iss": "id.test", "aud": "gateway", "exp": LATE, "sub": sub, "org": org })
}

/// Signs sessions; each new issuer has its own key.
pub(crate) struct Issuer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let key =
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("the same key");
        Self { key, random }
    }

    /// The public key, as a provider publishes it (RFC 7517).
    fn key_set(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.key.public_key().as_ref();
        let (x, y) = (
            URL_SAFE_NO_PAD.encode(&point[1..33]),
            URL_SAFE_NO_PAD.encode(&point[33..]),
        );
        json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "key", "x": x, "y": y },
        ] })
    }

    /// Envoy's filter that verifies this issuer's JWTs in `header`, after `Bearer`.
    pub(crate) fn jwt_authn(&self, header: &str) -> Value {
        json!([{
            "name": "envoy.filters.http.jwt_authn",
            "typed_config": {
                "@type": extension("filters.http.jwt_authn.v3.JwtAuthentication"),
                "providers": { "session": {
                    "issuer": "id.test",
                    "audiences": ["gateway"],
                    "from_headers": [{ "name": header, "value_prefix": "Bearer " }],
                    "local_jwks": { "inline_string": self.key_set().to_string() },
                    "payload_in_metadata": "session",
                    "forward": true,
                } },
                "rules": [{
                    "match": { "prefix": "/" },
                    "requires": { "requires_any": { "requirements": [
                        { "provider_name": "session" },
                        { "allow_missing_or_failed": {} },
                    ] } },
                }],
            },
        }])
    }

    /// A JWT with exactly these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": "key" });
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self
            .key
            .sign(&self.random, signed.as_bytes())
            .expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
