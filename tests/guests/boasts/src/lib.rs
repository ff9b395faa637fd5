//! Tries results that no caller wants: far above the cap, or a million levels deep.

wit_bindgen::generate!({
    inline: "
        package guest:boasts;
        interface tasks {
            use umbel:task/types@0.1.0.{json};
            text: func(bytes: u32) -> string;
            bytes: func(bytes: u32) -> list<u8>;
            numbers: func(count: u32) -> list<u64>;
            deep: func(levels: u32) -> json;
        }
        world plugin { export tasks; }
    ",
    path: "../../../wit",
    generate_all,
});

struct Boasts;
export!(Boasts);

impl exports::guest::boasts::tasks::Guest for Boasts {
    fn text(bytes: u32) -> String {
        "x".repeat(bytes as usize)
    }

    fn bytes(bytes: u32) -> Vec<u8> {
        vec![0xff; bytes as usize]
    }

    fn numbers(count: u32) -> Vec<u64> {
        vec![u64::MAX; count as usize]
    }

    fn deep(levels: u32) -> String {
        format!("{}{}", "[".repeat(levels as usize), "]".repeat(levels as usize))
    }
}
