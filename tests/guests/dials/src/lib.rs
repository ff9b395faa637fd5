//! Tries to use the network: asks for an interface that no plugin gets unasked.

wit_bindgen::generate!({
    inline: "
        package guest:dials;
        interface tasks {
            dial: func() -> string;
        }
        world plugin {
            import wasi:http/types@0.2.0;
            export tasks;
        }
        package wasi:http@0.2.0 {
            interface types {
                resource fields {
                    constructor();
                }
            }
        }
    ",
    generate_all,
});

use wasi::http::types::Fields;

struct Dials;
export!(Dials);

impl exports::guest::dials::tasks::Guest for Dials {
    fn dial() -> String {
        let _headers = Fields::new();
        "a request could be made".to_owned()
    }
}
