//! Types that are declared, but not so that they can cross.

#[umbel::tasks]
mod tasks {
    pub fn bare(point: Point) {}
    pub struct Point {
        pub x: f64,
    }

    pub fn tree(tree: Tree) {}
    #[derive(umbel::Type)]
    pub struct Tree {
        pub name: String,
        pub children: Vec<Tree>,
    }

    pub fn of(of: Of<u8>) {}
    #[derive(umbel::Type)]
    pub struct Of<T> {
        pub inner: T,
    }
}
