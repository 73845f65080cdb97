//! A container registry of a test's own, on loopback, and a fetcher by the rules of Istio and Envoy
//! Gateway.

use crate::harness::{Call, Client, eventually, free_address, required};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// The manifests of an image that a fetcher accepts.
const MANIFESTS: &str = "application/vnd.docker.distribution.manifest.v2+json, \
                         application/vnd.oci.image.manifest.v1+json";

/// One docker-registry process.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    child: Child,
    files: TempDir,
}

impl Registry {
    /// Starts one without a login.
    pub(crate) async fn open() -> Self {
        Self::start(|_| String::new()).await
    }

    /// Starts one with the `auth` of its configuration that `auth` writes; it may put files into
    /// the directory. Waits until the registry answers.
    pub(crate) async fn start(auth: impl FnOnce(&Path) -> String) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let address = free_address();
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\n\
             storage: {{ filesystem: {{ rootdirectory: {:?} }} }}\n\
             http: {{ addr: \"{address}\" }}\n{}",
            files.path().join("data"),
            auth(files.path())
        );
        let config_file = files.path().join("config.yml");
        fs::write(&config_file, config).expect("a configuration");
        let child = Command::new(required("REGISTRY"))
            .arg("serve")
            .arg(config_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("a docker-registry");
        let registry = Self {
            address,
            child,
            files,
        };
        eventually("the registry answers", async || {
            let answer = Client::http1(address).try_send(Call::get("/v2/")).await;
            answer.is_ok().then_some(())
        })
        .await;
        registry
    }

    /// Runs `scripts/push` with these variables, and without a login of this machine.
    pub(crate) fn push(&self, image: &str, variables: &[(&str, &str)]) -> Output {
        let directory = self.files.path();
        Command::new("scripts/push")
            .arg(format!("{}/{image}", self.address))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("REGISTRY_USER")
            .env_remove("REGISTRY_PASSWORD")
            .env_remove("PLAIN_HTTP")
            .env("DOCKER_CONFIG", directory)
            .env("WASM", required("SLUICEGATE_WASM"))
            .envs(variables.iter().copied())
            .output()
            .expect("scripts/push")
    }

    /// Writes the login that `docker login` would.
    pub(crate) fn log_in(&self, user: &str, password: &str) {
        use base64::Engine as _;
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let config =
            serde_json::json!({ "auths": { self.address.to_string(): { "auth": login } } });
        let file = self.files.path().join("config.json");
        fs::write(file, config.to_string()).expect("a configuration");
    }

    /// The type and the bytes of a manifest.
    pub(crate) async fn manifest(&self, name: &str, tag: &str) -> (String, Vec<u8>) {
        let call = Call::get(&format!("/v2/{name}/manifests/{tag}")).header("accept", MANIFESTS);
        let answer = Client::http1(self.address).send(call).await;
        assert_eq!(answer.status, 200, "{name}:{tag}: {}", answer.text());
        let kind = answer.header("content-type").expect("a type").to_owned();
        (kind, answer.body.to_vec())
    }

    /// The module in an image, as Istio (`pkg/wasm/imagefetcher.go`) and Envoy Gateway
    /// (`internal/wasm/imagefetcher.go`) find it.
    pub(crate) async fn fetch(&self, name: &str, tag: &str) -> Result<Vec<u8>, String> {
        let (kind, manifest) = self.manifest(name, tag).await;
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        let layers = manifest["layers"].as_array().expect("layers");
        // Both ask for an image, and a list of images would be resolved first.
        if kind == "application/vnd.docker.distribution.manifest.v2+json" {
            return self.fetch_plugin(name, layers, DOCKER_LAYER).await;
        }
        if kind != "application/vnd.oci.image.manifest.v1+json" {
            return Err(format!("{kind} is no image"));
        }
        match self.fetch_plugin(name, layers, OCI_LAYER).await {
            Ok(module) => Ok(module),
            Err(reason) => {
                let module = self.fetch_artifact(name, layers).await;
                module.map_err(|other| format!("{reason}; {other}"))
            }
        }
    }

    /// From the last layer, the file `plugin.wasm` of an archive.
    async fn fetch_plugin(
        &self,
        name: &str,
        layers: &[Value],
        kind: &str,
    ) -> Result<Vec<u8>, String> {
        let layer = layers.last().ok_or("no layer")?;
        if layer["mediaType"] != kind {
            return Err(format!("the last layer is {}", layer["mediaType"]));
        }
        let mut archive = Vec::new();
        let packed = self.blob(name, layer).await;
        GzDecoder::new(&packed[..])
            .read_to_end(&mut archive)
            .map_err(|error| error.to_string())?;
        file(&archive, "plugin.wasm").ok_or_else(|| "no plugin.wasm".to_owned())
    }

    /// Of exactly two layers, the one that is a module.
    async fn fetch_artifact(&self, name: &str, layers: &[Value]) -> Result<Vec<u8>, String> {
        let [_, _] = layers else {
            return Err(format!("{} layers", layers.len()));
        };
        let module = layers
            .iter()
            .find(|layer| layer["mediaType"] == "application/vnd.module.wasm.content.layer.v1+wasm")
            .ok_or("no module")?;
        Ok(self.blob(name, module).await)
    }

    async fn blob(&self, name: &str, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().expect("a digest");
        let call = Call::get(&format!("/v2/{name}/blobs/{digest}"));
        let answer = Client::http1(self.address).send(call).await;
        assert_eq!(answer.status, 200, "{digest}");
        assert_eq!(digest, sha256(&answer.body));
        answer.body.to_vec()
    }
}

const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `sha256:` and the digest of these bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", digits.concat())
}

/// The file of this name, in whichever directory, of a tar archive.
fn file(mut archive: &[u8], name: &str) -> Option<Vec<u8>> {
    const BLOCK: usize = 512;
    loop {
        let (head, rest) = archive.split_at_checked(BLOCK)?;
        let text = |from: usize, to: usize| {
            let field = &head[from..to];
            let end = field.iter().position(|byte| *byte == 0);
            String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
        };
        let size = usize::from_str_radix(text(124, 136).trim(), 8).ok()?;
        if text(0, 100).rsplit('/').next() == Some(name) {
            return rest.get(..size).map(<[u8]>::to_vec);
        }
        archive = rest.get(size.next_multiple_of(BLOCK)..)?;
    }
}
