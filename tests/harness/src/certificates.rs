//! Certificates for a server on `localhost` and for one client, and the authority that signed them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Makes `ca.pem`, and `server` and `client` with `.pem` and `.key`, in a folder; anybody may read them.
pub fn make(folder: &Path) {
    let write = |file: &str, text: &str| fs::write(folder.join(file), text).expect("it is ours");
    write("san", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=test-authority \
         -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem",
    );
    for name in ["server", "client"] {
        openssl(
            folder,
            &format!(
                "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {name}.key -out {name}.csr"
            ),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
                 -extfile san -out {name}.pem"
            ),
        );
        let key = folder.join(format!("{name}.key"));
        fs::set_permissions(key, fs::Permissions::from_mode(0o644)).expect("it is ours");
    }
}

/// The query of a URL that names the authority and the client's certificate, as Celery spells it.
pub fn query(folder: &Path) -> String {
    let at = |file: &str| folder.join(file).display().to_string();
    let [authority, certificate, key] = ["ca.pem", "client.pem", "client.key"].map(at);
    format!("ssl_ca_certs={authority}&ssl_certfile={certificate}&ssl_keyfile={key}")
}

fn openssl(folder: &Path, step: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(step.split_whitespace()).current_dir(folder);
    let output = openssl.output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {step}: {output:?}");
}
