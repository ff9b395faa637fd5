//! Tries the ways in which code can break.

wit_bindgen::generate!({
    inline: "
        package guest:traps;
        interface tasks {
            misstep: func();
            panic: func(message: string);
            out-of-bounds: func(address: u32) -> u8;
        }
        world plugin { export tasks; }
    ",
});

struct Traps;
export!(Traps);

impl exports::guest::traps::tasks::Guest for Traps {
    fn misstep() {
        deliberate_misstep();
    }

    fn panic(message: String) {
        panic!("{message}");
    }

    fn out_of_bounds(address: u32) -> u8 {
        // Beyond what a component without grants can have.
        unsafe { (address as usize as *const u8).read_volatile() }
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn deliberate_misstep() {
    core::arch::wasm32::unreachable()
}
