//! Names that are one in WIT.

#[umbel::tasks]
mod tasks {
    #[derive(umbel::Type)]
    pub struct Size(u32);

    pub fn size(of: Size) -> Size {
        of
    }
}
