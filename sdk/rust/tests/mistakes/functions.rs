//! Functions that cannot be tasks.

#[umbel::tasks]
mod tasks {
    pub fn largest<T: Ord>(values: Vec<T>) {}
    pub fn pair((a, b): (u32, u32)) {}
    pub fn size_2(side_1: u32) {}
    pub extern "C" fn foreign() {}
    #[cfg(unix)]
    pub fn sometimes() {}
    pub fn one_by_one(&self) {}
}
