//! A cache of callers: a request's caller follows from its identity inputs alone, so the same
//! inputs need not be evaluated twice.
//!
//! A caller is found by a hash of them under a key that no client knows, with 128 bits: a client
//! cannot invent inputs with the hash of another client's. Refused credentials are not cached.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::cookies::cookies;
use super::head::Request;
use super::identify::{AuthFailure, Caller, KeptValues, identify, is_asked};
use crate::base::id::LimitId;
use crate::base::property::Property;
use crate::base::time::Timestamp;
use crate::limit::Rule;
use crate::policy::Policy;
use crate::policy::callers::Source;
use crate::store::key::{Key, Secret};

/// The most callers that are remembered, and the most bytes that the values of one may take.
const CALLERS_MAX: usize = 16_384;
const VALUES_BYTES_MAX: usize = 512;

/// The most limits of which a caller's counters are remembered.
const COUNTERS_MAX: usize = 8;

/// The most bytes of a query that is looked at. Longer ones are seldom the same twice.
const QUERY_BYTES_MAX: usize = 256;

/// The recent callers of one worker, under one policy.
#[derive(Debug, Default)]
pub struct CallerCache {
    key: Secret,
    callers: HashMap<u128, CachedCaller, BuildHasherDefault<AsItIs>>,
}

/// A cached caller, with values derived from its attributes.
#[derive(Debug)]
pub struct CachedCaller {
    pub(super) values: KeptValues,
    /// The first instant at which one of its secrets is unknown.
    pub(super) until: Option<Timestamp>,
    /// The rule and the counter of each limit that the caller has met, by limit.
    counters: RefCell<Vec<(LimitId, Key, Rule)>>,
    /// The caller's part of the access log.
    log_text: OnceCell<Box<str>>,
    /// The values of the tags of its usage.
    usage_tags: OnceCell<Box<[u8]>>,
}

/// A hasher that returns its input, which is a hash already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    }
}

impl CachedCaller {
    /// Whether all its secrets are known still.
    fn is_valid(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// The counter of this limit, and its rule; `find` finds them the first time, if they follow
    /// from the caller alone.
    pub(super) fn counter(
        &self,
        limit: LimitId,
        find: impl FnOnce() -> Option<(Key, Rule)>,
    ) -> Option<(Key, Rule)> {
        let mut counters = self.counters.borrow_mut();
        if let Some((_, key, rule)) = counters.iter().find(|(known, ..)| *known == limit) {
            return Some((*key, *rule));
        }
        let (key, rule) = find()?;
        if counters.len() < COUNTERS_MAX {
            counters.push((limit, key, rule));
        }
        Some((key, rule))
    }

    /// The caller's part of the access log, which `write` makes the first time.
    pub fn log_text(&self, write: impl FnOnce() -> Box<str>) -> &str {
        self.log_text.get_or_init(write)
    }

    /// The values of the tags of the caller's usage, which `make` makes the first time.
    pub fn usage_tags(&self, make: impl FnOnce() -> Box<[u8]>) -> &[u8] {
        self.usage_tags.get_or_init(make)
    }
}

impl CallerCache {
    /// An empty cache. `key` is a secret of this proxy.
    #[must_use]
    pub fn new(key: &Secret) -> Self {
        Self {
            key: *key,
            callers: HashMap::default(),
        }
    }

    /// Identifies the caller of `request`, with the same result as [`identify`].
    ///
    /// # Errors
    /// As [`identify`].
    pub fn identify<'r>(
        &'r mut self,
        request: &'r Request,
        policy: &'r Policy,
    ) -> Result<Caller<'r>, AuthFailure> {
        let Some(identity_inputs) = self.identity_inputs(request, policy) else {
            return identify(request, policy);
        };
        if self.callers.len() >= CALLERS_MAX {
            // A caller that returns is soon found again.
            self.callers.clear();
        }
        match self.callers.entry(identity_inputs) {
            Entry::Occupied(known) if known.get().is_valid(request.now) => {
                Ok(Caller::recalled(known.into_mut()))
            }
            Entry::Occupied(ended) => {
                ended.remove();
                identify(request, policy)
            }
            Entry::Vacant(place) => {
                let caller = identify(request, policy)?;
                let (values, bytes) = caller.values();
                if bytes > VALUES_BYTES_MAX {
                    return Ok(caller);
                }
                let regular = CachedCaller {
                    values,
                    until: caller.until(),
                    counters: RefCell::default(),
                    log_text: OnceCell::new(),
                    usage_tags: OnceCell::new(),
                };
                Ok(Caller::recalled(place.insert(regular)))
            }
        }
    }

    /// The hash of all that identifies the caller of `request`; `None` if that is seldom the same
    /// twice.
    fn identity_inputs(&self, request: &Request, policy: &Policy) -> Option<u128> {
        let identity_inputs = &policy.callers.identity_inputs;
        let mut hasher = SipHasher13::new_with_key(&self.key);
        let mut add = |place: usize, bytes: &[u8]| {
            // The place and the length keep ("ab", "c") apart from ("a", "bc").
            hasher.write_usize(place);
            hasher.write_usize(bytes.len());
            hasher.write(bytes);
        };
        add(usize::from(is_asked(request, policy)), &[]);
        for (name, value) in request.headers.iter() {
            if let Some(place) = identity_inputs
                .headers
                .iter()
                .position(|known| known.as_bytes() == name)
            {
                add(place, value);
            }
        }
        for (place, name) in identity_inputs.cookies.iter().enumerate() {
            for value in cookies(request, name) {
                add(place, value);
            }
        }
        if identity_inputs.path {
            for (attribute, sources) in &policy.callers.sources {
                for source in sources {
                    let Source::Path(route) = source else {
                        continue;
                    };
                    let name = policy.attributes.name(*attribute);
                    match request
                        .readings()
                        .find_map(|reading| route.capture(name, reading.path))
                    {
                        Some(captured) => add(1, captured),
                        None => add(0, &[]),
                    }
                }
            }
        }
        if identity_inputs.query {
            let query = request.query();
            if query.len() > QUERY_BYTES_MAX {
                return None;
            }
            add(0, query);
        }
        for property in Property::ALL {
            if policy.callers.properties.contains(property) {
                add(property.index(), request.properties.of(property));
            }
        }
        Some(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host::headers::Headers;
    use crate::policy::document::from_yaml;

    const POLICY: &str = r#"
        version: 1
        name: demo
        callers:
          for: { routes: ["/v2/**"] }
          credentials:
            - { name: bearer, header: authorization, scheme: Bearer }
            - { name: api_key, header: x-api-key }
            - { name: param, query: key }
          directory:
            - { sha256: 2edfd8eebd74397de51dc8b25c2c6f174f58ac64bd1e804cb25f03e0f0e4e3f4,
                org: acme }
            - { sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b,
                until: 1970-01-02, org: globex }
          attributes:
            org: [{ directory: org }, { header: x-org, trusted: true }]
            region: [{ header: x-region, trusted: true }]
            stage: [{ path: "/v2/{stage}/**" }]
          unknown: anonymous
          absent: anonymous
        limits:
          - { name: all, per: [org], bucket: { burst: 1, refill: 1/s } }
    "#;

    fn policy() -> Policy {
        Policy::compile(&from_yaml(POLICY).unwrap()).unwrap()
    }

    fn seen(
        answer: Result<Caller<'_>, AuthFailure>,
        policy: &Policy,
    ) -> Result<Vec<Option<Vec<u8>>>, AuthFailure> {
        answer.map(|caller| {
            policy
                .attributes
                .iter()
                .map(|id| caller.value(id).map(<[u8]>::to_vec))
                .collect()
        })
    }

    fn text() -> impl Strategy<Value = String> {
        "[ab]{0,2}"
    }

    proptest! {
        #[test]
        fn whoever_comes_again_is_who_they_were(
            requests in prop::collection::vec(
                (
                    prop::sample::select(vec![
                        "/v2/a",
                        "/v2/a/b",
                        "/v2/b?key=a",
                        "/v2?key=b",
                        "/v2?key=a&key=b",
                        "/other",
                    ]),
                    prop::collection::vec(
                        (
                            prop::sample::select(vec![
                                "authorization",
                                "x-api-key",
                                "x-org",
                                "x-region",
                                "x-else",
                            ]),
                            text(),
                        ),
                        0..4,
                    ),
                ),
                1..40,
            ),
        ) {
            let policy = policy();
            let mut caller_cache = CallerCache::new(&[7; 16]);
            for (path, headers) in requests {
                let mut pairs = vec![(":path", path.as_bytes()), (":method", b"GET")];
                pairs.extend(
                    headers
                        .iter()
                        .map(|(name, value)| (*name, value.as_bytes())),
                );
                let mut request = Request {
                    headers: Headers::new(Headers::encode(&pairs)),
                    ..Request::default()
                };
                request.path.read(path.as_bytes());
                policy
                    .routes
                    .matches(b"GET", &request.path, &mut request.matches);
                let expected = seen(identify(&request, &policy), &policy);
                prop_assert_eq!(
                    &seen(caller_cache.identify(&request, &policy), &policy),
                    &expected
                );
                prop_assert_eq!(
                    &seen(caller_cache.identify(&request, &policy), &policy),
                    &expected
                );
            }
        }
    }

    #[test]
    fn a_caller_whose_secret_expires_is_forgotten() {
        let policy = policy();
        let org = policy.attributes.find("org").unwrap();
        let mut caller_cache = CallerCache::new(&[7; 16]);
        let mut request = Request {
            headers: Headers::new(Headers::encode(&[("x-api-key", b"secret")])),
            ..Request::default()
        };
        request.path.read(b"/v2/a");
        policy
            .routes
            .matches(b"GET", &request.path, &mut request.matches);
        let end: u64 = 2 * 86_400 * 1_000_000_000;
        for (now, expected) in [
            (0, Some(&b"globex"[..])),
            (end - 1, Some(b"globex")),
            (end, None),
            (end + 1, None),
        ] {
            request.now = Timestamp::from_nanos(now);
            let caller = caller_cache.identify(&request, &policy).unwrap();
            assert_eq!(caller.value(org), expected, "{now}");
        }
    }

    #[test]
    fn a_flood_of_callers_takes_no_more_room() {
        let policy = policy();
        let mut caller_cache = CallerCache::new(&[7; 16]);
        let mut request = Request::default();
        for number in 0..40_000 {
            request.headers = Headers::new(Headers::encode(&[(
                "x-api-key",
                number.to_string().as_bytes(),
            )]));
            assert!(caller_cache.identify(&request, &policy).is_ok());
            assert!(caller_cache.callers.len() <= CALLERS_MAX);
        }
        // A caller with long values is not cached.
        caller_cache.callers.clear();
        request.headers = Headers::new(Headers::encode(&[("x-org", &[b'a'; 2_000])]));
        assert!(caller_cache.identify(&request, &policy).is_ok());
        assert_eq!(caller_cache.callers.len(), 0);
    }
}
