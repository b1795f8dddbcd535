// Hints, barriers, exceptions, system registers.
nop
yield
hint #0
hint #127
bti
bti c
bti j
bti jc
paciasp
autiasp
isb
dsb oshld
dsb nshst
dsb ish
dsb ishst
dsb sy
dmb oshst
dmb osh
dmb nshld
dmb nsh
dmb ishld
dmb ishst
dmb ish
dmb ld
dmb st
dmb sy
svc #0
svc #0xffff
hvc #1
smc #0x8000
brk #0xf000
hlt #0xffff
mrs x0, sp_el0
mrs x30, tpidr_el1
mrs x1, tpidr_el0
mrs x2, cntvct_el0
mrs x3, ctr_el0
mrs x4, dczid_el0
mrs x5, midr_el1
mrs x6, currentel
mrs x7, daif
mrs x8, nzcv
mrs x9, mpidr_el1
msr sp_el0, x0
msr tpidr_el1, xzr
msr nzcv, x1
msr daif, x2
dc cvau, x0
dc civac, x30
dc zva, x1
ic ivau, x2
ic iallu
