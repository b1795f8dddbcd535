#include "textflag.h"

// func cas128(p unsafe.Pointer, old0, old1, new0, new1 uint64) (have0, have1 uint64, swapped bool)
//
// The store of what was loaded, when it is not old, makes the load of both
// halves a single one.
TEXT ·cas128(SB), NOSPLIT, $0-57
	MOVD p+0(FP), R0
	MOVD old0+8(FP), R1
	MOVD old1+16(FP), R2
	MOVD new0+24(FP), R3
	MOVD new1+32(FP), R4
again:
	LDAXP (R0), (R5, R6)
	CMP R1, R5
	BNE differs
	CMP R2, R6
	BNE differs
	STLXP (R3, R4), (R0), R7
	CBNZ R7, again
	MOVD $1, R8
	B done
differs:
	STLXP (R5, R6), (R0), R7
	CBNZ R7, again
	MOVD $0, R8
done:
	DMB $0xB
	MOVD R5, have0+40(FP)
	MOVD R6, have1+48(FP)
	MOVB R8, swapped+56(FP)
	RET

// func fence()
TEXT ·fence(SB), NOSPLIT, $0-0
	DMB $0xB
	RET
