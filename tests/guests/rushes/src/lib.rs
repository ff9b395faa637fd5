//! Does over WASI 0.3 what `reaches` does over 0.2: reaches out of the folders, the room and the
//! addresses that it was granted.

mod net;

use std::fs::OpenOptions;
use std::io::Write;

use wasip3::filesystem::preopens;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip3::wit_stream;

wit_bindgen::generate!({
    inline: "
        package guest:rushes;
        interface tasks {
            read: async func(path: string) -> result<string, string>;
            write: async func(path: string, text: string) -> result<_, string>;
            append: async func(path: string, text: string) -> result<_, string>;
            fill: async func(path: string, mib: u32) -> result<u64, string>;
            stretch: async func(path: string, size: u64) -> result<_, string>;
            leap: async func(path: string, offset: u64) -> result<_, string>;
            litter: async func(folder: string, count: u32) -> u32;
            churn: async func(path: string, mib: u32, rounds: u32) -> u32;
            hard-link: async func(path: string, other: string) -> result<_, string>;
            point: async func(target: string, link: string) -> result<_, string>;
            move-to: async func(path: string, other: string) -> result<_, string>;
            remove: async func(path: string) -> result<_, string>;
            list-folder: async func(path: string) -> result<list<string>, string>;
            /// Begins so many listings and reads none of them.
            listings: async func(path: string, count: u32) -> result<u32, string>;
            /// Writes so many bytes to the standard output, and says how many were taken.
            say: async func(bytes: u32) -> u32;
            /// Writes over WASI 0.3 and reads over 0.2.
            both: async func(path: string, text: string) -> result<string, string>;
            /// Fills over one and the other in turn.
            fill-both: async func(path: string, mib: u32) -> result<u64, string>;
            dial: async func(place: string) -> result<string, string>;
            hold: async func(place: string, count: u32) -> u32;
            listen: async func(place: string) -> result<_, string>;
        }
        world plugin { export tasks; }
    ",
});

struct Rushes;
export!(Rushes);

const MIB: usize = 1 << 20;

fn told<T>(result: Result<T, ErrorCode>) -> Result<T, String> {
    result.map_err(|why| format!("{why:?}").to_lowercase())
}

/// The granted folder that a path begins with, and the rest of it.
fn place(path: &str) -> Result<(Descriptor, String), String> {
    let below = |name: &str| Some(path.strip_prefix(name)?.strip_prefix('/')?.to_owned());
    let found = preopens::get_directories()
        .into_iter()
        .find_map(|(folder, name)| Some((folder, below(&name)?)));
    found.ok_or_else(|| format!("{path} lies in no granted folder"))
}

async fn open(path: &str, how: OpenFlags, what: DescriptorFlags) -> Result<Descriptor, String> {
    let (folder, rest) = place(path)?;
    told(folder.open_at(PathFlags::SYMLINK_FOLLOW, rest, how, what).await)
}

async fn create(path: &str) -> Result<Descriptor, String> {
    open(path, OpenFlags::CREATE | OpenFlags::TRUNCATE, DescriptorFlags::WRITE).await
}

/// Writes at a place, or at the end.
async fn put(file: &Descriptor, at: Option<u64>, bytes: Vec<u8>) -> Result<(), String> {
    let (mut writer, reader) = wit_stream::new();
    let done = match at {
        Some(at) => file.write_via_stream(reader, at),
        None => file.append_via_stream(reader),
    };
    let left = writer.write_all(bytes).await.len();
    drop(writer);
    told(done.await)?;
    if left == 0 { Ok(()) } else { Err(format!("{left} bytes were not taken")) }
}

impl exports::guest::rushes::tasks::Guest for Rushes {
    async fn read(path: String) -> Result<String, String> {
        let file = open(&path, OpenFlags::empty(), DescriptorFlags::READ).await?;
        let (stream, done) = file.read_via_stream(0);
        let bytes = stream.collect().await;
        told(done.await)?;
        String::from_utf8(bytes).map_err(|why| why.to_string())
    }

    async fn write(path: String, text: String) -> Result<(), String> {
        put(&create(&path).await?, Some(0), text.into_bytes()).await
    }

    async fn append(path: String, text: String) -> Result<(), String> {
        let file = open(&path, OpenFlags::empty(), DescriptorFlags::WRITE).await?;
        put(&file, None, text.into_bytes()).await
    }

    async fn fill(path: String, mib: u32) -> Result<u64, String> {
        let file = create(&path).await?;
        let mut written = 0;
        while written < u64::from(mib) {
            if put(&file, Some(written << 20), vec![7; MIB]).await.is_err() {
                break;
            }
            written += 1;
        }
        Ok(written)
    }

    async fn stretch(path: String, size: u64) -> Result<(), String> {
        told(create(&path).await?.set_size(size).await)
    }

    async fn leap(path: String, offset: u64) -> Result<(), String> {
        put(&create(&path).await?, Some(offset), b"far away".to_vec()).await
    }

    async fn litter(folder: String, count: u32) -> u32 {
        for at in 0..count {
            let path = format!("{folder}/{at}");
            let made = match at % 2 {
                0 => create(&path).await.is_ok(),
                _ => match place(&path) {
                    Ok((folder, rest)) => folder.create_directory_at(rest).await.is_ok(),
                    Err(_) => false,
                },
            };
            if !made {
                return at;
            }
        }
        count
    }

    async fn churn(path: String, mib: u32, rounds: u32) -> u32 {
        for round in 0..rounds {
            let Ok(file) = create(&path).await else { return round };
            let written = put(&file, None, vec![7; mib as usize * MIB]).await;
            if written.is_err() || Self::remove(path.clone()).await.is_err() {
                return round;
            }
        }
        rounds
    }

    async fn hard_link(path: String, other: String) -> Result<(), String> {
        let ((from, path), (to, other)) = (place(&path)?, place(&other)?);
        told(from.link_at(PathFlags::empty(), path, &to, other).await)
    }

    async fn point(target: String, link: String) -> Result<(), String> {
        let (folder, link) = place(&link)?;
        told(folder.symlink_at(target, link).await)
    }

    async fn move_to(path: String, other: String) -> Result<(), String> {
        let ((from, path), (to, other)) = (place(&path)?, place(&other)?);
        told(from.rename_at(path, &to, other).await)
    }

    async fn remove(path: String) -> Result<(), String> {
        let (folder, rest) = place(&path)?;
        told(folder.unlink_file_at(rest).await)
    }

    async fn list_folder(path: String) -> Result<Vec<String>, String> {
        let (folder, _) = place(&format!("{path}/"))?;
        let (entries, done) = folder.read_directory();
        let entries = entries.collect().await;
        told(done.await)?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    async fn listings(path: String, count: u32) -> Result<u32, String> {
        let (folder, _) = place(&format!("{path}/"))?;
        let held: Vec<_> = (0..count).map(|_| folder.read_directory()).collect();
        let note = folder.stat_at(PathFlags::empty(), ".".to_owned()).await;
        told(note).map(|_| held.len() as u32)
    }

    async fn say(bytes: u32) -> u32 {
        let (mut writer, reader) = wit_stream::new();
        let done = wasip3::cli::stdout::write_via_stream(reader);
        let line = [b"said ", &[b'x'; 94][..], b"\n"].concat();
        let left = writer.write_all(line.repeat(bytes as usize / line.len())).await.len() as u32;
        drop(writer);
        let _ = done.await;
        bytes - left
    }

    async fn both(path: String, text: String) -> Result<String, String> {
        Self::write(path.clone(), text).await?;
        std::fs::read_to_string(path).map_err(|why| why.to_string())
    }

    async fn fill_both(path: String, mib: u32) -> Result<u64, String> {
        let file = create(&path).await?;
        let mut before =
            OpenOptions::new().append(true).open(&path).map_err(|why| why.to_string())?;
        let mut written = 0;
        while written < u64::from(mib) {
            let block = vec![7; MIB];
            let done = match written % 2 {
                0 => put(&file, Some(written << 20), block).await.is_ok(),
                _ => before.write_all(&block).and_then(|()| before.flush()).is_ok(),
            };
            if !done {
                break;
            }
            written += 1;
        }
        Ok(written)
    }

    async fn dial(place: String) -> Result<String, String> {
        net::dial(&place).await
    }

    async fn hold(place: String, count: u32) -> u32 {
        let mut held = Vec::new();
        while held.len() < count as usize {
            match net::connect(&place).await {
                Ok(socket) => held.push(socket),
                Err(_) => break,
            }
        }
        held.len() as u32
    }

    async fn listen(place: String) -> Result<(), String> {
        net::listen(&place)
    }
}
