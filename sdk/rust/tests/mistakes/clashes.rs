//! Names that are one in WIT.

#![allow(non_snake_case)]

#[umbel::tasks]
mod tasks {
    pub fn get_size() -> u32 {
        1
    }

    pub fn getSize() -> u32 {
        2
    }
}
