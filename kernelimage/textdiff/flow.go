package textdiff

import (
	"callops/asm"
	"callops/asm/effects"
)

// body is the code of a function, decoded.
type body struct {
	s     *space
	start uint64
	code  []insn
}

// maxFunction bounds the functions that are compared, in bytes.
const maxFunction = 1 << 20

// decode reads a function. What lies in it that is not code, a load in it tells.
func (s *space) decode(f *function, t *tables) *body {
	b := &body{s: s, start: f.Start}
	for pc := f.Start; pc < f.End && pc-f.Start < maxFunction; pc += 4 {
		w, ok := s.word(pc)
		if !ok {
			break
		}
		b.code = append(b.code, insn{pc: pc, raw: w, word: w, to: none})
	}
	for i := range b.code {
		if size, ok := t.literals[b.code[i].pc]; ok {
			b.literal(int32(i), size)
		}
	}
	for i := range b.code {
		b.direct(&b.code[i], t.jumps)
	}
	b.propagate()
	return b
}

// index is that of the instruction at an address; none: it is not in the function.
func (b *body) index(addr uint64) int32 {
	if i := (addr - b.start) / 4; addr >= b.start && addr%4 == 0 && i < uint64(len(b.code)) {
		return int32(i)
	}
	return none
}

// direct resolves what an instruction says by itself.
func (b *body) direct(in *insn, jumps map[uint64]jump) {
	if in.kind == refData {
		return
	}
	if j, ok := jumps[in.pc]; ok {
		in.kind, in.ref, in.to = refKey, j.key, b.index(j.target)
		if !asm.IsNop(in.raw) {
			in.word &^= maskImm26
		}
		return
	}
	target, word, branch, ok := pcRelative(in.pc, in.raw)
	if !ok {
		return
	}
	in.word = word
	switch at := b.index(target); {
	case branch && at != none && asm.IsBL(in.raw) && at == 0:
		in.kind, in.ref = refAddr, target // it calls itself
	case branch && at != none:
		in.to = at
	case branch:
		in.kind, in.ref = refAddr, b.s.veneer(target)
	case at != none:
		in.to = at
		b.literal(at, literalSize(in.raw))
	case literalSize(in.raw) > 0:
		in.kind, in.ref = refLiteral, target
	default:
		in.kind, in.ref = refAddr, target
	}
}

// literal marks the words of a literal as data.
func (b *body) literal(at int32, size uint64) {
	for i := at; i < int32(len(b.code)) && uint64(i-at)*4 < size; i++ {
		b.code[i] = insn{pc: b.code[i].pc, raw: b.code[i].raw, word: b.code[i].raw, to: none, kind: refData}
	}
	if size != 8 || int(at)+1 >= len(b.code) {
		return
	}
	if value, ok := b.s.quad(b.code[at].pc); ok && b.s.part(value) != nil {
		b.code[at].word, b.code[at+1].word = 0, 0
		b.code[at].ref = value
	}
}

// veneer follows a linker's veneer, which only goes on to a function that is out of
// reach: ADRP and ADD to X16, BR X16.
func (s *space) veneer(addr uint64) uint64 {
	w, _ := s.word(addr)
	rd, page, isPage, _ := asm.DecodeAdr(addr, w)
	if !isPage {
		return addr
	}
	w, _ = s.word(addr + 4)
	_, rn, imm, ok := asm.DecodeAddImm(w)
	w, _ = s.word(addr + 8)
	if br, isBr := asm.DecodeBranchReg(w); ok && isBr && !br.Link && !br.Return && rn == rd && uint32(br.Reg) == rd.Num() {
		return page + imm
	}
	return addr
}

// value is what is known of a register: that it holds an address, which was formed from
// ADRP of a page, and by which ADD.
type value struct {
	known      bool
	addr, page uint64
	by         int32 // index of the ADD; none: it is the page
}

// regs are the registers x0 to x30.
type regs [31]value

// meet keeps what two ways to an instruction agree on, and reports whether r changed.
func (f *flow) meet(r, o *regs) (changed bool) {
	for i := range r {
		v, w := r[i], o[i]
		if !v.known || v == w {
			continue
		}
		f.use(v)
		f.use(w)
		if !w.known || v.addr != w.addr || v.page != w.page {
			r[i], changed = value{}, true
		}
	}
	return changed
}

// use notes that the address is used, and not only for forming others.
func (f *flow) use(v value) {
	if v.known && v.by != none {
		f.used[v.by] = true
	}
}

// flow propagates addresses along all ways through a function.
type flow struct {
	*body
	in    []*regs // at the start of each block; nil: not reached
	block []bool  // a block begins here
	work  []int32
	pages map[uint64]bool // those of ADRPs that some instruction adds an offset to
	used  []bool          // addresses that ADDs form, by these
}

// propagate resolves the addresses that ADRP forms with other instructions.
func (b *body) propagate() {
	if len(b.code) == 0 {
		return
	}
	f := &flow{body: b, in: make([]*regs, len(b.code)), block: make([]bool, len(b.code)), pages: make(map[uint64]bool), used: make([]bool, len(b.code))}
	for i := range b.code {
		if to := b.code[i].to; to != none && b.code[i].kind != refData {
			f.block[to] = true
		}
		if i > 0 && (leaves(b.code[i-1].raw) || b.code[i-1].kind == refData) {
			f.block[i] = true
		}
	}
	f.reach(0, &regs{})
	f.run()
	// What nothing else leads to is the target of a branch to a register: any of them.
	indirect := f.atIndirect()
	for i := range b.code {
		if f.block[i] && f.in[i] == nil && b.code[i].kind != refData {
			f.reach(int32(i), indirect)
			f.run()
		}
	}
	for i := range b.code {
		f.walk(int32(i), true)
	}
	f.adrps()
	f.anchors()
}

// reach adds a way to a block.
func (f *flow) reach(to int32, r *regs) {
	if f.in[to] == nil {
		c := *r
		f.in[to] = &c
	} else if !f.meet(f.in[to], r) {
		return
	}
	f.block[to] = true
	f.work = append(f.work, to)
}

func (f *flow) run() {
	for len(f.work) > 0 {
		at := f.work[len(f.work)-1]
		f.work = f.work[:len(f.work)-1]
		f.walk(at, false)
	}
}

// walk goes through a block. With resolve it writes what it knows into the
// instructions, otherwise it goes on to the blocks that follow.
func (f *flow) walk(at int32, resolve bool) {
	if f.in[at] == nil {
		return
	}
	r := *f.in[at]
	for i := at; ; i++ {
		in := &f.code[i]
		f.step(i, in, &r, resolve)
		if !resolve && in.to != none && !asm.IsBL(in.raw) && in.kind != refData && !isLiteral(in.raw) {
			f.reach(in.to, &r)
		}
		if leaves(in.raw) && in.kind != refKey || int(i)+1 == len(f.code) || f.code[i+1].kind == refData {
			return
		}
		if f.block[i+1] {
			if !resolve {
				f.reach(i+1, &r)
			}
			return
		}
	}
}

func isLiteral(w uint32) bool { return w&0x3b000000 == 0x18000000 }

// atIndirect is what all branches to a register agree on.
func (f *flow) atIndirect() *regs {
	var all *regs
	for i := range f.code {
		if f.in[i] == nil {
			continue
		}
		r := *f.in[i]
		for k := i; ; k++ {
			in := &f.code[k]
			f.step(int32(k), in, &r, false)
			if br, ok := asm.DecodeBranchReg(in.raw); ok && !br.Link && !br.Return {
				if all == nil {
					c := r
					all = &c
				} else {
					f.meet(all, &r)
				}
			}
			if k+1 == len(f.code) || f.block[k+1] || leaves(in.raw) {
				break
			}
		}
	}
	if all == nil {
		return &regs{}
	}
	return all
}

// The registers that a call may change, and those that it may read (AAPCS64).
const (
	callClobbers effects.RegSet = 1<<19 - 1 | 1<<30
	callReads    effects.RegSet = 1<<9 - 1
)

// step is one instruction's effect on what is known.
func (f *flow) step(i int32, in *insn, r *regs, resolve bool) {
	w := in.raw
	if rd, addr, page, ok := asm.DecodeAdr(in.pc, w); ok {
		if n := rd.Num(); n < 31 {
			// A linker may turn ADRP into ADR of a page (Cortex-A53 erratum 843419).
			r[n] = value{known: page || addr&0xfff == 0, addr: addr, page: addr, by: none}
		}
		return
	}
	reads, writes := operands(w)
	o, ok := offsetOf(w)
	ok = ok && o.base < 31 && r[o.base].known
	if ok {
		v := r[o.base]
		if resolve {
			in.kind, in.ref, in.word = refLow, v.addr+o.imm, w&^o.field
			f.pages[v.page] = true
		}
		if isAdd(w) {
			if rd := w & 31; rd < 31 {
				r[rd] = value{known: true, addr: v.addr + o.imm, page: v.page, by: i}
			}
			return
		}
		if w&31 != o.base {
			reads &^= 1 << o.base
		}
	}
	if rd, rm, ok := asm.DecodeMov(w); ok && rd.Num() < 31 {
		if r[rd.Num()] = (value{}); rm.Num() < 31 {
			r[rd.Num()] = r[rm.Num()]
		}
		return
	}
	for n := range r {
		if reads.Has(1 << n) {
			f.use(r[n])
		}
		if writes.Has(1 << n) {
			r[n] = value{}
		}
	}
}

// operands is the registers that an instruction reads and writes. Of one that is not
// known, SIMD, it is all that it may name.
func operands(w uint32) (reads, writes effects.RegSet) {
	o, ok := effects.Decode(w)
	if !ok {
		named := effects.SetOf(uint8(w&31)) | effects.SetOf(uint8(w>>5&31))
		return named | effects.SetOf(uint8(w>>10&31)) | effects.SetOf(uint8(w>>16&31)), named
	}
	reads, writes = o.Reads, o.Writes
	if o.Call {
		reads, writes = reads|callReads, writes|callClobbers
	}
	if leaves(w) {
		reads |= callReads // a call at the end, or a result
	}
	return reads, writes
}

func isAdd(w uint32) bool { return w&0xff800000 == 0x91000000 }

// anchors clears the addresses that serve only for forming others: what variable stands
// first among those of a file does not matter.
func (f *flow) anchors() {
	for i := range f.code {
		if in := &f.code[i]; in.kind == refLow && isAdd(in.raw) && !f.used[i] {
			in.kind = refAnchor
		}
	}
}

// adrps clears the pages of ADRPs. One that nothing adds an offset to refers to the
// page itself.
func (f *flow) adrps() {
	for i := range f.code {
		in := &f.code[i]
		_, addr, page, ok := asm.DecodeAdr(in.pc, in.raw)
		if !ok || in.kind == refData {
			continue
		}
		in.word = in.raw &^ maskAdr
		switch to := f.index(addr); {
		case f.pages[addr]:
			if addr&0xfff == 0 {
				in.word |= opAdrp
			}
		case !page && to != none:
			in.to = to
		default:
			in.kind, in.ref = refAddr, addr
		}
	}
}
