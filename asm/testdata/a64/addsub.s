// Add and subtract.
add x0, x1, x2
add w30, w29, w28
add xzr, xzr, xzr
add x3, x4, x5, lsl #63
add w3, w4, w5, lsr #31
add x3, x4, x5, asr #1
adds x6, x7, x8
adds w6, w7, w8, lsl #3
sub x9, x10, x11
sub w9, w10, w11, asr #31
subs x12, x13, x14
subs w12, w13, w14, lsr #7
cmp x15, x16
cmp w15, w16, lsl #4
cmp sp, x1
cmp sp, x1, lsl #4
cmp wsp, w1
cmn x17, x18
cmn w17, w18, asr #2
neg x19, x20
neg w19, w20, lsl #31
add x0, sp, w1, uxtb
add sp, sp, w1, uxth #1
add x0, x1, w2, uxtw #2
add sp, sp, x30, uxtx #4
add w0, wsp, w2, sxtb #3
add w0, w1, w2, uxtx
sub sp, x1, w2, sxth
sub x0, sp, w2, sxtw #4
sub x0, sp, xzr, sxtx
add x0, x1, #0
add sp, sp, #0xfff
add x29, sp, #16
add w0, wsp, #0xfff000
add x0, x1, #0x1000
sub sp, sp, #0x150
sub w0, w1, #0x1000
adds x0, sp, #1
adds wzr, w1, #0xfff
subs x0, x1, #0xabc000
subs w0, wsp, #1
cmp x0, #0
cmp sp, #0xfff
cmp w30, #0x1000
cmn x0, #1
cmn wsp, #0x1000
adc x0, x1, x2
adc w0, w1, w2
adcs x0, x1, xzr
adcs w0, w1, w2
sbc x0, x1, x2
sbc w0, w1, w2
sbcs x0, x1, x2
sbcs wzr, w1, w2
