package interp

// op is what the loop does for a decoded instruction. The operands are named
// as in inst: d, n, m, a are slots, I is imm, A is ra as a number.
type op uint16

const (
	opDecode  op = iota // not decoded yet
	opPageEnd           // the instructions go on in the next page
	opExec              // by the function of row I
	opExecEnd           // the same, and it ends a straight run

	// From here on the loop knows them itself.

	opNop
	opMovImm // d = I
	opMov64  // d = n
	opMov32
	opMovk64 // d = d with I at bit A
	opMovk32

	opAddImm64 // d = n + I; SUB has -I
	opAddImm32
	opAdd64 // d = n + m
	opAdd32
	opSub64
	opSub32
	opAddLsl64 // d = n + m<<A
	opAddLsl32
	opSubLsl64
	opSubLsl32
	opAddUxtw64 // d = n + uint32(m)<<A
	opAddSxtw64

	opAddsImm64
	opAddsImm32
	opAdds64
	opAdds32
	opSubsImm64
	opSubsImm32
	opSubs64
	opSubs32
	opAndsImm64
	opAndsImm32
	opAnds64
	opAnds32

	opAndImm // d = n & I, of both widths
	opOrrImm64
	opOrrImm32
	opEorImm64
	opEorImm32
	opAnd64
	opAnd32
	opOrr64
	opOrr32
	opEor64
	opEor32
	opBic64
	opBic32
	opOrn64
	opOrn32
	opOrrLsl64 // d = n | m<<A
	opOrrLsl32
	opOrrLsr64
	opOrrLsr32
	opEorLsl64
	opEorLsl32
	opEorLsr64
	opEorLsr32
	opEorRor64
	opEorRor32

	opLsl64 // d = n << A
	opLsl32
	opUbfx  // d = n>>A & I, of both widths
	opUbfiz // d = (n & I) << A, of both widths
	opSbfx64
	opSbfx32
	opBfi64 // d = d &^ I | n<<A & I
	opBfi32
	opBfxil64 // d = d &^ I | n>>A & I
	opBfxil32
	opRor64
	opRor32
	opExtr64
	opLslv64
	opLslv32
	opLsrv64
	opLsrv32
	opAsrv64
	opAsrv32
	opRev64
	opRev32

	opMadd64 // d = a + n*m
	opMadd32
	opMsub64
	opMsub32
	opUmaddl
	opSmaddl

	opCsel // d = n, or m with I's bits 0 and 1 saying + 1 and inverted first; bit 5: 32 bits
	opCcmp // compare n with m + I's low bits, or set the flags to rd

	opLdr64 // d = [n + I]
	opLdr32
	opLdrh
	opLdrb
	opLdrsw
	opLdrsh64
	opLdrsh32
	opLdrsb64
	opLdrsb32
	opStr64
	opStr32
	opStrh
	opStrb
	opLdrW64 // d = [n + low half of I], n += high half
	opLdrW32
	opLdrWb
	opStrW64
	opStrW32
	opStrWb
	opLdrX64 // d = [n + m<<A]
	opLdrX32
	opLdrXh
	opLdrXb
	opLdrXsw
	opStrX64
	opStrX32
	opStrXh
	opStrXb
	opLdrLit64 // d = [I]
	opLdrLit32
	opLdp64 // d, m = [n + I]
	opLdp32
	opStp64
	opStp32
	opLdpW64
	opStpW64

	opLdar64 // d = [n + I], aligned
	opLdar32
	opStlr64
	opStlr32
	opLdarb
	opLdarh
	opStlrb
	opStlrh
	opFence
	opClrex

	// Exclusives and atomics. Those called 32 are of bytes and halfwords too:
	// their size less one is in the high half of I, the bits that they lack of 64
	// in the low one.
	opLdxr64
	opLdxr32
	opStxr64 // m is the status
	opStxr32
	opLdadd64 // d = [n], [n] += m
	opLdadd32 // of words alone, as is opSwp32
	opSwp64
	opSwp32
	opLdop64 // A is the operation, as in the encoding
	opLdop32
	opCas64 // ra = [n], [n] = d where it was m
	opCas32

	// Branches. I is the distance to the target within the page, or for the
	// ones called far its address.
	opB
	opBFar
	opBl
	opBlFar
	opBcond
	opCbz64
	opCbnz64
	opCbz32
	opCbnz32
	opTbz
	opTbnz
	opBr
	opBlr

	// From here on, the super-instructions of supers.txt.
	opSuper
)

func (o op) endsRun() bool { return o == opExecEnd || o >= opB && o <= opBlr }
