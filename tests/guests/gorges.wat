;; Tries to take all memory before any of its functions is called.
(component
  (core module $M
    (memory 1)
    (func $takes_it_all (loop (drop (memory.grow (i32.const 16))) (br 0)))
    (start $takes_it_all)
    (func (export "reach")))
  (core instance $m (instantiate $M))
  (func (export "reach") (canon lift (core func $m "reach"))))
