//! An error that nobody could read, and JSON that nobody could write.

#[umbel::tasks]
mod tasks {
    pub struct Silent;

    pub fn fail() -> Result<(), Silent> {
        Err(Silent)
    }

    pub fn write() -> umbel::Json<Silent> {
        umbel::Json(Silent)
    }
}
