//! Whose plugins are taken: pinned contents and signatures, checked on the bytes that are compiled.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};

use crate::load::Refusal;

/// What must hold of a component file before anything looks into it. By default nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// The SHA-256 that its content must have, in hexadecimal.
    pub sha256: Option<String>,
    /// Minisign's public keys (`RW…`), of which one must have signed it.
    pub keys: Vec<String>,
    /// Refuse a file that nobody signed; otherwise only one that is signed wrongly.
    pub signed: bool,
}

/// Far more than a signature with its comments takes.
const LARGEST_SIGNATURE: u64 = 16 << 10;

impl Trust {
    /// Says what is wrong with a public key.
    pub fn check_key(key: &str) -> Result<(), String> {
        let wrong = |e| format!("`{key}` is no public key of minisign: {}", lower(&e));
        PublicKey::from_base64(key).map(drop).map_err(wrong)
    }

    /// Refuses content that is not the pinned one or that none of the keys signed.
    pub(crate) fn check(&self, file: &Path, bytes: &[u8], digest: &str) -> Result<(), Refusal> {
        if let Some(pinned) = &self.sha256
            && !pinned.eq_ignore_ascii_case(digest)
        {
            let what = format!("has the SHA-256 {digest}, but {pinned} is pinned");
            let help = "if the new content is meant, correct `sha256` in the plugin's table";
            return Err((what, Some(help.to_owned())));
        }
        if self.keys.is_empty() && !self.signed {
            return Ok(());
        }
        let beside = signature_of(file);
        let Some(text) = read(&beside)? else {
            if !self.signed {
                return Ok(());
            }
            let what = format!("is not signed: there is no {}", beside.display());
            let help = format!("sign it with a key of `plugins.trust`: minisign -Sm {file:?}");
            return Err((what, Some(help)));
        };
        let unreadable = |e| (format!("has a signature that cannot be read: {}", lower(&e)), None);
        let signature = Signature::decode(&text).map_err(unreadable)?;
        let mut why = "it was made with none of the trusted keys".to_owned();
        for key in &self.keys {
            // Old signatures are of the whole content instead of its hash; nothing makes them now.
            let verified =
                PublicKey::from_base64(key).and_then(|key| key.verify(bytes, &signature, false));
            match verified {
                Ok(()) => return Ok(()),
                Err(minisign_verify::Error::UnexpectedKeyId) => {}
                Err(error) => why = lower(&error),
            }
        }
        let help = "somebody changed the file after it was signed, or signed it with a key that \
                    is not in `plugins.trust`";
        Err((format!("has a signature that does not hold: {why}"), Some(help.to_owned())))
    }
}

/// `images.wasm.minisig` for `images.wasm`.
fn signature_of(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}

fn read(path: &Path) -> Result<Option<String>, Refusal> {
    let unreadable = |e: std::io::Error| {
        (format!("has a signature {} that cannot be read: {e}", path.display()), None)
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
    };
    let mut text = String::new();
    file.take(LARGEST_SIGNATURE).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Some(text))
}

fn lower(error: &minisign_verify::Error) -> String {
    error.to_string().to_lowercase()
}
