package asm

import "fmt"

// disasmPCRel decodes every form whose text depends on where it stands.
func disasmPCRel(w uint32, pc uint64, sym func(uint64) string) (string, bool) {
	to := func(d int64) string { return target(pc+uint64(d), sym) }
	rt := W(0) | Reg(w&31)
	if w>>31 != 0 {
		rt |= reg64
	}
	if addr, link, ok := DecodeBranch(pc, w); ok {
		return pick(link, "b ", "bl ") + target(addr, sym), true
	}
	if rd, addr, page, ok := DecodeAdr(pc, w); ok {
		return fmt.Sprintf("%s %v, %s", pick(page, "adr", "adrp"), rd, target(addr, sym)), true
	}
	switch {
	case w&0xff000010 == 0x54000000:
		return fmt.Sprintf("b.%v %s", Cond(w&15), to(offset19(w))), true
	case w&0x7e000000 == 0x34000000:
		return fmt.Sprintf("%s %v, %s", pick(w>>24&1 == 1, "cbz", "cbnz"), rt, to(offset19(w))), true
	case w&0x7e000000 == 0x36000000:
		bit := w>>31<<5 | w>>19&31
		return fmt.Sprintf("%s %v, #%d, %s", pick(w>>24&1 == 1, "tbz", "tbnz"), rt, bit, to(offset14(w))), true
	case w&0x3b000000 == 0x18000000:
		return disasmLiteral(w, to(offset19(w)))
	}
	return "", false
}

// disasmLiteral decodes loads of a literal: opc in bits 31:30, V in bit 26.
func disasmLiteral(w uint32, to string) (string, bool) {
	n := w & 31
	switch w>>30<<1 | w>>26&1 {
	case 0:
		return fmt.Sprintf("ldr %v, %s", W0|Reg(n), to), true
	case 2:
		return fmt.Sprintf("ldr %v, %s", X0|Reg(n), to), true
	case 4:
		return fmt.Sprintf("ldrsw %v, %s", X0|Reg(n), to), true
	case 6:
		return fmt.Sprintf("prfm %s, %s", prefetchOp(n), to), true
	case 1, 3, 5:
		return fmt.Sprintf("ldr %c%d, %s", "sdq"[w>>30], n, to), true
	}
	return "", false
}

// prefetchOp names what prfm does; GNU prints reserved ones as numbers.
func prefetchOp(n uint32) string {
	if n>>3 == 3 || n>>1&3 == 3 {
		return fmt.Sprintf("#0x%02x", n)
	}
	return [...]string{"pld", "pli", "pst"}[n>>3] + [...]string{"l1", "l2", "l3"}[n>>1&3] + pick(n&1 == 1, "keep", "strm")
}

func pick(set bool, no, yes string) string {
	if set {
		return yes
	}
	return no
}

func target(addr uint64, sym func(uint64) string) string {
	if sym == nil {
		return fmt.Sprintf("%x", addr)
	}
	return fmt.Sprintf("%x%s", addr, angle(sym(addr)))
}
