;; nearest: the elements next to the user come first.
;;
;; Hint: the name of the place where the user is, for example `vienna`.
;; Table `location`, rows of two numbers, east and north, in whatever unit:
;;     vienna        16 48      a place that users name
;;     ip:127.0.0.5  14 50      where the element with this address is
;;     pe:0000002a   13 52      or the one with this identifier
;; Rank: the distance. Elements whose place nobody knows come last. A user without a hint, or in a place that is not in the table, gets
;; the pool's own policy.
(module
  (import "sigpool" "row" (func $row (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "sigpool" "element_row" (func $element_row (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "location")
  ;; At 16: east and north of the user. At 32: east and north of an element.

  (func (export "rank") (param $block i32) (param $length i32) (result i32)
    (local $record i32) (local $index i32)
    (if (i32.ne
          (call $row
            (i32.const 0) (i32.const 8)                                                ;; the table's name
            (i32.add (local.get $block) (i32.load offset=24 (local.get $block)))       ;; the hint is the key
            (i32.load offset=28 (local.get $block))
            (i32.const 16) (i32.const 2))
          (i32.const 2))
      (then (return (i32.const 1))))                                                   ;; unknown: let the policy decide
    (local.set $record (i32.add (local.get $block) (i32.load offset=8 (local.get $block))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (i32.load offset=4 (local.get $block))))
        (i32.store (local.get $record) (call $distance (local.get $index)))
        (local.set $record (i32.add (local.get $record) (i32.load offset=12 (local.get $block))))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; From the user to an element.
  (func $distance (param $index i32) (result i32)
    (local $east f64) (local $north f64)
    (if (i32.ne
          (call $element_row (i32.const 0) (i32.const 8) (local.get $index) (i32.const 32) (i32.const 2))
          (i32.const 2))
      (then (return (i32.const 0xfffffffe))))                                          ;; last, but to be used
    (local.set $east
      (f64.convert_i64_s (i64.sub (i64.load (i32.const 32)) (i64.load (i32.const 16)))))
    (local.set $north
      (f64.convert_i64_s (i64.sub (i64.load (i32.const 40)) (i64.load (i32.const 24)))))
    (i32.trunc_sat_f64_u
      (f64.min
        (f64.const 4294967293)
        (f64.sqrt (f64.add
          (f64.mul (local.get $east) (local.get $east))
          (f64.mul (local.get $north) (local.get $north))))))))
