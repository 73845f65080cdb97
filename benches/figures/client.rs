//! Clients that wait for each answer, and take no other than 200.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A divisor of the numbers of requests.
const CONNECTIONS: usize = 16;

/// Each connection has one request under way at a time.
pub(crate) type Connection = BufReader<TcpStream>;

pub(crate) fn connect(port: u16) -> Connection {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    BufReader::new(stream)
}

/// Begins an upload of `length` bytes with the first of them; returns how many bytes went out.
pub(crate) fn begin(connection: &mut Connection, head: &str, length: usize, first: &[u8]) -> usize {
    let head = format!("POST /items HTTP/1.1\r\nhost: gateway\r\n{head}\r\ncontent-length: {length}\r\n\r\n");
    let stream = connection.get_mut();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(first).unwrap();
    head.len() + first.len()
}

/// Uploads a body whole.
pub(crate) fn upload(connection: &mut Connection, head: &str, body: &[u8]) {
    begin(connection, head, body.len(), body);
    receive(connection);
}

/// Several connections.
pub(crate) struct Client {
    connections: Vec<Connection>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self { connections: (0..CONNECTIONS).map(|_| connect(port)).collect() }
    }

    /// Sends `requests` requests, each with the lines that `credential` gives; all are admitted.
    pub(crate) fn send(&mut self, requests: usize, path: &str, credential: impl Fn(usize) -> String) {
        for first in (0..requests).step_by(CONNECTIONS) {
            for (offset, connection) in self.connections.iter_mut().enumerate() {
                let credential = credential(first + offset);
                let text = format!(
                    "GET {path} HTTP/1.1\r\nhost: gateway\r\nuser-agent: figures/1\r\naccept: */*\r\n\
                     accept-encoding: gzip\r\ncontent-type: application/json\r\n{credential}\r\n\r\n"
                );
                connection.get_mut().write_all(text.as_bytes()).unwrap();
            }
            self.connections.iter_mut().for_each(receive);
        }
    }
}

/// Reads an answer, which must be 200.
pub(crate) fn receive(connection: &mut Connection) {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    assert_eq!(line.split(' ').nth(1), Some("200"), "{line}");
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
    }
    connection.read_exact(&mut vec![0; length]).unwrap();
}
