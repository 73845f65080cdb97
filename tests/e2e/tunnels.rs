//! Tunnels of all kinds through a real Envoy, before they begin and after.

use crate::harness::{
    Call, Kind, Policy, Setup, TestBed, Tunnel, connection_manager, eventually, routes,
};
use serde_json::json;

/// A policy whose payload limits are smaller than the bytes of each tunnel. Bytes of bodies are
/// counted.
fn policy() -> Policy {
    let limits = json!([
        { "name": "held", "for": { "routes": ["/yes/held"] }, "json": { "depth": 9 },
          "bytes": "1KB", "hold": true },
        { "name": "json", "for": { "routes": ["/yes/json"] }, "json": { "depth": 9 } },
        { "name": "bytes", "bytes": "100KB", "hold": true },
    ]);
    let calendar = json!({ "quota": 1_000_000_000, "window": "1d" });
    Policy::measuring(limits).with(
        "/limits/-",
        json!({ "name": "measured", "per": [], "calendar": calendar,
                "cost": { "bytes": "request" } }),
    )
}

/// With an upstream that uses HTTP/1.1, or HTTP/2.
fn setup(http2: bool) -> Setup {
    let setup = Setup::of(&policy()).edited(|listeners, _| {
        let manager = connection_manager(listeners);
        manager["upgrade_configs"] =
            json!([{ "upgrade_type": "websocket" }, { "upgrade_type": "CONNECT" }]);
        manager["http2_protocol_options"]["allow_connect"] = json!(true);
        let connect = json!({
            "match": { "connect_matcher": {} },
            "route": { "cluster": "upstream", "timeout": "0s" },
        });
        routes(listeners).insert(0, connect);
    });
    if http2 { setup.with_http2() } else { setup }
}

pub(crate) async fn a_tunnel_has_no_payload_limit(bed: &TestBed) {
    for http2 in [false, true] {
        let gateway = bed.open_with(setup(http2)).await;
        for kind in Kind::ALL {
            let paths: &[&str] = if kind.has_path() {
                &["/yes", "/yes/json", "/yes/held"]
            } else {
                &[""]
            };
            for path in paths {
                let mut tunnel =
                    Tunnel::ask(gateway.address, kind, path, &[("x-answer-upgrade", "1")]).await;
                assert_eq!(
                    tunnel.status().await,
                    Some(kind.begins_with()),
                    "{kind:?} {path}"
                );
                tunnel.send(300_000);
                assert_eq!(tunnel.returned(300_000).await, 300_000, "{kind:?} {path}");
            }
        }
        assert_eq!(
            gateway
                .admin
                .metric("sluicegate_payloads_refused_total", &[])
                .await,
            0
        );
        let measured = [("limit", "measured")];
        assert_eq!(
            gateway
                .admin
                .metric("sluicegate_units_total", &measured)
                .await,
            0,
            "it costs nothing"
        );
        assert_eq!(
            gateway.admin.metric("sluicegate_faults_total", &[]).await,
            0
        );
    }
}

/// Bytes before the response are a body: a head that requests a tunnel does not bypass its limit.
pub(crate) async fn bytes_before_a_tunnel_begins_are_limited(bed: &TestBed) {
    for http2 in [false, true] {
        let gateway = bed.open_with(setup(http2)).await;
        let held = [("x-answer-upgrade", "1"), ("x-answer-held", "1")];
        for kind in Kind::ALL {
            let path = if kind.has_path() { "/yes" } else { "" };
            let mut tunnel = Tunnel::ask(gateway.address, kind, path, &held).await;
            tunnel.send(90_000);
            eventually("it is asked for", async || {
                (gateway.upstream.in_flight(path) == 1).then_some(())
            })
            .await;
            gateway.upstream.let_go(1);
            assert_eq!(tunnel.status().await, Some(kind.begins_with()), "{kind:?}");
            tunnel.send(300_000);
            assert_eq!(tunnel.returned(390_000).await, 390_000, "{kind:?}");
        }
        for kind in Kind::ALL {
            let path = if kind.has_path() { "/yes" } else { "" };
            let mut tunnel = Tunnel::ask(gateway.address, kind, path, &held).await;
            tunnel.send(100_001);
            assert_eq!(tunnel.status().await, Some(413), "{kind:?}");
        }
        let refused = [("limit", "bytes"), ("reason", "bytes")];
        assert_eq!(
            gateway
                .admin
                .metric("sluicegate_payloads_refused_total", &refused)
                .await,
            4
        );
        // A head that requests a tunnel and does not get one.
        for kind in [Kind::Upgrade, Kind::Http2Upgrade] {
            let mut tunnel =
                Tunnel::ask(gateway.address, kind, "/no", &[("x-answer-early", "1")]).await;
            tunnel.send(300_000);
            let status = tunnel.status().await;
            assert!(
                tunnel.returned(300_000).await < 300_000,
                "{kind:?}: {status:?}"
            );
        }
        assert_eq!(gateway.upstream.arrived("/no", 100_001), 0);
        assert_eq!(gateway.client().send(Call::get("/after")).await.status, 200);
        assert_eq!(
            gateway.admin.metric("sluicegate_faults_total", &[]).await,
            0
        );
    }
}
