//! Tunnels: a WebSocket over HTTP/1.1 or (RFC 8441) over HTTP/2, and CONNECT over either. They
//! carry plain bytes, not WebSocket frames.

use crate::harness::DEADLINE;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use hyper::{Method, Request};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// How a tunnel is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Upgrade,
    Connect,
    /// Extended CONNECT, RFC 8441.
    Http2Upgrade,
    Http2Connect,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [
        Self::Upgrade,
        Self::Connect,
        Self::Http2Upgrade,
        Self::Http2Connect,
    ];

    /// Whether its request has a path.
    pub(crate) const fn has_path(self) -> bool {
        matches!(self, Self::Upgrade | Self::Http2Upgrade)
    }

    /// The status that begins the tunnel.
    pub(crate) const fn begins_with(self) -> u16 {
        if matches!(self, Self::Upgrade) {
            101
        } else {
            200
        }
    }
}

/// A connection that requests a tunnel, and may become one.
pub(crate) struct Tunnel {
    feed: UnboundedSender<Bytes>,
    back: Back,
}

enum Back {
    Http1(OwnedReadHalf),
    Asked(ResponseFuture),
    Http2(RecvStream),
    Broken,
}

impl Tunnel {
    /// Requests a tunnel of this kind, at `path` if it has one, with these headers.
    pub(crate) async fn ask(
        address: SocketAddr,
        kind: Kind,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let (feed, fed) = unbounded_channel();
        let stream = TcpStream::connect(address)
            .await
            .expect("the gateway accepts");
        let back = match kind {
            Kind::Upgrade | Kind::Connect => ask_http1(stream, kind, path, headers, fed).await,
            Kind::Http2Upgrade | Kind::Http2Connect => {
                ask_http2(stream, kind, path, headers, fed).await
            }
        };
        Self { feed, back }
    }

    /// Sends bytes, whether or not there is a response.
    pub(crate) fn send(&self, bytes: usize) {
        let _ = self.feed.send(Bytes::from(vec![0x82; bytes]));
    }

    /// The status of the response; `None` if the connection ends without one.
    pub(crate) async fn status(&mut self) -> Option<u16> {
        timeout(DEADLINE, self.status_at_last())
            .await
            .expect("an answer in time")
    }

    async fn status_at_last(&mut self) -> Option<u16> {
        if let Back::Http1(stream) = &mut self.back {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.ok()?);
            }
            return str::from_utf8(head.get(9..12)?).ok()?.parse().ok();
        }
        let Back::Asked(answer) = std::mem::replace(&mut self.back, Back::Broken) else {
            return None;
        };
        let (head, body) = answer.await.ok()?.into_parts();
        self.back = Back::Http2(body);
        Some(head.status.as_u16())
    }

    /// The number of bytes returned: this many, or fewer if the tunnel ends before.
    pub(crate) async fn returned(&mut self, bytes: usize) -> usize {
        let mut came = 0;
        while came < bytes {
            match timeout(DEADLINE, self.next(bytes - came))
                .await
                .expect("more in time")
            {
                0 => break,
                more => came += more,
            }
        }
        came
    }

    /// The number of bytes returned next; 0 if the tunnel has ended.
    async fn next(&mut self, most: usize) -> usize {
        match &mut self.back {
            Back::Http1(stream) => {
                let mut bytes = vec![0; most];
                stream.read(&mut bytes).await.unwrap_or_default()
            }
            Back::Http2(body) => match body.data().await {
                Some(Ok(data)) => {
                    let _ = body.flow_control().release_capacity(data.len());
                    data.len()
                }
                Some(Err(_)) | None => 0,
            },
            Back::Asked(_) | Back::Broken => 0,
        }
    }
}

async fn ask_http1(
    stream: TcpStream,
    kind: Kind,
    path: &str,
    headers: &[(&str, &str)],
    mut fed: UnboundedReceiver<Bytes>,
) -> Back {
    let mut head = if kind == Kind::Upgrade {
        format!("GET {path} HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
    } else {
        "CONNECT e:443 HTTP/1.1\r\nHost: e:443\r\n".to_owned()
    };
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let (read, mut write) = stream.into_split();
    write.write_all(head.as_bytes()).await.expect("a head");
    tokio::spawn(async move {
        while let Some(bytes) = fed.recv().await {
            if write.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    Back::Http1(read)
}

async fn ask_http2(
    stream: TcpStream,
    kind: Kind,
    path: &str,
    headers: &[(&str, &str)],
    mut fed: UnboundedReceiver<Bytes>,
) -> Back {
    let (mut sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut request = Request::builder().method(Method::CONNECT);
    request = if kind == Kind::Http2Upgrade {
        request
            .uri(format!("http://e{path}"))
            .extension(Protocol::from_static("websocket"))
    } else {
        request.uri("e:443")
    };
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("a request");
    let (answer, mut sending) = sender.send_request(request, false).expect("a stream");
    tokio::spawn(async move {
        // The connection lives as long as it is needed.
        let _sender = sender;
        while let Some(bytes) = fed.recv().await {
            if sending.send_data(bytes, false).is_err() {
                break;
            }
        }
    });
    Back::Asked(answer)
}
