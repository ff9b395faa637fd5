//! Tasks that give back what they are given, of every type that the Rust SDK takes.

#[umbel::tasks]
mod shapes {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use umbel::{Context, Error, Json, Value, log};

    type Id = u64;
    type Numbers = (u8, i8, u16, i16, u32, i32, i64, f32);

    #[derive(umbel::Type)]
    pub struct Order {
        pub id: Id,
        pub lines: Vec<Line>,
        /// A word of Rust's.
        pub r#type: Option<Kind>,
        pub notes: Json<BTreeMap<String, u32>>,
        pub json: Value,
    }

    #[derive(umbel::Type)]
    pub struct Line(pub String, pub u32);

    #[derive(umbel::Type)]
    pub struct Percent(u8);

    #[derive(umbel::Type)]
    pub enum Kind {
        Gift,
        FreeSample,
    }

    #[derive(umbel::Type)]
    pub enum Shape {
        Circle(f64),
        Rectangle(f64, f64),
        Of(Kind),
        Empty,
    }

    /// An error of the tasks' own.
    #[derive(umbel::Type)]
    pub struct Error2 {
        pub code: u32,
    }

    pub fn numbers(all: Numbers, yes: bool, letter: char) -> (Numbers, bool, char) {
        (all, yes, letter)
    }

    pub fn order(order: Order) -> Order {
        order
    }

    /// "Quoted", \ and
    ///
    /// on several lines.
    pub fn many(shapes: Vec<Option<Shape>>) -> Vec<Option<Shape>> {
        shapes
    }

    pub fn percent(of: Percent, more: Option<Percent>) -> Percent {
        Percent(of.0 + more.map_or(0, |more| more.0))
    }

    pub fn checks(values: Vec<u32>) -> Vec<Result<Kind, String>> {
        let check =
            |value| if value < 10 { Ok(Kind::Gift) } else { Err(format!("{value} is too much")) };
        values.into_iter().map(check).collect()
    }

    pub fn borrowed(
        text: &str,
        bytes: &[u8],
        lines: &[Line],
        order: &Order,
    ) -> (u64, Vec<u8>, u64, Id) {
        (text.len() as u64, bytes.to_vec(), lines.len() as u64, order.id)
    }

    pub fn any(value: Value) -> Value {
        value
    }

    pub fn all(args: Vec<Value>, kwargs: Json<BTreeMap<String, u32>>) -> umbel::Result<u32> {
        Ok(args.len() as u32 + kwargs.0.values().sum::<u32>())
    }

    pub fn constant() -> &'static str {
        "always"
    }

    pub fn nothing() {}

    pub fn fail(with: String) -> Result<(), Error2> {
        match with.as_str() {
            "" => Ok(()),
            with => Err(Error2 { code: with.len() as u32 }),
        }
    }

    pub fn parse(text: &str) -> Result<u8, std::num::ParseIntError> {
        text.parse()
    }

    pub fn ending(ctx: &Context, how: String) -> umbel::Result<String> {
        log::info(format!("{} in {:?}", ctx.name, ctx.remaining() > Duration::ZERO));
        ctx.progress(1, 2);
        match how.as_str() {
            "retry" => Err(Error::retry("later").after(Duration::from_millis(1500)).at_most(2)),
            "fail" => Err(Error::failed("LabError", "as asked").with_data(&[1, 2])),
            "text" => Err("only text")?,
            "reject" => Err(Error::Reject(false)),
            "ignore" => Err(Error::Ignore),
            _ => Ok(ctx.id.clone()),
        }
    }

    pub async fn later(text: String, kind: Option<Kind>) -> umbel::Result<(String, Option<Kind>)> {
        Ok((text, kind))
    }
}
