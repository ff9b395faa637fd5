//! Tries values that JSON or a Python client may choke on.

wit_bindgen::generate!({
    inline: "
        package guest:oddities;
        interface tasks {
            nan: func() -> f64;
            infinity: func() -> f64;
            minus-infinity: func() -> f64;
            beyond-doubles: func() -> u64;
            controls: func() -> string;
        }
        world plugin { export tasks; }
    ",
});

struct Oddities;
export!(Oddities);

impl exports::guest::oddities::tasks::Guest for Oddities {
    fn nan() -> f64 {
        f64::NAN
    }

    fn infinity() -> f64 {
        f64::INFINITY
    }

    fn minus_infinity() -> f64 {
        f64::NEG_INFINITY
    }

    /// One more than the largest integer that a double holds exactly.
    fn beyond_doubles() -> u64 {
        (1 << 53) + 1
    }

    fn controls() -> String {
        "\0\x1b[2J\u{2028}\u{feff}\"\\</script>".to_owned()
    }
}
