//! Clients that wait for each answer.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A divisor of the numbers of requests.
const CONNECTIONS: usize = 16;

/// Each connection has one request under way at a time, unless it is told to send more.
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

/// Uploads a body whole, which must be admitted.
pub(crate) fn upload(connection: &mut Connection, head: &str, body: &[u8]) {
    begin(connection, head, body.len(), body);
    admitted(receive(connection));
}

/// Takes no other answer than this one.
pub(crate) fn admitted(status: u16) {
    assert_eq!(status, 200, "a request was refused");
}

/// Several connections.
pub(crate) struct Client {
    connections: Vec<Connection>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self { connections: (0..CONNECTIONS).map(|_| connect(port)).collect() }
    }

    /// Sends `requests` requests, each with a path and the lines that a number gives. `answered` gets
    /// the status of each.
    pub(crate) fn send(
        &mut self,
        requests: usize,
        request: impl Fn(usize) -> (String, String),
        answered: impl FnMut(u16),
    ) {
        self.send_behind(1, requests, request, answered);
    }

    /// The same with so many requests behind each other on each connection.
    pub(crate) fn send_behind(
        &mut self,
        depth: usize,
        requests: usize,
        request: impl Fn(usize) -> (String, String),
        mut answered: impl FnMut(u16),
    ) {
        let mut text = Vec::new();
        for first in (0..requests).step_by(CONNECTIONS * depth) {
            for (offset, connection) in self.connections.iter_mut().enumerate() {
                text.clear();
                for behind in 0..depth {
                    let (path, lines) = request(first + offset * depth + behind);
                    write!(
                        text,
                        "GET {path} HTTP/1.1\r\nhost: gateway\r\nuser-agent: bench/1\r\naccept: */*\r\n\
                         accept-encoding: gzip\r\ncontent-type: application/json\r\n{lines}\r\n\r\n"
                    )
                    .unwrap();
                }
                connection.get_mut().write_all(&text).unwrap();
            }
            for connection in &mut self.connections {
                (0..depth).for_each(|_| answered(receive(connection)));
            }
        }
    }
}

/// Reads an answer to its end, and returns its status.
pub(crate) fn receive(connection: &mut Connection) -> u16 {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{line:?} is no answer"));
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
    status
}
