//! Clients that wait for each response.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const CONNECTIONS: usize = 16;

/// A connection with one request in flight at a time.
pub(crate) type Connection = BufReader<TcpStream>;

pub(crate) fn connect(port: u16) -> Connection {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    BufReader::new(stream)
}

/// Begins an upload of `length` bytes with its first bytes; returns the number of bytes sent.
pub(crate) fn begin(connection: &mut Connection, head: &str, length: usize, first: &[u8]) -> usize {
    let head = format!(
        "POST /items HTTP/1.1\r\nhost: gateway\r\n{head}\r\ncontent-length: {length}\r\n\r\n"
    );
    let stream = connection.get_mut();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(first).unwrap();
    head.len() + first.len()
}

/// Uploads a complete body, which must be admitted.
pub(crate) fn upload(connection: &mut Connection, head: &str, body: &[u8]) {
    begin(connection, head, body.len(), body);
    admitted(receive(connection));
}

/// Requires status 200.
pub(crate) fn admitted(status: u16) {
    assert_eq!(status, 200, "a request was refused");
}

pub(crate) struct Client {
    connections: Vec<Connection>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self::of(CONNECTIONS, port)
    }

    pub(crate) fn of(connections: usize, port: u16) -> Self {
        Self {
            connections: (0..connections).map(|_| connect(port)).collect(),
        }
    }

    /// Sends `requests` requests, each with the path and header lines for its number, one at a time
    /// on each connection. (Envoy closes a connection on which requests queue up if it answers by
    /// itself.) `answered` receives the status of each.
    pub(crate) fn send(
        &mut self,
        requests: usize,
        request: impl Fn(usize) -> (String, String),
        mut answered: impl FnMut(u16),
    ) {
        for first in (0..requests).step_by(self.connections.len()) {
            let mut turn = self
                .connections
                .iter_mut()
                .take(requests - first)
                .collect::<Vec<_>>();
            for (number, connection) in (first..).zip(&mut turn) {
                let (path, lines) = request(number);
                let text = format!(
                    "GET {path} HTTP/1.1\r\nhost: gateway\r\nuser-agent: bench/1\r\naccept: */*\r\n\
                     accept-encoding: gzip\r\ncontent-type: application/json\r\n{lines}\r\n\r\n"
                );
                connection.get_mut().write_all(text.as_bytes()).unwrap();
            }
            for connection in turn {
                answered(receive(connection));
            }
        }
    }
}

/// Reads a response to its end, and returns its status.
pub(crate) fn receive(connection: &mut Connection) -> u16 {
    read(connection, |_| ())
}

/// The header lines of the response to a request with these lines, which must be admitted.
pub(crate) fn fields(connection: &mut Connection, lines: &str) -> Vec<String> {
    let text = format!("GET / HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n\r\n");
    connection.get_mut().write_all(text.as_bytes()).unwrap();
    let mut fields = Vec::new();
    admitted(read(connection, |line| {
        fields.push(line.trim_end().to_owned())
    }));
    fields
}

fn read(connection: &mut Connection, mut field: impl FnMut(&str)) -> u16 {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{line:?} is not a status line"));
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        field(&line);
    }
    connection.read_exact(&mut vec![0; length]).unwrap();
    status
}
