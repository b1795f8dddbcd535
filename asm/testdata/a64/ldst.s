// Loads and stores.
ldr x0, [x1]
ldr w0, [sp, #16380]
ldr xzr, [sp, #32760]
ldr x0, [x1, #1]
ldr x0, [x1, #-8]
ldr w0, [x1, #-256]
ldr x0, [x1, #255]
ldr x30, [sp, #-16]!
ldr w0, [x1, #255]!
ldr x30, [sp], #16
ldr w0, [x1], #-256
ldr x0, [x1, x2]
ldr x0, [sp, x2, lsl #3]
ldr w0, [x1, xzr, lsl #2]
ldr x0, [x1, w2, uxtw]
ldr w0, [x1, w2, uxtw #2]
ldr x0, [x1, w2, sxtw #3]
ldr w0, [x1, x2, sxtx]
str x0, [x1]
str w0, [sp, #16380]
str xzr, [sp, #32760]
str x0, [x1, #1]
str x0, [x1, #-8]
str w0, [x1, #-256]
str x0, [x1, #255]
str x30, [sp, #-16]!
str w0, [x1, #255]!
str x30, [sp], #16
str w0, [x1], #-256
str x0, [x1, x2]
str x0, [sp, x2, lsl #3]
str w0, [x1, xzr, lsl #2]
str x0, [x1, w2, uxtw]
str w0, [x1, w2, uxtw #2]
str x0, [x1, w2, sxtw #3]
str w0, [x1, x2, sxtx]
ldrb w0, [x1, #4095]
ldrb w0, [x1, #-1]
ldrb w0, [x1, #1]!
ldrb w0, [x1], #1
ldrb w0, [x1, x2]
ldrb w0, [x1, w2, sxtw]
strb w0, [x1, #4095]
strb w0, [x1, #-1]
strb w0, [x1, #1]!
strb w0, [x1], #1
strb w0, [x1, x2]
strb w0, [x1, w2, sxtw]
ldrh w0, [x1, #8190]
ldrh w0, [x1, #-1]
ldrh w0, [x1, #1]!
ldrh w0, [x1], #1
ldrh w0, [x1, x2]
ldrh w0, [x1, w2, sxtw #1]
strh w0, [x1, #8190]
strh w0, [x1, #-1]
strh w0, [x1, #1]!
strh w0, [x1], #1
strh w0, [x1, x2]
strh w0, [x1, w2, sxtw #1]
ldrsb w0, [x1, #4095]
ldrsb w0, [x1, #-1]
ldrsb w0, [x1, #1]!
ldrsb w0, [x1], #1
ldrsb w0, [x1, x2]
ldrsb w0, [x1, w2, sxtw]
ldrsb x0, [x1, #4095]
ldrsb x0, [x1, #-1]
ldrsb x0, [x1, #1]!
ldrsb x0, [x1], #1
ldrsb x0, [x1, x2]
ldrsb x0, [x1, w2, sxtw]
ldrsh w0, [x1, #8190]
ldrsh w0, [x1, #-1]
ldrsh w0, [x1, #1]!
ldrsh w0, [x1], #1
ldrsh w0, [x1, x2]
ldrsh w0, [x1, w2, sxtw #1]
ldrsh x0, [x1, #8190]
ldrsh x0, [x1, #-1]
ldrsh x0, [x1, #1]!
ldrsh x0, [x1], #1
ldrsh x0, [x1, x2]
ldrsh x0, [x1, w2, sxtw #1]
ldrsw x0, [x1, #16380]
ldrsw x0, [x1, #-1]
ldrsw x0, [x1, #1]!
ldrsw x0, [x1], #1
ldrsw x0, [x1, x2]
ldrsw x0, [x1, w2, sxtw #2]
ldur w0, [sp, #8]
ldur w0, [x1, #-256]
ldur x0, [sp, #8]
ldur x0, [x1, #-256]
stur w0, [sp, #8]
stur w0, [x1, #-256]
stur x0, [sp, #8]
stur x0, [x1, #-256]
ldurb w0, [sp, #8]
ldurb w0, [x1, #-256]
sturb w0, [sp, #8]
sturb w0, [x1, #-256]
ldurh w0, [sp, #8]
ldurh w0, [x1, #-256]
sturh w0, [sp, #8]
sturh w0, [x1, #-256]
ldursb w0, [sp, #8]
ldursb w0, [x1, #-256]
ldursb x0, [sp, #8]
ldursb x0, [x1, #-256]
ldursh w0, [sp, #8]
ldursh w0, [x1, #-256]
ldursh x0, [sp, #8]
ldursh x0, [x1, #-256]
ldursw x0, [sp, #8]
ldursw x0, [x1, #-256]
ldp x29, x30, [sp, #-16]!
ldp x29, x30, [sp], #16
ldp x0, x1, [sp]
ldp x0, x1, [x2, #504]
ldp x0, xzr, [x2, #-512]
ldp w0, w1, [x2, #252]
ldp w0, w1, [x2, #-256]!
stp x29, x30, [sp, #-16]!
stp x29, x30, [sp], #16
stp x0, x1, [sp]
stp x0, x1, [x2, #504]
stp x0, xzr, [x2, #-512]
stp w0, w1, [x2, #252]
stp w0, w1, [x2, #-256]!
stp xzr, xzr, [x2]
ldpsw x0, x1, [x2]
ldpsw x0, x1, [x2, #252]
ldpsw x0, x1, [sp], #-256
