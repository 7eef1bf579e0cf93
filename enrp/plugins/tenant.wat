;; tenant: only the elements that serve the user's tenant, the least loaded first.
;;
;; Hint: the tenant's name, for example `acme`.
;; Table `tenant`:
;;     acme          7          a tenant's number
;;     ip:127.0.0.5  7 9        the tenants of the element with this address, up to eight
;;     pe:0000002a   9          or of the one with this identifier
;; Rank: the load in 256 steps, so that elements loaded about alike share the work as the pool's policy says. The load is what users
;; reported, else what the element itself registered (policies with a load), else 0. An element in the last step, or that serves
;; other tenants only, is not used at all: a tenant without elements gets none. Without a hint, or with an unknown one, the pool's own policy
;; decides.
(module
  (import "sigpool" "row" (func $row (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "sigpool" "element_row" (func $element_row (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "tenant")
  ;; At 16: the user's tenant. At 32: up to eight tenants of an element.

  (func (export "rank") (param $block i32) (param $length i32) (result i32)
    (local $record i32) (local $index i32)
    (if (i32.lt_s
          (call $row
            (i32.const 0) (i32.const 6)                                                ;; the table's name
            (i32.add (local.get $block) (i32.load offset=24 (local.get $block)))       ;; the hint is the key
            (i32.load offset=28 (local.get $block))
            (i32.const 16) (i32.const 1))
          (i32.const 1))
      (then (return (i32.const 1))))                                                   ;; unknown: let the policy decide
    (local.set $record (i32.add (local.get $block) (i32.load offset=8 (local.get $block))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (i32.load offset=4 (local.get $block))))
        (i32.store (local.get $record)
          (if (result i32) (call $serves (local.get $index))
            (then (call $load (local.get $record)))
            (else (i32.const 0xffffffff))))                                            ;; not to be used
        (local.set $record (i32.add (local.get $record) (i32.load offset=12 (local.get $block))))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Whether the element serves the user's tenant.
  (func $serves (param $index i32) (result i32)
    (local $at i32) (local $end i32)
    (local.set $end
      (i32.add (i32.const 32)
        (i32.mul (i32.const 8)
          (call $element_row (i32.const 0) (i32.const 6) (local.get $index) (i32.const 32) (i32.const 8)))))
    (local.set $at (i32.const 32))
    (block $none
      (loop $next
        (br_if $none (i32.ge_s (local.get $at) (local.get $end)))                      ;; no row is -1 numbers
        (if (i64.eq (i64.load (local.get $at)) (i64.load (i32.const 16)))
          (then (return (i32.const 1))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $next)))
    (i32.const 0))

  ;; The element's load in 256 steps; the last one is full, and not to be used.
  (func $load (param $record i32) (result i32)
    (local $load i32)
    (if (i32.and (i32.load offset=20 (local.get $record)) (i32.const 1))               ;; users reported one
      (then (local.set $load (i32.load offset=24 (local.get $record))))
      (else
        (if (i32.and (i32.load offset=8 (local.get $record)) (i32.const 0x40000000))   ;; a policy with a load
          (then (local.set $load (i32.load offset=12 (local.get $record)))))))
    (local.set $load (i32.shr_u (local.get $load) (i32.const 24)))
    (select (i32.const 0xffffffff) (local.get $load) (i32.eq (local.get $load) (i32.const 255)))))
