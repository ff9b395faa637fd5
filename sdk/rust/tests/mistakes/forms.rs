//! Forms of types that WIT does not have.

#[umbel::tasks]
mod tasks {
    #[derive(umbel::Type)]
    pub enum Shape {
        Circle { radius: f64 },
        Dot,
    }

    #[derive(umbel::Type)]
    pub struct Marker;

    #[derive(umbel::Type)]
    pub enum Never {}

    pub fn all(shape: Shape, marker: Marker, never: Never) {}
}
