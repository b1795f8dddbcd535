#include "textflag.h"

// func cas128(p unsafe.Pointer, old0, old1, new0, new1 uint64) (have0, have1 uint64, swapped bool)
TEXT ·cas128(SB), NOSPLIT, $0-57
	MOVQ p+0(FP), DI
	MOVQ old0+8(FP), AX
	MOVQ old1+16(FP), DX
	MOVQ new0+24(FP), BX
	MOVQ new1+32(FP), CX
	LOCK
	CMPXCHG16B (DI)
	MOVQ AX, have0+40(FP)
	MOVQ DX, have1+48(FP)
	SETEQ swapped+56(FP)
	RET

// func fence()
//
// The store that amd64 may delay beyond a later load is what this waits for.
TEXT ·fence(SB), NOSPLIT, $0-0
	LOCK
	ADDL $0, (SP)
	RET
