// Data items.
.word 0xd503201f
.quad 0x0123456789abcdef
.quad far
.quad back
