//! Tries to use the network: asks for an interface that no plugin gets unasked.

wit_bindgen::generate!({
    inline: "
        package guest:dials;
        interface tasks {
            dial: func() -> string;
        }
        world plugin {
            import wasi:http/outgoing-handler@0.2.0;
            export tasks;
        }
        package wasi:http@0.2.0 {
            interface types {
                resource fields {
                    constructor();
                }
                resource outgoing-request {
                    constructor(headers: fields);
                }
            }
            interface outgoing-handler {
                use types.{outgoing-request};
                handle: func(request: outgoing-request);
            }
        }
    ",
    generate_all,
});

use wasi::http::outgoing_handler::handle;
use wasi::http::types::{Fields, OutgoingRequest};

struct Dials;
export!(Dials);

impl exports::guest::dials::tasks::Guest for Dials {
    fn dial() -> String {
        handle(OutgoingRequest::new(Fields::new()));
        "somebody answered".to_owned()
    }
}
