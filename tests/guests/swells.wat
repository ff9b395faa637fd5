;; Tries to take all there is of what is not memory in the plain sense: tables, many memories.
(component
  (core module $M
    (table $t 1 funcref)
    (memory $a 1)
    (memory $b 1)
    (memory $c 1)
    ;; Says how many elements it got before it was refused.
    (func $grows_a_table (export "table") (result i32)
      (loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
      (table.size $t))
    (func $grows_memories (export "memories")
      (loop
        (drop (memory.grow $a (i32.const 16)))
        (drop (memory.grow $b (i32.const 16)))
        (drop (memory.grow $c (i32.const 16)))
        (br 0))))
  (core instance $m (instantiate $M))
  (func (export "table") (result u32) (canon lift (core func $m "table")))
  (func (export "memories") (canon lift (core func $m "memories"))))
