//! Reaches out of what it was granted: other folders, more room, other addresses, a finer clock.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};

wit_bindgen::generate!({
    inline: "
        package guest:reaches;
        interface tasks {
            variable: func(name: string) -> option<string>;
            setting: func(name: string) -> option<string>;
            read: func(path: string) -> result<string, string>;
            write: func(path: string, text: string) -> result<_, string>;
            append: func(path: string, text: string) -> result<_, string>;
            fill: func(path: string, mib: u32) -> result<u64, string>;
            stretch: func(path: string, size: u64) -> result<_, string>;
            leap: func(path: string, offset: u64) -> result<_, string>;
            litter: func(folder: string, count: u32) -> u32;
            churn: func(path: string, mib: u32, rounds: u32) -> u32;
            hard-link: func(path: string, other: string) -> result<_, string>;
            point: func(target: string, link: string) -> result<_, string>;
            move-to: func(path: string, other: string) -> result<_, string>;
            remove: func(path: string) -> result<_, string>;
            steps: func(count: u32) -> list<u64>;
            dial: func(place: string) -> result<string, string>;
            hold: func(place: string, count: u32) -> u32;
            listen: func(place: string) -> result<_, string>;
        }
        world plugin {
            import wasi:config/store@0.2.0-rc.1;
            export tasks;
        }
        package wasi:config@0.2.0-rc.1 {
            interface store {
                variant error { upstream(string), io(string) }
                get: func(key: string) -> result<option<string>, error>;
            }
        }
    ",
    generate_all,
});

struct Reaches;
export!(Reaches);

const MIB: usize = 1 << 20;

fn told<T>(result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|why| why.to_string())
}

impl exports::guest::reaches::tasks::Guest for Reaches {
    fn variable(name: String) -> Option<String> {
        std::env::var(name).ok()
    }

    fn setting(name: String) -> Option<String> {
        wasi::config::store::get(&name).ok().flatten()
    }

    fn read(path: String) -> Result<String, String> {
        told(std::fs::read_to_string(path))
    }

    fn write(path: String, text: String) -> Result<(), String> {
        told(std::fs::write(path, text))
    }

    fn append(path: String, text: String) -> Result<(), String> {
        let file = OpenOptions::new().append(true).open(path);
        told(file.and_then(|mut file| file.write_all(text.as_bytes())))
    }

    fn fill(path: String, mib: u32) -> Result<u64, String> {
        let mut file = told(File::create(path))?;
        let block = vec![7; MIB];
        let mut written = 0;
        for _ in 0..mib {
            if file.write_all(&block).is_err() {
                break;
            }
            written += 1;
        }
        Ok(written)
    }

    fn stretch(path: String, size: u64) -> Result<(), String> {
        told(File::create(path).and_then(|file| file.set_len(size)))
    }

    fn leap(path: String, offset: u64) -> Result<(), String> {
        let mut file = told(File::create(path))?;
        told(file.seek(SeekFrom::Start(offset)))?;
        told(file.write_all(b"far away").and_then(|()| file.flush()))
    }

    fn litter(folder: String, count: u32) -> u32 {
        let made = |at: &u32| match at % 2 {
            0 => File::create(format!("{folder}/{at}")).is_ok(),
            _ => std::fs::create_dir(format!("{folder}/{at}")).is_ok(),
        };
        (0..count).take_while(made).count() as u32
    }

    fn churn(path: String, mib: u32, rounds: u32) -> u32 {
        let block = vec![7; mib as usize * MIB];
        let written = |_: &u32| {
            let done = std::fs::write(&path, &block).is_ok();
            done && std::fs::remove_file(&path).is_ok()
        };
        (0..rounds).take_while(written).count() as u32
    }

    fn hard_link(path: String, other: String) -> Result<(), String> {
        told(std::fs::hard_link(path, other))
    }

    #[allow(deprecated)]
    fn point(target: String, link: String) -> Result<(), String> {
        told(std::fs::soft_link(target, link))
    }

    fn move_to(path: String, other: String) -> Result<(), String> {
        told(std::fs::rename(path, other))
    }

    fn remove(path: String) -> Result<(), String> {
        told(std::fs::remove_file(path))
    }

    fn steps(count: u32) -> Vec<u64> {
        let start = std::time::UNIX_EPOCH;
        let now = || std::time::SystemTime::now().duration_since(start);
        (0..count).map(|_| now().map_or(0, |time| time.as_nanos() as u64)).collect()
    }

    fn dial(place: String) -> Result<String, String> {
        let mut stream = told(TcpStream::connect(place))?;
        told(stream.write_all(b"hello\n"))?;
        let mut answer = String::new();
        told(stream.read_to_string(&mut answer))?;
        Ok(answer)
    }

    fn hold(place: String, count: u32) -> u32 {
        let mut held = Vec::new();
        for _ in 0..count {
            match TcpStream::connect(&place) {
                Ok(stream) => held.push(stream),
                Err(_) => break,
            }
        }
        held.len() as u32
    }

    fn listen(place: String) -> Result<(), String> {
        told(TcpListener::bind(place).map(drop))
    }
}
