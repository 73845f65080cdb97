//! Attributes from the sources that Envoy supplies: metadata, addresses, certificates, headers
//! (D05, EV1).

use super::identity::unauthorized;
use super::spend;
use crate::harness::{
    Authority, Call, Client, Gateway, Policy, Setup, TestBed, connection_manager, eventually,
    extension, filter_chain, raw, route,
};
use serde_json::{Value, json};

/// Waits until the log contains all of `parts`.
async fn logged(gateway: &Gateway, parts: &[&str]) {
    eventually("the line is in the log", async || {
        parts
            .iter()
            .all(|part| gateway.log().contains(part))
            .then_some(())
    })
    .await;
}

/// A policy with one attribute that has these sources.
fn attribute(sources: Value) -> Policy {
    Policy::named("attributes").with("/callers/attributes/it", sources)
}

pub(crate) async fn the_answer_of_an_authorization_service_is_an_attribute(bed: &TestBed) {
    let policy = attribute(json!([{ "metadata": ["envoy.filters.http.ext_authz", "x-auth-org"] }]));
    let filters = json!([{
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": extension("filters.http.ext_authz.v3.ExtAuthz"),
            "transport_api_version": "V3",
            "http_service": {
                "server_uri": { "uri": "http://upstream", "cluster": "upstream", "timeout": "5s" },
                "path_prefix": "/authorize",
                // Here the upstream plays the part of the service: it answers as the request asks.
                "authorization_request": {
                    "allowed_headers": { "patterns": [{ "exact": "x-answer-header" }] },
                },
                "authorization_response": {
                    "dynamic_metadata_from_headers": { "patterns": [{ "exact": "x-auth-org" }] },
                },
            },
        },
    }]);
    let gateway = bed.open_with(Setup::of(&policy).behind(filters)).await;
    let client = gateway.client();
    let of = |org: &str| Call::get("/things").answered_with("x-auth-org", org);
    for org in ["alpha", "beta"] {
        let (admitted, _) = spend(&client, &of(org)).await;
        assert_eq!(admitted, 3, "{org}");
    }
    assert!(
        gateway.upstream.count("/authorize/things") >= 8,
        "the service was asked"
    );
    let own = Call::get("/things").header("x-auth-org", "gamma");
    assert_eq!(
        client.statuses(&own, 4).await,
        [200, 200, 200, 429],
        "the client's own header is ignored"
    );
    assert_eq!(
        client.send(own.header("x-auth-org", "delta")).await.status,
        429
    );
}

pub(crate) async fn metadata_of_the_configuration_is_an_attribute(bed: &TestBed) {
    let sources =
        json!([{ "route_metadata": ["shop", "plans", "1"] }, { "node_metadata": "region" }]);
    let policy = attribute(sources)
        .with("/limits/0/for", json!({ "it": "eu" }))
        .with(
            "/limits/-",
            json!({ "name": "gold", "for": { "it": "7" }, "per": [],
                "bucket": { "burst": 1, "refill": "1/h" } }),
        );
    let setup = Setup::of(&policy).with_node_metadata("region=eu");
    let setup = setup.edited(|listeners, _| {
        let mut gold = route(listeners).clone();
        gold["match"] = json!({ "prefix": "/gold" });
        gold["metadata"] = json!({ "filter_metadata": { "shop": { "plans": ["silver", 7] } } });
        let host = &mut connection_manager(listeners)["route_config"]["virtual_hosts"][0];
        host["routes"]
            .as_array_mut()
            .expect("routes")
            .insert(0, gold);
    });
    let gateway = bed.open_with(setup).await;
    let client = gateway.client();
    assert_eq!(client.statuses(&Call::get("/gold/1"), 2).await, [200, 429]);
    assert_eq!(
        client.statuses(&Call::get("/"), 4).await,
        [200, 200, 200, 429],
        "another route: the node's region"
    );
    logged(&gateway, &["it=eu", "it=7"]).await;
}

pub(crate) async fn a_clients_address_is_the_one_that_envoy_determines(bed: &TestBed) {
    let policy = attribute(json!([{ "client_address": {} }]));
    let from = |address: &str| {
        Call::get("/")
            .header("x-forwarded-for", address)
            .header("x-real-ip", address)
    };
    // By default no proxy in front is trusted: the client's headers change nothing.
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let mut statuses = Vec::new();
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "nonsense", ""] {
        statuses.push(client.send(from(address)).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);

    // With one trusted proxy in front, it is the address that this proxy saw: the last one.
    let trusting = Setup::of(&policy).edited(|listeners, _| {
        connection_manager(listeners)["xff_num_trusted_hops"] = json!(1);
    });
    let gateway = bed.open_with(trusting).await;
    let client = gateway.client();
    let spent = async |addresses: &[&str]| {
        let mut statuses = Vec::new();
        for address in addresses {
            statuses.push(client.send(from(address)).await.status);
        }
        statuses
    };
    let forged = [
        "192.0.2.7",
        "10.0.0.1, 192.0.2.7",
        "192.0.2.8, 192.0.2.7",
        "203.0.113.1,192.0.2.7",
    ];
    assert_eq!(spent(&forged).await, [200, 200, 200, 429]);
    assert_eq!(spent(&["192.0.2.8"]).await, [200], "another address");
    let network = [
        "2001:db8:0:1::1",
        "2001:db8:0:1:ffff::2",
        "2001:DB8:0:1::3",
        "2001:db8:0:1:1:2:3:4",
    ];
    assert_eq!(
        spent(&network).await,
        [200, 200, 200, 429],
        "one client has all of a /64"
    );
    assert_eq!(spent(&["2001:db8:0:2::1"]).await, [200], "another /64");
    assert_eq!(
        spent(&["::ffff:192.0.2.7"]).await,
        [429],
        "the IPv4 address in IPv6 form"
    );
}

pub(crate) async fn a_client_is_known_by_its_certificate(bed: &TestBed) {
    let policy = attribute(json!([{ "client_certificate": "uri_san" }]));
    let (authority, other) = (Authority::new(), Authority::new());
    let socket = authority.transport_socket(true);
    let setup = Setup::of(&policy)
        .edited(move |listeners, _| filter_chain(listeners)["transport_socket"] = socket.clone());
    let gateway = bed.open_with(setup).await;
    let call = Call::get("/");
    let client = |certified| authority.client(gateway.address, certified);
    let [billing, renewed] =
        [(); 2].map(|()| authority.certify(&["spiffe://test/billing", "spiffe://test/second"]));
    let search = authority.certify(&["spiffe://test/search"]);
    assert_eq!(client(Some(&billing)).statuses(&call, 2).await, [200; 2]);
    assert_eq!(
        client(Some(&renewed)).statuses(&call, 2).await,
        [200, 429],
        "a new certificate, the same service"
    );
    assert_eq!(
        client(Some(&search)).send(call.clone()).await.ok(),
        Some(200)
    );
    for (name, certified) in [
        ("none", None),
        (
            "another authority's",
            Some(&other.certify(&["spiffe://test/search"])),
        ),
    ] {
        assert!(
            client(certified).send(call.clone()).await.is_err(),
            "{name}"
        );
    }
    assert_eq!(gateway.upstream.count("/"), 4);
}

/// A gateway that verifies no certificates requests none, so a client's certificate does not count.
pub(crate) async fn an_unrequested_certificate_is_ignored(bed: &TestBed) {
    let policy =
        attribute(json!([{ "client_certificate": "uri_san" }, { "client_certificate": "sha256" }]));
    let authority = Authority::new();
    let socket = authority.transport_socket(false);
    let setup = Setup::of(&policy)
        .edited(move |listeners, _| filter_chain(listeners)["transport_socket"] = socket.clone());
    let gateway = bed.open_with(setup).await;
    let mut statuses = Vec::new();
    for name in [
        "spiffe://test/a",
        "spiffe://test/b",
        "spiffe://test/c",
        "spiffe://test/d",
    ] {
        let certified = authority.certify(&[name]);
        statuses.extend(
            authority
                .client(gateway.address, Some(&certified))
                .statuses(&Call::get("/"), 1)
                .await,
        );
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    logged(&gateway, &["it=-"]).await;
}

pub(crate) async fn a_trusted_header_is_read_as_received(bed: &TestBed) {
    let policy = attribute(json!([{ "header": "X-Org", "trusted": true }]));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    for org in ["alpha", "beta"] {
        let (admitted, _) = spend(&client, &Call::get("/").header("x-org", org)).await;
        assert_eq!(admitted, 3, "{org}");
    }
    // A filter before ours sets it, overwriting the client's. A route would set it too late.
    let header = json!({ "key": "x-org", "value": "ours" });
    let append = json!({ "header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD" });
    let filter = json!([{
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": extension("filters.http.header_mutation.v3.HeaderMutation"),
            "mutations": { "request_mutations": [{ "append": append }] },
        },
    }]);
    let by_route = move |listeners: &mut Value, _: &Policy| {
        route(listeners)["request_headers_to_add"] = json!([append]);
    };
    for (setup, last) in [
        (Setup::of(&policy).behind(filter), 429),
        (Setup::of(&policy).edited(by_route), 200),
    ] {
        let gateway = bed.open_with(setup).await;
        let client = gateway.client();
        let mut statuses = Vec::new();
        for org in ["a", "b", "c", "d"] {
            statuses.push(
                client
                    .send(Call::get("/").header("x-org", org))
                    .await
                    .status,
            );
        }
        assert_eq!(statuses, [200, 200, 200, last]);
    }
}

pub(crate) async fn duplicates_are_refused_where_callers_are_identified(bed: &TestBed) {
    let policy = attribute(json!([{ "header": "x-org", "trusted": true }, { "query": "org" }]));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    // Decoded, and the same in each spelling.
    let spellings = [
        "/?org=a%20b",
        "/?x=1&org=a+b",
        "/asked?org=%61%20b",
        "/?%6frg=a%20%62",
    ];
    let mut statuses = Vec::new();
    for path in spellings {
        statuses.push(client.send(Call::get(path)).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    for call in [
        Call::get("/asked?org=a&org=b"),
        Call::get("/asked?org=a&org=a"),
        Call::get("/asked")
            .header("x-org", "a")
            .header("x-org", "a"),
    ] {
        let before = unauthorized(&gateway, "ambiguous").await;
        assert_eq!(client.send(call).await.status, 401);
        assert_eq!(unauthorized(&gateway, "ambiguous").await, before + 1);
    }
    assert_eq!(
        client.send(Call::get("/?org=a&org=b")).await.status,
        200,
        "no 401 outside of these routes"
    );
    // Bytes that are not UTF-8 are a value like any other.
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nx-org: \xff\xfe\r\nconnection: close\r\n\r\n";
    assert!(
        raw(gateway.address, request, false)
            .await
            .starts_with(b"HTTP/1.1 200")
    );
    assert_eq!(gateway.admin.stat("vm_reload").await, 0);
}

pub(crate) async fn a_label_of_the_host_is_an_attribute(bed: &TestBed) {
    let policy = attribute(json!([{ "host": "{it}.Shop.example" }]));
    let gateway = bed.open(&policy).await;
    let client = gateway.client();
    let to = |host: &str| Call::get("/").header("host", host);
    for host in [
        "acme.shop.example",
        "Acme.SHOP.example:8080",
        "acme.shop.example.",
    ] {
        assert_eq!(client.send(to(host)).await.status, 200, "{host}");
    }
    assert_eq!(client.send(to("acme.shop.example")).await.status, 429);
    assert_eq!(client.send(to("globex.shop.example")).await.status, 200);
    // None of these matches, so they share the counter of callers without the attribute.
    for host in ["shop.example", "a.b.shop.example", "acme.shop.example.org"] {
        assert_eq!(client.send(to(host)).await.status, 200, "{host}");
    }
    assert_eq!(client.send(to("else.example")).await.status, 429);
    logged(&gateway, &["it=acme", "it=globex", "it=-"]).await;
}

pub(crate) async fn the_host_of_a_request_is_an_attribute(bed: &TestBed) {
    let gateway = bed.open(&attribute(json!([{ "host": true }]))).await;
    let client = gateway.client();
    let statuses = async |hosts: &[&str]| {
        let mut statuses = Vec::new();
        for host in hosts {
            statuses.push(
                client
                    .send(Call::get("/").header("host", host))
                    .await
                    .status,
            );
        }
        statuses
    };
    let one = [
        "shop.example",
        "SHOP.Example:8080",
        "shop.example.",
        "shop.example.:80",
    ];
    assert_eq!(
        statuses(&one).await,
        [200, 200, 200, 429],
        "one host in four spellings"
    );
    assert_eq!(
        statuses(&["other.example", "[2001:DB8::1]:80", "[2001:db8:0::1]"]).await,
        [200; 3]
    );
    let over_http2 = Client::http2(gateway.address);
    let own = gateway.address.ip().to_string();
    assert_eq!(
        over_http2.statuses(&Call::get("/"), 4).await,
        [200, 200, 200, 429],
        "the authority of HTTP/2"
    );
    assert_eq!(statuses(&[&own]).await, [429], "the same over HTTP/1.1");
    logged(
        &gateway,
        &["it=shop.example", "it=[2001:db8::1]", &format!("it={own}")],
    )
    .await;
}
