"""The filter as images that Istio and Envoy Gateway fetch, and their way to a registry.

    oci.py layout WASM DIRECTORY VERSION COMMIT   writes an OCI image layout, and prints the digests
    oci.py check HOST/NAME:TAG                    fails if this is no image's name
    oci.py push DIRECTORY HOST/NAME:TAG           pushes the layout to a registry

Both platforms fetch an image in one of two forms (https://github.com/solo-io/wasm/tree/master/spec): one
layer of a .tar.gz with `plugin.wasm`, which every registry and every tool accepts, and an artifact of
two layers, one of which is the module itself. The first has the tag, the second the tag with
`-artifact`.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REFERENCE = "org.opencontainers.image.ref.name"
# The names of the two forms in the layout, and what follows the tag of each.
SUFFIXES = {"image": "", "artifact": "-artifact"}
TIMEOUT_SECONDS = 60


def fail(message):
    sys.exit(f"{'image' if sys.argv[1] == 'layout' else 'push'}: {message}")


# --- The layout -----------------------------------------------------------------------------------


class Layout:
    """A directory of blobs by digest, and an index of the manifests among them."""

    def __init__(self, directory):
        self.root = Path(directory)
        self.blobs = self.root / "blobs" / "sha256"

    def add(self, media_type, content):
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def add_json(self, media_type, value):
        return self.add(media_type, json.dumps(value, separators=(",", ":"), sort_keys=True).encode())

    def read(self, descriptor):
        return (self.blobs / descriptor["digest"].removeprefix("sha256:")).read_bytes()

    def manifests(self):
        index = json.loads((self.root / "index.json").read_text())
        return {entry["annotations"][REFERENCE]: entry for entry in index["manifests"]}


def packed(wasm):
    """A .tar.gz with the module as `plugin.wasm`."""
    with tempfile.TemporaryDirectory() as directory:
        shutil.copyfile(wasm, Path(directory) / "plugin.wasm")
        command = ["scripts/pack", directory, "plugin.wasm"]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def write_layout(wasm, directory, version, commit):
    module = Path(wasm).read_bytes()
    if not module.startswith(b"\0asm"):
        fail(f"{wasm} is not a WebAssembly module")
    layout = Layout(directory)
    if layout.root.exists():
        if any(layout.root.iterdir()) and not (layout.root / "oci-layout").exists():
            fail(f"{directory} has other files: name an empty directory")
        shutil.rmtree(directory)
    layout.blobs.mkdir(parents=True)
    time = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
    about = {
        "org.opencontainers.image.created": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.title": "sluicegate",
        "org.opencontainers.image.version": version,
    }

    def manifest(form, config, layers, annotations):
        content = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers,
            "annotations": about | annotations,
        }
        return layout.add_json(MANIFEST, content) | {"annotations": {REFERENCE: form}}

    layer = packed(wasm)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": about["org.opencontainers.image.created"],
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(unpacked(layer)).hexdigest()}"]},
    }
    image = manifest(
        "image",
        layout.add_json("application/vnd.oci.image.config.v1+json", config),
        [layout.add("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
        {"module.wasm.image/variant": "compat"},
    )
    named = lambda descriptor, name: descriptor | {"annotations": {"org.opencontainers.image.title": name}}
    # The second layer configures a runtime, and ours is configured by its policy.
    wasm_config = "application/vnd.module.wasm.config.v1+json"
    artifact = manifest(
        "artifact",
        layout.add_json(wasm_config, {"type": "envoy_proxy", "abiVersions": ["0.2.1"], "config": {}}),
        [
            named(layout.add("application/vnd.module.wasm.content.layer.v1+wasm", module), "plugin.wasm"),
            named(layout.add_json("application/vnd.module.wasm.config.layer.v1+json", {}), "runtime-config.json"),
        ],
        {},
    )
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [image, artifact]}
    (layout.root / "index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    (layout.root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}\n')
    for form, entry in layout.manifests().items():
        print(f"{entry['digest']}  {directory}:{form}")


def unpacked(layer):
    return subprocess.run(["gzip", "--decompress", "--stdout"], input=layer, check=True, stdout=subprocess.PIPE).stdout


# --- The name of an image -------------------------------------------------------------------------


class Image:
    """HOST/NAME:TAG"""

    def __init__(self, text):
        host, slash, rest = text.removeprefix("oci://").partition("/")
        name, colon, tag = rest.rpartition(":")
        is_host = re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9a-fA-F:]+\](:\d+)?", host)
        if not (slash and colon and is_host and ("." in host or ":" in host or host == "localhost")):
            fail(f"IMAGE={text} is not HOST/NAME:TAG, as in registry.example.com/gateway/sluicegate:0.1.0")
        part = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
        if not re.fullmatch(rf"{part}(?:/{part})*", name):
            fail(f"IMAGE: the name {name} is not lower-case letters and digits, with / . _ and - between them")
        longest = 128 - max(map(len, SUFFIXES.values()))
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", tag) or len(tag) > longest:
            fail(f"IMAGE: the tag {tag} is not letters, digits, . _ and -, at most {longest} of them")
        self.host, self.name, self.tag = host, name, tag

    @property
    def address(self):
        return "registry-1.docker.io" if self.host in ("docker.io", "index.docker.io") else self.host

    @property
    def is_plain(self):
        """Whether the registry has no TLS: by default, if it is on this machine."""
        stated = os.environ.get("PLAIN_HTTP")
        return stated == "1" if stated else is_local(self.address)


def is_local(address):
    return re.fullmatch(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", address) is not None


# --- The registry ---------------------------------------------------------------------------------


def login_for(host):
    """The user and the password for a registry; `None` if there are none."""
    user, password = os.environ.get("REGISTRY_USER"), os.environ.get("REGISTRY_PASSWORD")
    if user or password:
        if not (user and password):
            fail("set both REGISTRY_USER and REGISTRY_PASSWORD, or neither")
        return user, password
    directory = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    try:
        config = json.loads((Path(directory) / "config.json").read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        fail(f"{directory}/config.json: {error}")
    key = "https://index.docker.io/v1/" if host in ("docker.io", "index.docker.io") else host
    helper = (config.get("credHelpers") or {}).get(key) or config.get("credsStore")
    if helper:
        return ask_helper(helper, key)
    entry = (config.get("auths") or {}).get(key) or {}
    if not entry.get("auth"):
        return None
    user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    return user, password


def ask_helper(helper, key):
    """What docker's program for passwords answers."""
    command, otherwise = f"docker-credential-{helper}", "set REGISTRY_USER and REGISTRY_PASSWORD"
    try:
        answer = subprocess.run([command, "get"], input=key.encode(), capture_output=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        fail(f"docker keeps the login for {key} in {command}: {error}; {otherwise}")
    if answer.returncode != 0:
        return None
    login = json.loads(answer.stdout)
    if login["Username"] == "<token>":
        fail(f"docker's login for {key} is a token for docker alone: {otherwise}")
    return login["Username"], login["Secret"]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect leads to a store of blobs, and the login is not for that."""

    def redirect_request(self, *_):
        return None


class Registry:
    def __init__(self, image):
        self.image = image
        self.base = f"{'http' if image.is_plain else 'https'}://{image.address}"
        self.authorization = None
        # No proxy leads to this machine.
        proxies = [urllib.request.ProxyHandler({})] if is_local(image.address) else []
        self.opener = urllib.request.build_opener(NoRedirect, *proxies)

    def send(self, method, url, body=None, media_type=None, accepted=()):
        """The status and the headers of an answer; an answer that is not accepted ends the program."""
        url = urllib.parse.urljoin(self.base, url)
        status, headers, text = self.once(method, url, body, media_type)
        if status == 401 and self.log_in(headers):
            status, headers, text = self.once(method, url, body, media_type)
        if status in accepted:
            return status, headers
        advice = {
            401: "; log in with `docker login`, or set REGISTRY_USER and REGISTRY_PASSWORD",
            403: "; this login may not push there",
        }
        fail(f"{method} {url.partition('?')[0]}: {status}{advice.get(status, '')}{': ' + text if text else ''}")

    def once(self, method, url, body, media_type):
        headers = {"Content-Type": media_type} if media_type else {}
        # An upload may go to another host, which the login is not for.
        if self.authorization and urllib.parse.urlsplit(url).netloc == self.image.address:
            headers["Authorization"] = self.authorization
        return self.call(urllib.request.Request(url, data=body, method=method, headers=headers))

    def call(self, request):
        try:
            with self.opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return answer.status, answer.headers, answer.read(1 << 20).decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read(2000).decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            hint = "; PLAIN_HTTP=1 if it has no TLS" if "SSL" in str(reason) else ""
            fail(f"{request.full_url.partition('?')[0]}: {reason}{hint}")

    def log_in(self, headers):
        """Does what an answer with 401 asks for; false if there is nothing new to try."""
        challenges = headers.get_all("WWW-Authenticate") or []
        login = login_for(self.image.host)
        basic = login and "Basic " + base64.b64encode(":".join(login).encode()).decode()
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                challenge = dict(re.findall(r'(\w+)="([^"]*)"', rest))
                wanted = f"Bearer {self.token(challenge, basic)}"
            elif scheme.lower() == "basic":
                wanted = basic
            else:
                continue
            is_new = wanted is not None and wanted != self.authorization
            self.authorization = wanted
            return is_new
        return False

    def token(self, challenge, basic):
        realm = challenge.get("realm", "")
        parts = urllib.parse.urlsplit(realm)
        if parts.scheme != "https" and not (parts.scheme == "http" and (self.image.is_plain or is_local(parts.netloc))):
            fail(f"the registry sends logins to {realm}, which has no TLS")
        query = {"scope": f"repository:{self.image.name}:pull,push"}
        if "service" in challenge:
            query["service"] = challenge["service"]
        url = f"{realm}{'&' if parts.query else '?'}{urllib.parse.urlencode(query)}"
        status, _, text = self.call(urllib.request.Request(url, headers={"Authorization": basic} if basic else {}))
        if status != 200:
            fail(f"{realm} gives no token for {self.image.name}: {status}; log in with `docker login`, or set REGISTRY_USER and REGISTRY_PASSWORD")
        try:
            answer = json.loads(text)
            return answer.get("token") or answer["access_token"]
        except (ValueError, KeyError, AttributeError):
            fail(f"{realm}: the answer has no token")

    def push_blob(self, descriptor, content):
        digest, path = descriptor["digest"], f"/v2/{self.image.name}/blobs/"
        # A redirect says that it is there, elsewhere.
        status, _ = self.send("HEAD", path + digest, accepted=(200, 307, 404))
        if status != 404:
            return
        _, headers = self.send("POST", path + "uploads/", b"", accepted=(202,))
        upload = urllib.parse.urljoin(self.base + path, headers["Location"])
        url = f"{upload}{'&' if '?' in upload else '?'}{urllib.parse.urlencode({'digest': digest})}"
        self.send("PUT", url, content, "application/octet-stream", accepted=(201,))

    def push_manifest(self, tag, descriptor, content):
        url = f"/v2/{self.image.name}/manifests/{tag}"
        _, headers = self.send("PUT", url, content, MANIFEST, accepted=(201,))
        stored = headers.get("Docker-Content-Digest", descriptor["digest"])
        if stored != descriptor["digest"]:
            fail(f"the registry stored {stored} instead of {descriptor['digest']}")


def push(directory, text):
    image, layout = Image(text), Layout(directory)
    registry = Registry(image)
    for form, suffix in SUFFIXES.items():
        descriptor = layout.manifests()[form]
        content = layout.read(descriptor)
        manifest = json.loads(content)
        for blob in [manifest["config"], *manifest["layers"]]:
            registry.push_blob(blob, layout.read(blob))
        registry.push_manifest(image.tag + suffix, descriptor, content)
        print(f"{image.host}/{image.name}:{image.tag}{suffix}@{descriptor['digest']}")


if __name__ == "__main__":
    commands = {"layout": write_layout, "check": Image, "push": push}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
