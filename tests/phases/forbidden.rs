//! Each check of the host fails for a module that breaks its rule.

use super::host::Action;
use super::rules::Callback;
use super::stream::{Pause, Stream, pairs};
use super::vm::Vm;
use super::world::World;

/// The imports, by the names that the calls below have.
const IMPORTS: [(&str, &str); 15] = [
    ("proxy_log", "i32 i32 i32"),
    ("proxy_get_header_map_pairs", "i32 i32 i32"),
    ("proxy_get_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_replace_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_get_buffer_bytes", "i32 i32 i32 i32 i32"),
    ("proxy_get_property", "i32 i32 i32 i32"),
    ("proxy_set_property", "i32 i32 i32 i32"),
    (
        "proxy_send_local_response",
        "i32 i32 i32 i32 i32 i32 i32 i32",
    ),
    ("proxy_continue_stream", "i32"),
    ("proxy_set_effective_context", "i32"),
    ("proxy_define_metric", "i32 i32 i32 i32"),
    ("proxy_increment_metric", "i32 i64"),
    ("proxy_record_metric", "i32 i64"),
    ("proxy_get_shared_data", "i32 i32 i32 i32 i32"),
    ("proxy_set_shared_data", "i32 i32 i32 i32 i32"),
];

/// Places in memory: a property of the connection, one that is none, a key, an empty header map.
const DATA: &str = "(data (i32.const 100) \"source\\00address\")
    (data (i32.const 200) \"source\\00adress\")
    (data (i32.const 300) \"sluicegate\")
    (data (i32.const 400) \"\\00\\00\\00\\00\")";

const PAIRS: &str =
    "(call $proxy_get_header_map_pairs (i32.const MAP) (i32.const 0) (i32.const 4))";
const REPLY: &str = "(call $proxy_send_local_response (i32.const 429) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 400) (i32.const 4) (i32.const 8))";
const RESUME: &str = "(call $proxy_continue_stream (i32.const 0))";
const ENTER: &str = "(call $proxy_set_effective_context (i32.const 2))";
const ADDRESS: &str = "(call $proxy_get_property (i32.const 100) (i32.const 14) (i32.const 0)
    (i32.const 4))";
const STATE: &str = "(call $proxy_set_property (i32.const 300) (i32.const 10) (i32.const 100)
    (i32.const 6))";
const DEFINE: &str = "(call $proxy_define_metric (i32.const KIND) (i32.const 300) (i32.const 10)
    (i32.const 0))";

fn map(kind: u32) -> String {
    PAIRS.replace("MAP", &kind.to_string())
}

fn buffer(kind: u32) -> String {
    format!(
        "(call $proxy_get_buffer_bytes (i32.const {kind}) (i32.const 0) (i32.const 9) \
         (i32.const 0) (i32.const 4))"
    )
}

fn define(kind: u32) -> String {
    DEFINE.replace("KIND", &kind.to_string())
}

fn change(call: &str, by: i64) -> String {
    format!("(call ${call} (i32.load (i32.const 0)) (i64.const {by}))")
}

/// A module that makes these calls in every callback of the name.
fn module(callback: Callback, calls: &[&str], allocates: &str) -> String {
    let mut text = String::from("(module");
    for (name, parameters) in IMPORTS {
        text += &format!(
            "(import \"env\" \"{name}\" (func ${name} (param {parameters}) (result i32)))"
        );
    }
    text += &format!(
        "(memory (export \"memory\") 1) {DATA}
        (func (export \"proxy_on_memory_allocate\") (param i32) (result i32) {allocates})"
    );
    let calls: String = calls.iter().map(|call| format!("(drop {call})")).collect();
    let parameters = match callback {
        Callback::Start => "",
        Callback::RequestHeaders | Callback::RequestBody | Callback::ResponseHeaders => {
            "(param i32 i32 i32) (result i32)"
        }
        Callback::Configure => "(param i32 i32) (result i32)",
        _ => "(param i32)",
    };
    let result = if parameters.ends_with("(result i32)") {
        "(i32.const 0)"
    } else {
        ""
    };
    text + &format!(
        "(func (export \"{}\") {parameters} {calls} {result}))",
        callback.export()
    )
}

/// Calls back for root 1 or stream 2, in a VM that has both. The stream is paused if `pause` says
/// so.
fn run(callback: Callback, pause: Pause, module: &str) -> Result<(), String> {
    let mut vm = Vm::of(module, &World::shared())?;
    let host = vm.host_mut();
    host.roots.insert(1, b"{}".to_vec());
    let head = pairs(&[(":path", "/")]);
    host.streams.insert(
        2,
        Stream {
            root: 1,
            head,
            pause,
            part: b"body".to_vec(),
            ..Stream::default()
        },
    );
    match callback {
        Callback::Start => Ok(()),
        Callback::RequestHeaders | Callback::RequestBody | Callback::ResponseHeaders => vm
            .call::<_, u32>(callback, 2, (2_u32, 1_u32, 0_u32))
            .map(drop),
        Callback::Configure => vm.call::<_, u32>(callback, 1, (1_u32, 2_u32)).map(drop),
        Callback::Tick => vm.call::<_, ()>(callback, 1, 1_u32).map(drop),
        _ => vm.call::<_, ()>(callback, 2, 2_u32).map(drop),
    }
}

const ALLOCATES: &str = "(i32.const 1000)";

fn refused(callback: Callback, pause: Pause, calls: &[&str], rule: &str) {
    let error = run(callback, pause, &module(callback, calls, ALLOCATES)).unwrap_err();
    let call = calls.last().unwrap().trim_start_matches("(call $");
    let call = call.split(' ').next().unwrap();
    for word in [callback.export(), call, rule] {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
}

fn allowed(callback: Callback, pause: Pause, calls: &[&str]) {
    let result = run(callback, pause, &module(callback, calls, ALLOCATES));
    assert_eq!(result, Ok(()), "{calls:?}");
}

#[test]
fn a_header_map_is_there_in_its_callback_alone() {
    use Callback::{Delete, Log, RequestBody, RequestHeaders, ResponseHeaders, Tick};
    allowed(RequestHeaders, Pause::No, &[&map(0)]);
    allowed(ResponseHeaders, Pause::No, &[&map(2)]);
    allowed(Log, Pause::No, &[&map(0), &map(2)]);
    allowed(Tick, Pause::Head, &[ENTER, &map(0)]);
    for (callback, kind) in [
        (RequestBody, 0),
        (ResponseHeaders, 0),
        (RequestHeaders, 1),
        (RequestHeaders, 2),
        (ResponseHeaders, 3),
        (Delete, 0),
    ] {
        refused(callback, Pause::No, &[&map(kind)], "not at hand");
    }
    refused(RequestHeaders, Pause::No, &[&map(9)], "no such header map");
    refused(
        Tick,
        Pause::Head,
        &[&map(0)],
        "a root context has no headers",
    );
    refused(
        Tick,
        Pause::Rest,
        &[ENTER, &map(0)],
        "not paused at these headers",
    );
    let replace = "(call $proxy_replace_header_map_value (i32.const 0) (i32.const 300)
        (i32.const 1) (i32.const 300) (i32.const 1))";
    allowed(RequestHeaders, Pause::No, &[replace]);
    refused(Log, Pause::No, &[replace], "not at hand");
}

#[test]
fn a_buffer_is_there_in_its_callback_alone() {
    allowed(Callback::RequestBody, Pause::No, &[&buffer(0)]);
    allowed(Callback::Configure, Pause::No, &[&buffer(7)]);
    refused(
        Callback::RequestHeaders,
        Pause::No,
        &[&buffer(0)],
        "not at hand",
    );
    refused(
        Callback::RequestBody,
        Pause::No,
        &[&buffer(1)],
        "not at hand",
    );
    refused(
        Callback::Tick,
        Pause::Rest,
        &[ENTER, &buffer(0)],
        "not at hand",
    );
    refused(Callback::Tick, Pause::No, &[&buffer(7)], "not at hand");
    refused(
        Callback::Configure,
        Pause::No,
        &[&buffer(9)],
        "no such buffer",
    );
}

#[test]
fn a_property_is_known_and_of_a_stream() {
    allowed(Callback::RequestHeaders, Pause::No, &[ADDRESS]);
    allowed(Callback::Tick, Pause::Head, &[ENTER, ADDRESS]);
    refused(Callback::Tick, Pause::No, &[ADDRESS], "no stream info");
    let misspelled = ADDRESS.replace("100", "200").replace("14", "13");
    refused(
        Callback::RequestHeaders,
        Pause::No,
        &[&misspelled],
        "no attribute",
    );
    allowed(Callback::RequestHeaders, Pause::No, &[STATE]);
    refused(Callback::Tick, Pause::No, &[STATE], "no stream info");
    refused(
        Callback::Delete,
        Pause::No,
        &[STATE],
        "the access log is written",
    );
    let other = STATE.replace("300", "100");
    refused(
        Callback::RequestHeaders,
        Pause::No,
        &[&other],
        "no key of the filter",
    );
}

#[test]
fn a_local_reply_is_the_only_answer() {
    use Callback::{Delete, Log, RequestBody, RequestHeaders, ResponseHeaders, Tick};
    allowed(RequestHeaders, Pause::No, &[REPLY]);
    allowed(RequestBody, Pause::No, &[REPLY]);
    allowed(Tick, Pause::All, &[ENTER, REPLY]);
    refused(
        RequestHeaders,
        Pause::No,
        &[REPLY, REPLY],
        "answered before",
    );
    refused(Tick, Pause::No, &[ENTER, REPLY], "does not wait");
    refused(Tick, Pause::All, &[REPLY], "nobody to answer");
    refused(Tick, Pause::All, &[ENTER, RESUME, REPLY], "was resumed");
    for callback in [ResponseHeaders, Log, Delete] {
        refused(callback, Pause::No, &[REPLY], "no callback of the request");
    }
}

#[test]
fn a_paused_request_is_resumed_once_by_another_callback() {
    use Callback::{RequestBody, Tick};
    allowed(Tick, Pause::All, &[ENTER, RESUME]);
    refused(Tick, Pause::All, &[ENTER, RESUME, RESUME], "exactly one");
    refused(Tick, Pause::No, &[ENTER, RESUME], "exactly one");
    refused(Tick, Pause::All, &[ENTER, REPLY, RESUME], "was answered");
    refused(Tick, Pause::All, &[RESUME], "a root context is no stream");
    refused(RequestBody, Pause::Head, &[RESUME], "answers by its status");
    let response = RESUME.replace("i32.const 0", "i32.const 1");
    refused(Tick, Pause::All, &[ENTER, &response], "requests only");
}

#[test]
fn a_metric_is_defined_once_and_changed_as_its_kind_allows() {
    use Callback::{Configure, RequestHeaders};
    let increment = |by| change("proxy_increment_metric", by);
    let record = change("proxy_record_metric", 1);
    allowed(Configure, Pause::No, &[&define(0), &increment(1)]);
    allowed(
        Configure,
        Pause::No,
        &[&define(1), &increment(1), &increment(-1)],
    );
    allowed(Configure, Pause::No, &[&define(2), &record]);
    refused(
        RequestHeaders,
        Pause::No,
        &[&define(0)],
        "once, at the start",
    );
    refused(
        Configure,
        Pause::No,
        &[&define(0), &define(0)],
        "defined before",
    );
    refused(
        Configure,
        Pause::No,
        &[&define(0), &increment(0)],
        "is not above 0",
    );
    refused(
        Configure,
        Pause::No,
        &[&define(1), &increment(-1)],
        "falls below 0",
    );
    refused(
        Configure,
        Pause::No,
        &[&define(2), &increment(1)],
        "is a histogram",
    );
    refused(Configure, Pause::No, &[&define(0), &record], "is a counter");
    refused(Configure, Pause::No, &[&increment(1)], "no such metric");
}

#[test]
fn nothing_but_the_log_is_there_at_the_start() {
    let log = "(call $proxy_log (i32.const 2) (i32.const 300) (i32.const 10))";
    allowed(Callback::Start, Pause::No, &[log]);
    let get = "(call $proxy_get_shared_data (i32.const 0) (i32.const 0) (i32.const 0) \
               (i32.const 4) (i32.const 8))";
    refused(Callback::Start, Pause::No, &[get], "no context exists");
}

#[test]
fn memory_is_given_and_no_call_is_made_meanwhile() {
    let run = |allocates: &str| {
        let callback = Callback::RequestHeaders;
        run(
            callback,
            Pause::No,
            &module(callback, &[&map(0)], allocates),
        )
        .unwrap_err()
    };
    assert!(run("(i32.const 0)").contains("gives no memory"));
    assert!(run("(i32.const 70000)").contains("not in memory"));
    let error = run(REPLY);
    assert!(
        error.contains("proxy_on_memory_allocate calls the host"),
        "{error}"
    );
}

#[test]
fn so_many_answers_in_one_callback_are_too_many() {
    let mut vm = Vm::of(
        &module(Callback::Tick, &[ENTER], ALLOCATES),
        &World::shared(),
    )
    .unwrap();
    let most = (0..200)
        .take_while(|_| vm.host_mut().act("a", Action::Resume(2)).is_ok())
        .count();
    assert_eq!(most, 100);
}

#[test]
fn a_trap_names_its_callback() {
    let error = run(
        Callback::Tick,
        Pause::No,
        &module(Callback::Tick, &["(unreachable)"], ALLOCATES),
    );
    assert!(error.unwrap_err().starts_with("proxy_on_tick: "));
}
