//! An upstream in this process, which reads every body to its end before it answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Serves until the process ends; returns the port.
pub(crate) fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let accept = move || {
        for stream in listener.incoming().flatten() {
            // One for each open stream of Envoy.
            thread::Builder::new()
                .stack_size(256 * 1_024)
                .spawn(|| answer(stream))
                .unwrap();
        }
    };
    thread::spawn(accept);
    port
}

/// Answers one request after another until the connection ends.
fn answer(stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::with_capacity(64 * 1_024, stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().ok()?;
            }
        }
        std::io::copy(&mut (&mut stream).take(length), &mut std::io::sink()).ok()?;
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}
