//! A Redis of a test's own, on loopback; it ends with the test.

use rustix::process::{Pid, Signal, kill_process};
use sluicegate::fleet::engine::{Engine, EngineError};
use sluicegate::fleet::redis::resp::{Form, Login, decode, encode};
use sluicegate::fleet::take::{Answer, Take};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A Redis or Valkey process.
pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    child: Child,
    files: TempDir,
}

impl Redis {
    /// Starts the server that `REDIS` names, and waits until it answers. Without flags nothing is
    /// kept on disk.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let address = free_address();
        let child = Self::spawn(address, &files, flags);
        let mut redis = Self {
            address,
            child,
            files,
        };
        redis.wait();
        redis
    }

    /// Starts one that speaks TLS alone, and waits until it accepts connections.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn start_with_tls(flags: &[String]) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let address = free_address();
        let port = address.port().to_string();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        // The last of two flags counts.
        let only = ["--port", "0", "--tls-port", &port];
        let child = Self::spawn(address, &files, &[&only[..], &flags].concat());
        let mut redis = Self {
            address,
            child,
            files,
        };
        redis.wait_for(|address| TcpStream::connect(address).is_ok());
        redis
    }

    fn spawn(address: SocketAddr, files: &TempDir, flags: &[&str]) -> Child {
        let server = std::env::var_os("REDIS").expect("REDIS: the path of a redis-server");
        Command::new(server)
            .args(["--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(files.path())
            .args(["--port", &address.port().to_string()])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a redis-server")
    }

    fn wait(&mut self) {
        self.wait_for(|address| {
            let answer = call(address, b"PING\r\nQUIT\r\n");
            answer.is_ok_and(|answer| !answer.is_empty() && !answer.starts_with(b"-LOADING"))
        });
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a real engine's time is waited for"
    )]
    fn wait_for(&mut self, is_up: impl Fn(SocketAddr) -> bool) {
        let begin = Instant::now();
        while !is_up(self.address) {
            let exited = self.child.try_wait().expect("a child to wait for");
            assert!(exited.is_none(), "redis-server exited: {exited:?}");
            let waited = begin.elapsed();
            assert!(waited < Duration::from_secs(20), "redis-server is silent");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it, and starts it again with the same files.
    pub(crate) fn restart(&mut self, flags: &[&str]) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = Self::spawn(self.address, &self.files, flags);
        self.wait();
    }

    /// Kills it. [`Redis::restart`] starts it again.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn stop(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("a child to wait for");
    }

    /// Suspends it: it accepts connections, and answers nothing.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes it.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn unpause(&self) {
        self.signal(Signal::CONT);
    }

    #[allow(dead_code, reason = "not every test needs it")]
    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok();
        let id = id.and_then(Pid::from_raw);
        kill_process(id.expect("a process"), signal).expect("a signal");
    }

    /// The text that it answers to commands, each of which is one line.
    pub(crate) fn ask(&self, commands: &str) -> String {
        let answer = call(self.address, format!("{commands}\r\nQUIT\r\n").as_bytes());
        String::from_utf8(answer.expect("an answer")).expect("text")
    }

    /// It as an engine, with this login.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn engine<'a>(&self, login: Login<'a>) -> RedisEngine<'a> {
        RedisEngine {
            address: self.address,
            login,
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on loopback that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

/// An engine that is asked as a proxy asks it: one connection for each call.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) struct RedisEngine<'a> {
    address: SocketAddr,
    login: Login<'a>,
}

impl RedisEngine<'_> {
    /// One call with these takes.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn send(
        &self,
        form: Form,
        takes: &[Take],
    ) -> Result<Vec<Result<Answer, EngineError>>, EngineError> {
        let answer = call(self.address, &encode(self.login, form, takes));
        decode(self.login, takes, &answer.unwrap_or_default())
    }
}

impl Engine for RedisEngine<'_> {
    fn take(&mut self, take: &Take) -> Result<Answer, EngineError> {
        let first = |answers: Vec<_>| answers[0];
        match self.send(Form::Digest, &[*take]).map(first)? {
            Err(EngineError::NoScript) => self.send(Form::Text, &[*take]).map(first)?,
            answer => answer,
        }
    }
}

/// Sends bytes, half-closes, and reads until the end, as Envoy does.
pub(crate) fn call(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
