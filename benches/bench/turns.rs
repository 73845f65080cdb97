//! The processor time of a worker's thread, in total and in each turn of its event loop.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::envoy::end_with_this_process;

/// A worker of an Envoy.
pub(crate) struct Worker {
    thread: String,
    schedstat: File,
    stat: File,
}

impl Worker {
    /// The first worker of an Envoy.
    pub(crate) fn of(process: u32) -> Self {
        let mut tasks = fs::read_dir(format!("/proc/{process}/task"))
            .unwrap()
            .map(|task| task.unwrap().path());
        let name = |task: &PathBuf| fs::read_to_string(task.join("comm")).unwrap_or_default();
        let task = tasks
            .find(|task| name(task).starts_with("wrk:worker_0"))
            .expect("Envoy has a worker");
        let open = |file| File::open(task.join(file)).unwrap();
        let thread = task.file_name().unwrap().to_string_lossy().into_owned();
        Self {
            thread,
            schedstat: open("schedstat"),
            stat: open("stat"),
        }
    }

    /// The milliseconds of processor time used from the start of `run` until the worker sleeps
    /// after it.
    pub(crate) fn millis(&mut self, run: impl FnOnce()) -> f64 {
        let start = self.nanos();
        run();
        (self.nanos() - start) as f64 / 1e6
    }

    /// The processor time, read while the worker sleeps: while it runs, the kernel updates it only
    /// at its ticks.
    fn nanos(&mut self) -> u64 {
        loop {
            let before = read(&mut self.schedstat);
            let sleeps = read(&mut self.stat)
                .rsplit(") ")
                .next()
                .is_some_and(|state| state.starts_with('S'));
            if sleeps && before == read(&mut self.schedstat) {
                return before
                    .split(' ')
                    .next()
                    .and_then(|nanos| nanos.parse().ok())
                    .expect("a number");
            }
            thread::sleep(Duration::from_micros(50));
        }
    }

    /// The turns of the event loop while `run` runs, from a recording of `perf`. No file of `/proc`
    /// shows a turn that does not sleep.
    ///
    /// # Errors
    /// The reason why there is no recording.
    pub(crate) fn turns(&self, scratch: &Path, run: impl FnOnce()) -> Result<Vec<Turn>, String> {
        let data = scratch.join("perf.data");
        let mut record = Command::new("perf");
        record.args([
            "record",
            "--quiet",
            "--switch-events",
            "--clockid",
            "CLOCK_MONOTONIC",
            "--mmap-pages",
            "1024",
        ]);
        record.args([
            "--event",
            "syscalls:sys_enter_epoll_*wait*,syscalls:sys_exit_epoll_*wait*",
        ]);
        record.args(["--tid", &self.thread, "--output"]).arg(&data);
        // The recording lasts as long as this shell.
        record
            .args(["--", "sh", "-c", "echo begun; read -r line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = end_with_this_process(&mut record)
            .spawn()
            .map_err(|error| format!("perf does not run: {error}"))?;
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        if line.trim() != "begun" {
            drop(child.wait());
            return Err(
                "perf may not record the system calls of a thread; see its message above"
                    .to_owned(),
            );
        }
        run();
        drop(child.stdin.take());
        drop(child.wait());
        let mut script = Command::new("perf");
        script
            .args([
                "script",
                "--ns",
                "--show-switch-events",
                "--fields",
                "time,event,trace",
                "--input",
            ])
            .arg(&data);
        let output = script
            .stderr(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        let turns = turns(&String::from_utf8_lossy(&output.stdout));
        if turns.is_empty() {
            Err("perf recorded no wait for events".to_owned())
        } else {
            Ok(turns)
        }
    }
}

/// The time from one wait for events to the next.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// When it began, in seconds of the clock of [`now`].
    pub(crate) begun: f64,
    /// The thread's processor time in the turn.
    pub(crate) millis: f64,
}

/// The seconds of the clock that `perf` uses.
pub(crate) fn now() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The turns in the output of `perf script`. The time between two lines counts if the thread was
/// running.
fn turns(lines: &str) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut turn: Option<Turn> = None;
    let (mut last, mut runs) = (0.0, false);
    for line in lines.lines() {
        let Some((time, event)) = line.trim_start().split_once(": ") else {
            continue;
        };
        let Ok(time) = time.trim().parse::<f64>() else {
            continue;
        };
        if let Some(turn) = turn.as_mut().filter(|_| runs) {
            turn.millis += (time - last) * 1e3;
        }
        last = time;
        let event = event.trim_start();
        if event.starts_with("PERF_RECORD_SWITCH") {
            runs = event.contains(" IN");
        } else if event.contains("sys_exit") {
            runs = true;
            turn = Some(Turn {
                begun: time,
                millis: 0.0,
            });
        } else if event.contains("sys_enter") {
            turns.extend(turn.take());
        }
    }
    turns
}

fn read(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}
