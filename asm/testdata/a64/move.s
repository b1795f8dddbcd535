// Moves.
mov x9, x30
mov w0, w1
mov x29, sp
mov sp, x29
mov wsp, w1
mov x0, xzr
movz x0, #0
movz x0, #0xffff, lsl #48
movz w0, #0x8000, lsl #16
movn x0, #1, lsl #32
movn w0, #0xfffe
movk x30, #0x1234, lsl #16
movk w0, #0
mov x0, #0
mov x0, #-1
mov x0, #0xffff0000
mov x0, #0xffffffffffff1234
mov x0, #0x5555555555555555
mov w0, #0xffff1234
mov w0, #0xff00ff
