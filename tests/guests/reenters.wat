;; Tries to enter itself again while it runs: directly, and through a component inside it.
(component
  (core module $Simple (func (export "again")))
  (core instance $simple (instantiate $Simple))
  (func $again (canon lift (core func $simple "again")))
  (core func $lowered (canon lower (func $again)))
  (core module $Caller
    (import "" "again" (func $again))
    (func $steps_into_itself (export "run") (call $again)))
  (core instance $caller (instantiate $Caller (with "" (instance (export "again" (func $lowered))))))
  (func (export "directly") (canon lift (core func $caller "run")))

  ;; The child gets the parent's function before the parent can know the child's: hence the table.
  (core module $Table (table (export "t") 1 funcref))
  (core instance $table (instantiate $Table))
  (core module $Parent
    (import "" "t" (table 1 funcref))
    (type $call (func))
    (func (export "callback"))
    (func $asks_its_child (export "run") (call_indirect (type $call) (i32.const 0))))
  (core instance $parent (instantiate $Parent (with "" (instance $table))))
  (func $callback (canon lift (core func $parent "callback")))
  (component $Child
    (import "callback" (func $callback))
    (core func $lowered (canon lower (func $callback)))
    (core module $M
      (import "" "callback" (func $callback))
      (func $calls_back (export "run") (call $callback)))
    (core instance $m (instantiate $M (with "" (instance (export "callback" (func $lowered))))))
    (func (export "run") (canon lift (core func $m "run"))))
  (instance $child (instantiate $Child (with "callback" (func $callback))))
  (core func $run_child (canon lower (func $child "run")))
  (core module $Fill
    (import "" "t" (table 1 funcref))
    (import "" "run" (func $run))
    (elem (i32.const 0) func $run))
  (core instance (instantiate $Fill (with "" (instance
    (export "t" (table $table "t"))
    (export "run" (func $run_child))))))
  (func (export "through-a-child") (canon lift (core func $parent "run")))
)
