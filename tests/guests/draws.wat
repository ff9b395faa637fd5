;; Tries to drain the host of randomness: word by word, in pieces, and all of it in one call.
(component
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-u64" (func (result u64)))
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (core module $Memory
    (memory (export "memory") 20)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $Memory))
  (core func $word (canon lower (func $random "get-random-u64")))
  (core func $bytes (canon lower (func $random "get-random-bytes")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $M
    (import "" "word" (func $word (result i64)))
    (import "" "bytes" (func $bytes (param i64 i32)))
    (func $draws_words (export "words") (loop (drop (call $word)) (br 0)))
    (func $draws_bytes (export "bytes") (param i64)
      (loop (call $bytes (local.get 0) (i32.const 8)) (br 0))))
  (core instance $m (instantiate $M
    (with "" (instance (export "word" (func $word)) (export "bytes" (func $bytes))))))
  (func (export "words") (canon lift (core func $m "words")))
  (func (export "bytes") (param "at-once" u64) (canon lift (core func $m "bytes"))))
