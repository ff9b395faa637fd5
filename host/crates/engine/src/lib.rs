//! Runs tasks that are functions of WebAssembly components. The only crate that knows wasmtime;
//! it cannot spell Celery.
