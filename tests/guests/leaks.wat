;; Tries to hold what the host gave it for ever: timers that it never gives back, asked for without
;; end or waited for by the thousand in one call.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "pollable" (type $q (eq $p)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $q))))))
  (core module $Memory
    (memory (export "memory") 4)
    ;; Answers go over one another, behind the list of handles.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $memory (instantiate $Memory))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $poll' (canon lower (func $poll "poll")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $M
    (import "memory" "memory" (memory 4))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "poll" (func $poll (param i32 i32 i32)))
    (func $takes_handles (export "handles")
      (loop (drop (call $subscribe (i64.const 1))) (br 0)))
    (func $polls_thousands (param $ready i32) (local $n i32)
      ;; 5,000 that are due in a century; the first one at once if it is to come back at once.
      (loop $more
        (i32.store (i32.mul (local.get $n) (i32.const 4))
          (call $subscribe (i64.const 3155760000000000000)))
        (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 5000))))
      (if (local.get $ready) (then (i32.store (i32.const 0) (call $subscribe (i64.const 0)))))
      (loop (call $poll (i32.const 0) (i32.const 5000) (i32.const 65528)) (br 0)))
    (func (export "poll-late") (call $polls_thousands (i32.const 0)))
    (func (export "poll-due") (call $polls_thousands (i32.const 1))))
  (core instance $m (instantiate $M (with "memory" (instance $memory))
    (with "host" (instance (export "subscribe" (func $subscribe)) (export "poll" (func $poll'))))))
  (func (export "handles") (canon lift (core func $m "handles")))
  (func (export "poll-late") (canon lift (core func $m "poll-late")))
  (func (export "poll-due") (canon lift (core func $m "poll-due"))))
