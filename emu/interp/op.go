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
	opAddLsr64
	opAddLsr32
	opAddAsr64
	opAddAsr32
	opSubLsr64
	opSubLsr32
	opSubAsr64
	opSubAsr32
	opAddUxtw64 // d = n + uint32(m)<<A
	opAddSxtw64
	opAddUxtb64
	opAddUxth64
	opSubUxtw64
	opSubSxtw64

	opAddsImm64
	opAddsImm32
	opAdds64
	opAdds32
	opSubsImm64
	opSubsImm32
	opSubs64
	opSubs32
	opSubsLsl64
	opSubsLsr64
	opSubsUxtb32
	opSubsUxth32
	opAndsImm64
	opAndsImm32
	opAnds64
	opAnds32
	opBics64
	opBics32

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
	opAndLsl64 // d = n & m<<A
	opAndLsl32
	opAndLsr64
	opAndLsr32
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
	opSbfiz64 // d = the low bits of n with their sign, at bit I
	opSbfiz32
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
	opRorv64
	opRorv32
	opRev64
	opRev32
	opClz64
	opClz32

	opMadd64 // d = a + n*m
	opMadd32
	opMsub64
	opMsub32
	opUmaddl
	opSmaddl
	opUmulh

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
	opLdrU64 // d = [n + uint32(m)<<A], or with the sign of 32 bits
	opLdrS64
	opLdrU32
	opLdrS32
	opLdrUh
	opLdrSh
	opLdrUb
	opLdrSb
	opLdrUsw
	opLdrSsw
	opStrU64
	opStrS64
	opStrU32
	opStrS32
	opStrUh
	opStrSh
	opStrUb
	opStrSb
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
	opBcondFar
	opCbz64
	opCbnz64
	opCbz32
	opCbnz32
	opTbz
	opTbnz
	opCbz64Far
	opCbnz64Far
	opCbz32Far
	opCbnz32Far
	opTbzFar
	opTbnzFar
	opBr
	opBlr

	// From here on, the super-instructions of supers.txt.
	opSuper
)

func (o op) endsRun() bool { return o == opExecEnd || o >= opB && o <= opBlr }
