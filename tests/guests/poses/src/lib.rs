//! Tries to pick the class that a Python client instantiates with text of the guest's choosing.

wit_bindgen::generate!({
    inline: "
        package guest:poses;
        interface tasks {
            use umbel:task/types@0.1.0.{error};
            fail-as: func(kind: string, message: string) -> result<_, error>;
        }
        world plugin { export tasks; }
    ",
    path: "../../../wit",
    generate_all,
});

use umbel::task::types::{Error, Failure};

struct Poses;
export!(Poses);

impl exports::guest::poses::tasks::Guest for Poses {
    fn fail_as(kind: String, message: String) -> Result<(), Error> {
        Err(Error::Failed(Failure { kind, message, data: None }))
    }
}
