// Branches and addresses; near, back and far come from the linker.
b near
b far
bl back
bl far
b.eq near
b.le back
b.al near
cbz x0, near
cbz w30, back
cbnz x0, back
cbnz wzr, near
tbz x0, #63, near
tbz w0, #0, back
tbz x1, #31, near
tbnz x0, #32, back
tbnz w0, #31, near
br x16
blr x30
ret
ret x9
adr x0, near
adr x30, back+1
adrp x0, far
adrp xzr, back
add x0, x1, :lo12:far
add sp, x1, :lo12:near
ldr x0, near
ldr w30, back
ldr x0, [x1, :lo12:far]
ldr w0, [sp, :lo12:near]
str x0, [x1, :lo12:far]
str wzr, [x1, :lo12:near]
adrp x9, far
add x9, x9, :lo12:far
