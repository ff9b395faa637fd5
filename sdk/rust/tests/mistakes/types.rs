//! Types that cannot cross.

use std::collections::HashMap;
use std::time::Duration;

#[umbel::tasks]
mod tasks {
    use super::*;

    pub fn sizes(length: usize, wide: u128) {}
    pub fn maps(counts: HashMap<String, u32>) -> Vec<HashMap<String, u32>> {
        vec![counts]
    }
    pub fn waits(times: Vec<Duration>) {}
    pub fn borrows(names: Vec<&str>, all: &[&str]) {}
    pub fn changes(numbers: &mut Vec<u8>) {}
    pub fn arrays(key: [u8; 32]) {}
    pub fn pictures(picture: Picture) {}
    pub fn anything(value: impl ToString) {}
    pub fn nothing(value: Option<()>) {}
}

pub struct Picture;
