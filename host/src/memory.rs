//! What the system's allocator may keep to itself.

/// Makes glibc give back what is free. By its own rules each thread has a heap of its own and large
/// blocks stay in it once one was freed, so that a worker's memory grows for hours and stays where
/// its largest messages took it. Whoever configures glibc by its own variables is not overruled.
pub(crate) fn keep_little() {
    let chosen = |name: &str| std::env::var_os(name).is_some();
    if chosen("GLIBC_TUNABLES") || chosen("MALLOC_ARENA_MAX") {
        return;
    }
    #[cfg(target_env = "gnu")]
    for (option, value) in
        [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, LARGE)]
    {
        #[expect(
            unsafe_code,
            reason = "a function of C that takes two numbers; no other thread runs yet"
        )]
        // Refused, it leaves things as they were.
        let _ = unsafe { libc::mallopt(option, value) };
    }
}

/// From how many bytes on a block is the system's again when it is freed, and how much of the end of
/// a heap may stay unused.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 128 << 10;
