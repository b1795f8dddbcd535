// Multiply, divide, count, reverse, CRC.
mul x0, x1, x2
mul w0, w1, w2
madd x0, x1, x2, x3
madd w0, w1, w2, w30
msub x0, x1, x2, x3
msub w0, w1, w2, w3
udiv x0, x1, x2
udiv w0, w1, w2
sdiv x0, x1, x2
sdiv w0, w1, w2
umulh x0, x1, x2
smulh x0, x1, x2
umull x0, w1, w2
smull x0, w1, w2
clz x0, x1
clz w0, w1
cls x0, x1
cls w0, w1
rbit x0, x1
rbit w0, w1
rev x0, x1
rev w0, w1
rev16 x0, x1
rev16 w0, w1
rev32 x0, x1
crc32b w0, w1, w2
crc32h w0, w1, w2
crc32w w0, w1, w2
crc32x w0, w1, x2
crc32cb w0, w1, w2
crc32ch w0, w1, w2
crc32cw w0, w1, w2
crc32cx w0, w1, x2
