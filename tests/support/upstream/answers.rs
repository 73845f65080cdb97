//! The answer to one request, as its fields ask.

use super::*;

/// Begins a tunnel that returns its input.
pub(super) fn upgrade(request: &mut Request<Incoming>) -> Response<Answer> {
    let upgrading = hyper::upgrade::on(&mut *request);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrading.await.ok()?));
        tokio::io::copy(&mut read, &mut write).await.ok()
    });
    let mut response = Response::new(
        Full::new(Bytes::new())
            .map_err(|never| match never {})
            .boxed(),
    );
    if request.method() == Method::CONNECT {
        return response;
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
        .headers_mut()
        .insert("connection", HeaderValue::from_static("upgrade"));
    response
        .headers_mut()
        .insert("upgrade", HeaderValue::from_static("websocket"));
    response
}

pub(super) async fn answer(
    mut request: Request<Incoming>,
    record: Arc<Record>,
) -> Result<Response<Answer>, Infallible> {
    let arrived = HeaderValue::from_str(&now().as_nanos().to_string()).expect("a number");
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    record
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(path.clone());
    let _flight = InFlight::begin(&path, &record);
    if request.headers().contains_key("x-answer-upgrade") {
        wait_if_held(request.headers(), &record).await;
        return Ok(upgrade(&mut request));
    }
    let (head, body) = request.into_parts();
    let asked = &head.headers;
    let reading = tokio::spawn(read(path.clone(), body, Arc::clone(&record)));
    if !asked.contains_key("x-answer-early") {
        let _ = reading.await;
    }
    wait_if_held(asked, &record).await;
    if let Some(delay) = number(asked, "x-answer-delay-ms") {
        sleep(Duration::from_millis(delay)).await;
    }
    let trailers = fields(asked, "x-answer-trailer");
    let body = Full::new(Bytes::from_static(b"upstream\n")).map_err(|never| match never {});
    let body = match asked.get("x-answer-break").map(HeaderValue::as_bytes) {
        Some(how) => Broken::new(how).boxed(),
        None if trailers.is_empty() => body.boxed(),
        None => body.with_trailers(ready(Some(Ok(trailers)))).boxed(),
    };
    let mut response = Response::new(body);
    *response.headers_mut() = fields(asked, "x-answer-header");
    response.headers_mut().insert("x-arrived", arrived);
    if let Some(status) = number(asked, "x-answer-status") {
        *response.status_mut() = u16::try_from(status)
            .ok()
            .and_then(|s| s.try_into().ok())
            .expect("a status");
    }
    if let Some(stem) = path.strip_suffix("/moved") {
        *response.status_mut() = StatusCode::FOUND;
        // Envoy only follows absolute URLs.
        let host = asked
            .get("host")
            .and_then(|host| host.to_str().ok())
            .expect("a host");
        let found =
            HeaderValue::from_str(&format!("http://{host}{stem}/found")).expect("a location");
        response.headers_mut().insert("location", found);
    }
    Ok(response)
}

/// Waits for the test, if the request asks for that.
pub(super) async fn wait_if_held(asked: &HeaderMap, record: &Record) {
    if asked.contains_key("x-answer-held")
        && let Ok(permit) = record.gate.acquire().await
    {
        permit.forget();
    }
}

pub(super) type Answer = BoxBody<Bytes, io::Error>;

/// A response's body that breaks off.
pub(super) struct Broken {
    begins: Option<Bytes>,
    breaks: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Broken {
    fn new(how: &[u8]) -> Self {
        let begins = (how != b"reset").then(|| Bytes::from_static(b"upst"));
        // The pause lets the part before it be sent.
        let later = sleep(Duration::from_millis(200));
        let breaks: Pin<Box<dyn Future<Output = ()> + Send + Sync>> = if how == b"stall" {
            Box::pin(pending())
        } else {
            Box::pin(later)
        };
        Self { begins, breaks }
    }
}

impl Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.begins.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => self
                .breaks
                .as_mut()
                .poll(context)
                .map(|()| Some(Err(io::Error::other("broken off")))),
        }
    }
}

/// Reads a body to its end.
pub(super) async fn read(path: String, mut body: Incoming, record: Arc<Record>) {
    let (mut bytes, mut whole) = (0, true);
    let number = {
        let mut begun = record.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.push((path.clone(), 0));
        begun.len() - 1
    };
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                record.begun.lock().unwrap_or_else(PoisonError::into_inner)[number].1 = bytes;
            }
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    record
        .received
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Received { path, bytes, whole });
}

/// The fields that the headers called `name` request, each as `name: value`.
pub(super) fn fields(headers: &HeaderMap, name: &str) -> HeaderMap {
    let pairs = headers.get_all(name).iter().map(|pair| {
        let (name, value) = pair
            .to_str()
            .ok()
            .and_then(|p| p.split_once(": "))
            .expect("`name: value`");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        (name, HeaderValue::from_str(value).expect("a header value"))
    });
    let mut fields = HeaderMap::new();
    for (name, value) in pairs {
        fields.append(name, value);
    }
    fields
}

pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name).map(|value| {
        value
            .to_str()
            .ok()
            .and_then(|v| v.parse().ok())
            .expect("a number")
    })
}
