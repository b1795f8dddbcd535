// Logical.
and x0, x1, x2
and w0, w1, w2, ror #31
orr x0, x1, x2, lsr #63
orr w0, w1, w2
eor x0, x1, x2, ror #63
eor w0, w1, w2, asr #5
ands x0, x1, x2
ands w0, w1, w2, lsl #1
bic x0, x1, x2
bic w0, w1, w2, lsl #31
orn x0, x1, x2, asr #9
orn w0, w1, w2
eon x0, x1, x2
eon w0, w1, w2, ror #1
bics x0, x1, x2
bics wzr, w1, w2, lsr #8
tst x0, x1
tst w0, w1, lsl #12
mvn x0, x1
mvn w0, w1, ror #3
and x0, x1, #1
and sp, x1, #0xfffffffffffffff0
and x0, x30, #0xfffffffffffffff8
and w0, w1, #0x80000001
and x0, x1, #0x5555555555555555
bic x0, x1, #0x7
bic w0, w1, #0xff
orr x0, x1, #0x8000000000000000
orr wsp, wzr, #0xff00ff
eor x0, x1, #0x7fffffffffffffff
eor w0, w1, #0xf0f0f0f0
ands x0, x1, #0xffff0000ffff
ands w0, w1, #0xfffffffe
tst x0, #0x3ff
tst w0, #0x80000000
