// Bitfields, shifts, extensions.
ubfm x0, x1, #63, #1
ubfm w0, w1, #5, #30
sbfm x0, x1, #1, #2
sbfm w0, w1, #31, #31
bfm x0, x1, #0, #63
bfm w0, w1, #16, #3
ubfx x0, x1, #3, #61
ubfx w0, w1, #0, #1
sbfx x0, x1, #63, #1
sbfx w0, w1, #4, #20
bfi x0, x1, #60, #4
bfi w0, w1, #0, #8
bfxil x0, x1, #16, #16
bfxil w0, w1, #31, #1
lsl x0, x1, #63
lsl x0, x1, #0
lsl w0, w1, #1
lsr x0, x1, #12
lsr w0, w1, #31
asr x0, x1, #63
asr w0, w1, #1
ror x0, x1, #1
ror w0, w1, #31
extr x0, x1, x2, #63
extr w0, w1, w2, #7
lsl x0, x1, x2
lsl w0, w1, w2
lsr x0, x1, x2
lsr w0, w1, w2
asr x0, x1, x2
asr w0, w1, w2
ror x0, x1, x2
ror w0, w1, w2
uxtb w0, w1
uxth w0, w1
sxtb x0, w1
sxtb w0, w1
sxth x0, w1
sxth w0, w1
sxtw x0, w1
