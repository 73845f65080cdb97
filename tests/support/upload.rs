//! Requests with bodies in pieces, in each framing of HTTP.

use crate::harness::{Answer, Call, DEADLINE, now};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response, Uri, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::iter::Peekable;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// HTTP/1.1 with a length in the head.
    Length,
    /// HTTP/1.1 in chunks.
    Chunked,
    /// HTTP/2 without a length.
    Http2,
}

impl Framing {
    pub(crate) const ALL: [Self; 3] = [Self::Length, Self::Chunked, Self::Http2];
}

/// A body to send.
pub(crate) struct Pieces {
    pieces: Peekable<Box<dyn Iterator<Item = Bytes> + Send>>,
    sent_all: bool,
    length: Option<u64>,
    end: End,
}

/// The end after the last piece.
enum End {
    /// The end: over HTTP/2, a frame without data.
    Whole,
    /// Nothing: over HTTP/2, the last piece is marked as the last.
    WithLast,
    /// The bytes that the test sends.
    Fed(UnboundedReceiver<Bytes>),
    Trailers(HeaderMap),
    /// Nothing: the client falls silent.
    Silence,
}

impl Pieces {
    pub(crate) fn of(pieces: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>) -> Self {
        let pieces: Box<dyn Iterator<Item = Bytes> + Send> = Box::new(pieces.into_iter());
        Self {
            pieces: pieces.peekable(),
            sent_all: false,
            length: None,
            end: End::Whole,
        }
    }

    /// The bytes that the test sends, until it drops the sender.
    pub(crate) fn fed() -> (UnboundedSender<Bytes>, Self) {
        let (feed, fed) = unbounded_channel();
        (
            feed,
            Self {
                end: End::Fed(fed),
                ..Self::of([])
            },
        )
    }

    /// This many zeros.
    pub(crate) fn zeros(bytes: u64) -> Self {
        const PIECE: u64 = 64 * 1024;
        let piece = Bytes::from(vec![0; PIECE as usize]);
        let whole = (0..bytes / PIECE).map({
            let piece = piece.clone();
            move |_| piece.clone()
        });
        let rest = piece.slice(..(bytes % PIECE) as usize);
        Self::of(whole.chain((!rest.is_empty()).then_some(rest)))
    }

    pub(crate) fn then_trailers(self, name: &'static str, value: &'static str) -> Self {
        let trailers = HeaderMap::from_iter([(
            name.parse().expect("a name"),
            HeaderValue::from_static(value),
        )]);
        Self {
            end: End::Trailers(trailers),
            ..self
        }
    }

    pub(crate) fn then_silence(self) -> Self {
        Self {
            end: End::Silence,
            ..self
        }
    }

    pub(crate) fn that_end_with_the_last(self) -> Self {
        Self {
            end: End::WithLast,
            ..self
        }
    }
}

impl From<Vec<u8>> for Pieces {
    fn from(body: Vec<u8>) -> Self {
        Self::of([Bytes::from(body)])
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(piece) = self.pieces.next() {
            self.sent_all = self.pieces.peek().is_none();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match std::mem::replace(&mut self.end, End::Whole) {
            End::Whole | End::WithLast => Poll::Ready(None),
            End::Fed(mut fed) => {
                let next = fed.poll_recv(context);
                self.end = End::Fed(fed);
                next.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
            End::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            End::Silence => {
                self.end = End::Silence;
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.end, End::WithLast) && self.sent_all
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// An upload in progress, whose body the test sends.
pub(crate) struct Underway {
    feed: UnboundedSender<Bytes>,
    answer: JoinHandle<Result<Answer, String>>,
}

impl Underway {
    /// Sends `call`; its body will have `bytes` bytes, or as many as the test sends.
    pub(crate) fn begin(address: SocketAddr, call: Call, framing: Framing, bytes: usize) -> Self {
        let (feed, pieces) = Pieces::fed();
        Self {
            feed,
            answer: tokio::spawn(upload(address, call, framing, bytes as u64, pieces)),
        }
    }

    /// Sends more of the body, if it is still accepted.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let _ = self.feed.send(Bytes::copy_from_slice(bytes));
    }

    /// Whether the response has arrived, or the connection has ended without one.
    pub(crate) fn is_over(&self) -> bool {
        self.answer.is_finished()
    }

    /// Ends the body, and waits for the response.
    pub(crate) async fn end(self) -> Result<Answer, String> {
        drop(self.feed);
        self.answer.await.expect("no panic")
    }
}

/// Sends `call` with a body of `bytes` bytes, or all its pieces, over its own connection. An error
/// describes how the other side ended it without a response.
pub(crate) async fn upload(
    address: SocketAddr,
    call: Call,
    framing: Framing,
    bytes: u64,
    body: impl Into<Pieces>,
) -> Result<Answer, String> {
    let mut body = body.into();
    body.length = (framing == Framing::Length).then_some(bytes);
    let sent = now();
    let answered = timeout(DEADLINE * 3, send(address, call, framing, body)).await;
    let (head, answer) = answered
        .map_err(|_| "no response in time".to_owned())??
        .into_parts();
    let body = timeout(DEADLINE, answer.collect())
        .await
        .map_err(|_| "half a response".to_owned())?;
    let body = body
        .map(|whole| whole.to_bytes())
        .map_err(|error| format!("a broken response: {error:?}"))?;
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        sent,
        received: now(),
    })
}

async fn send(
    address: SocketAddr,
    call: Call,
    framing: Framing,
    body: Pieces,
) -> Result<Response<Incoming>, String> {
    let authority = address.to_string();
    let (mut head, _) = call.request(&authority).into_parts();
    let io = TokioIo::new(
        TcpStream::connect(address)
            .await
            .map_err(|error| error.to_string())?,
    );
    let wrong = |error: hyper::Error| format!("{error:?}");
    if framing == Framing::Http2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .map_err(wrong)?;
        tokio::spawn(connection);
        return sender
            .send_request(Request::from_parts(head, body))
            .await
            .map_err(wrong);
    }
    head.uri =
        Uri::try_from(head.uri.path_and_query().map_or("/", |path| path.as_str())).expect("a path");
    head.headers
        .insert("host", HeaderValue::from_str(&authority).expect("a host"));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(wrong)?;
    tokio::spawn(connection);
    sender
        .send_request(Request::from_parts(head, body))
        .await
        .map_err(wrong)
}
