//! Tries to pass off as JSON what is none, so that a client chokes on it.

wit_bindgen::generate!({
    inline: "
        package guest:lies;
        interface tasks {
            use umbel:task/types@0.1.0.{json};
            answer: func(text: string) -> json;
        }
        world plugin { export tasks; }
    ",
    path: "../../../wit",
    generate_all,
});

struct Lies;
export!(Lies);

impl exports::guest::lies::tasks::Guest for Lies {
    fn answer(text: String) -> String {
        text
    }
}
