package difftest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/asm/effects"
	"callops/emu"
	"callops/emu/interp"
)

// What effects.Decode says of an instruction, the interpreter has to do:
// write no other register, depend on no other, access that address.

// interpreted are the rows of the interpreter's table, those it does not
// execute left out. Unlike classes they leave out no word.
var interpreted = []class{
	{name: "row adr, adrp", mask: 0x1f000000, value: 0x10000000},
	{name: "row add, sub (immediate)", mask: 0x1f800000, value: 0x11000000},
	{name: "row and, orr, eor, ands (immediate)", mask: 0x1f800000, value: 0x12000000},
	{name: "row movn, movz, movk", mask: 0x1f800000, value: 0x12800000},
	{name: "row sbfm, bfm, ubfm", mask: 0x1f800000, value: 0x13000000},
	{name: "row extr", mask: 0x1f800000, value: 0x13800000},
	{name: "row b, bl", mask: 0x7c000000, value: 0x14000000},
	{name: "row cbz, cbnz", mask: 0x7e000000, value: 0x34000000},
	{name: "row tbz, tbnz", mask: 0x7e000000, value: 0x36000000},
	{name: "row b.cond", mask: 0xff000010, value: 0x54000000},
	{name: "row svc, hvc, smc, brk, hlt", mask: 0xff000000, value: 0xd4000000, fix: sparse(0x1c, 2)},
	{name: "row hint", mask: 0xfffff01f, value: 0xd503201f},
	{name: "row clrex, dsb, dmb, isb, sb", mask: 0xfffff01f, value: 0xd503301f},
	{name: "row msr (immediate)", mask: 0xfff8f000, value: 0xd5004000, fix: always(31)},
	{name: "row sys", mask: 0xfff80000, value: 0xd5080000, fix: oneOf(sysOperations)},
	{name: "row msr (register)", mask: 0xfff00000, value: 0xd5100000, fix: oneOf(sysRegisters)},
	{name: "row mrs", mask: 0xfff00000, value: 0xd5300000, fix: oneOf(sysRegisters)},
	{name: "row br, blr, ret", mask: 0xfe000000, value: 0xd6000000, fix: branchFields},
	{name: "row exclusive, ordered, cas", mask: 0x3f000000, value: 0x08000000, fix: sparse(0x1f<<10, 0)},
	{name: "row ldr (literal)", mask: 0x3f000000, value: 0x18000000, fix: near(5, 19)},
	{name: "row ldp, stp", mask: 0x3e000000, value: 0x28000000},
	{name: "row ldapur, stlur", mask: 0x3f200c00, value: 0x19000000},
	{name: "row ldur, stur", mask: 0x3f200c00, value: 0x38000000},
	{name: "row ldr, str (pre-, post-indexed)", mask: 0x3f200400, value: 0x38000400},
	{name: "row ldtr, sttr", mask: 0x3f200c00, value: 0x38000800},
	{name: "row ldadd, swp, ldapr", mask: 0x3f200c00, value: 0x38200000},
	{name: "row ldr, str (register)", mask: 0x3f200c00, value: 0x38200800},
	{name: "row ldr, str (unsigned offset)", mask: 0x3f000000, value: 0x39000000},
	{name: "row and, orr, eor, ands (register)", mask: 0x1f000000, value: 0x0a000000},
	{name: "row add, sub (shifted register)", mask: 0x1f200000, value: 0x0b000000},
	{name: "row add, sub (extended register)", mask: 0x1f200000, value: 0x0b200000, fix: sparse(3<<22, 2)},
	{name: "row adc, sbc", mask: 0x1fe0fc00, value: 0x1a000000},
	{name: "row rmif", mask: 0xffe07c10, value: 0xba000400},
	{name: "row setf8, setf16", mask: 0xffffbc1f, value: 0x3a00080d},
	{name: "row ccmn, ccmp", mask: 0x3fe00410, value: 0x3a400000},
	{name: "row csel, csinc, csinv, csneg", mask: 0x3fe00800, value: 0x1a800000},
	{name: "row madd, msub", mask: 0x1f000000, value: 0x1b000000, fix: sparse(3<<29, 2)},
	{name: "row madd, msub: smulh, umulh", mask: 0xff608000, value: 0x9b400000},
	{name: "row udiv, sdiv, shifts, crc32", mask: 0x7fe00000, value: 0x1ac00000, fix: sparse(0x20<<10, 2)},
	{name: "row rbit, rev, clz, cls", mask: 0x7fe00000, value: 0x5ac00000, fix: sparse(0x1e<<16|0x28<<10, 2)},
	{name: "any word"},
}

// unknownOperands are the words that the interpreter executes and
// effects.Decode leaves out: loads with pointer authentication.
var unknownOperands = []class{{name: "ldraa, ldrab", mask: 0xff200400, value: 0xf8200400}}

// undefinedHere are the words that effects.Decode knows and this machine leaves
// undefined: it has no such system register, or field of PSTATE.
var undefinedHere = []class{
	{name: "msr (register)", mask: 0xfff00000, value: 0xd5100000},
	{name: "mrs", mask: 0xfff00000, value: 0xd5300000},
	{name: "msr ssbs", mask: 0xfffff0ff, value: 0xd503403f},
	{name: "msr dit", mask: 0xfffff0ff, value: 0xd503405f},
	{name: "msr tco", mask: 0xfffff0ff, value: 0xd503409f},
}

// readsWhereMaintained are DC CVAP and DC CVADP, which alone fault on what
// cannot be read; see the interpreter.
var readsWhereMaintained = []class{{mask: 0xfffffee0, value: 0xd50b7c20}}

// withoutEffect are words that read registers, or write them, with nothing to
// be seen here: hints, PACIA and BRAA with pointer authentication off,
// maintenance, system registers that are not in emu.Regs, ERET.
var withoutEffect = []class{
	{mask: 0xfffff01f, value: 0xd503201f},
	{mask: 0xfff80000, value: 0xd5080000},
	{mask: 0xfff8f000, value: 0xd5004000},
	{mask: 0xfff00000, value: 0xd5100000},
	{mask: 0xfff00000, value: 0xd5300000},
	{mask: 0x7fff0000, value: 0x5ac10000},
	{mask: 0xfe000800, value: 0xd6000800},
	{mask: 0xffe00000, value: 0xd6800000},
}

// neverExecuted are the classes that have no word with operands.
var neverExecuted = []class{{mask: 0x1e000000, value: 0x00000000}, {mask: 0x1a000000, value: 0x02000000}, unknownOperands[0]}

const mrsCounter = 0xd53be040 // mrs x0, cntvct_el0

func matches(list []class, w uint32) bool {
	for i := range list {
		if w&list[i].mask == list[i].value {
			return true
		}
	}
	return false
}

// sparse gives bits of the word the value that is most often legal: zeros, or,
// with how == 0, ones. One word in eight stays as it is.
func sparse(field uint32, how int) func(*source, uint32) uint32 {
	return func(s *source, w uint32) uint32 {
		switch {
		case s.one(8):
			return w
		case how == 0:
			return w | field
		}
		return w &^ field
	}
}

func always(bits uint32) func(*source, uint32) uint32 {
	return func(_ *source, w uint32) uint32 { return w | bits }
}

// oneOf takes the fields of a system instruction from a list, seven times in
// eight.
func oneOf(list []uint32) func(*source, uint32) uint32 {
	return func(s *source, w uint32) uint32 {
		if s.one(8) {
			return w
		}
		return pick(s, list)&0xfffe0 | w&^0xfffe0 | w&31
	}
}

func operations(kinds ...uint32) (list []uint32) {
	for _, k := range kinds {
		list = append(list, sysreg(1, k>>12, k>>8&15, k>>4&15, k&15))
	}
	return list
}

// sysOperations are op1, CRn, CRm and op2, a digit each.
var sysOperations = operations(0x3741, 0x37c1, 0x37d1, 0x0710, 0x0750, 0x3751, 0x0761, 0x0762, 0x07a2, 0x07e2,
	0x37a1, 0x37b1, 0x37e1, 0x0830, 0x0831, 0x0832, 0x0833, 0x0835, 0x0837, 0x0870, 0x0871, 0x0877, 0x0780, 0x0781)

// sysRegisters are registers that the interpreter has.
var sysRegisters = func() (list []uint32) {
	for _, v := range systemRegister {
		list = append(list, v)
	}
	list = append(list, sysreg(3, 0, 4, 2, 0), sysreg(3, 0, 4, 2, 3), sysreg(3, 0, 4, 2, 4),
		sysreg(3, 0, 4, 0, 0), sysreg(3, 0, 4, 0, 1), sysreg(3, 0, 5, 2, 0), sysreg(3, 0, 0, 4, 0), sysreg(3, 0, 0, 7, 7))
	for i := range list { // a map has no order
		for j := range list[:i] {
			if list[j] > list[i] {
				list[i], list[j] = list[j], list[i]
			}
		}
	}
	return list
}()

func branchFields(s *source, w uint32) uint32 {
	if s.one(8) {
		return w
	}
	w = w&^(0x7f<<21|0xffff) | 31<<16 | uint32(s.n(32))<<5
	return w | pick(s, []uint32{
		0 << 21, 1 << 21, 2 << 21, 0x8<<21 | 2<<10 | w&31, 0x9<<21 | 3<<10 | w&31,
		2<<10 | 31, 1<<21 | 3<<10 | 31, 2<<21 | 2<<10 | 0x3ff, 4<<21 | 31<<5,
	})
}

// registers of a CPU, each a bit of an effects.RegSet but the system registers,
// which share one.
const (
	slotSP = 31 + iota
	slotNZCV
	slotSPEL0
	slotTPIDREL1
	slotTPIDREL0
	numSlots
)

type registerFile [numSlots]uint64

func fileOf(r *emu.Regs) (f registerFile) {
	copy(f[:], r.X[:])
	f[slotSP], f[slotNZCV] = r.SP, uint64(r.NZCV)
	f[slotSPEL0], f[slotTPIDREL1], f[slotTPIDREL0] = r.SPEL0, r.TPIDREL1, r.TPIDREL0
	return f
}

func (f *registerFile) regs(pc uint64) (r emu.Regs) {
	copy(r.X[:], f[:])
	r.SP, r.NZCV, r.PC = f[slotSP], uint32(f[slotNZCV]), pc
	r.SPEL0, r.TPIDREL1, r.TPIDREL0 = f[slotSPEL0], f[slotTPIDREL1], f[slotTPIDREL0]
	return r
}

// get is what [effects.Operands.Address] asks.
func (f *registerFile) get(n uint8) uint64 { return f[n] }

// data is what a transfer register holds.
func (f *registerFile) data(n uint8) uint64 {
	if n == 31 {
		return 0
	}
	return f[n]
}

func setOfSlot(i int) effects.RegSet { return 1 << min(i, 33) }

// operandRig runs single words on the interpreter.
type operandRig struct {
	*side
	source *source
	before [][]byte // what writable memory holds before every word
	after  [][]byte // room for what it held after one
}

// Text holds what a word may need before it, the word, and nothing else.
const (
	clrexAt   = textBase + 0x100
	uaoOnAt   = textBase + 0x104
	uaoOffAt  = textBase + 0x108
	reserveAt = textBase + emu.PageSize + 0x100
	wordAt    = textBase + textSize/2
)

func newOperandRig(seed uint64) (*operandRig, error) { return newOperandRigOn(interp.New, seed) }

func newOperandRigOn(newEngine emu.NewEngine, seed uint64) (*operandRig, error) {
	s, err := newSide(newEngine)
	if err != nil {
		return nil, err
	}
	r := &operandRig{side: s, source: newSource(seed, 0)}
	for _, w := range s.writable {
		for i := 0; i < len(w); i += 8 {
			binary.LittleEndian.PutUint64(w[i:], r.source.uint64())
		}
		r.before, r.after = append(r.before, bytes.Clone(w)), append(r.after, bytes.Clone(w))
	}
	for i := 0; i < len(s.text); i += 8 {
		binary.LittleEndian.PutUint64(s.text[i:], r.source.uint64())
	}
	const clrex, uaoOn, uaoOff = 0xd503305f, 0xd500417f, 0xd500407f
	r.put(clrexAt, clrex)
	r.put(uaoOnAt, uaoOn)
	r.put(uaoOffAt, uaoOff)
	return r, nil
}

func (r *operandRig) put(addr uint64, w uint32) {
	binary.LittleEndian.PutUint32(r.text[addr-textBase:], w)
	r.mem.SyncText(addr, 4)
}

// result is how a word ended.
type result struct {
	file        registerFile
	pc          uint64
	exit        emu.ExitReason
	fault       emu.Fault
	unsupported bool
}

// step executes the word at pc.
func (r *operandRig) step(pc uint64, f *registerFile) (result, error) {
	*r.cpu.Regs() = f.regs(pc)
	exit, err := r.cpu.Step()
	res := result{file: fileOf(r.cpu.Regs()), pc: r.cpu.Regs().PC, exit: exit.Reason}
	var u *emu.UnsupportedError
	if errors.As(err, &u) {
		res.unsupported = true
		return res, nil
	}
	if exit.Fault != nil {
		res.fault = *exit.Fault
	}
	return res, err
}

// trial is a word and what it is executed with.
type trial struct {
	w               uint32
	o               effects.Operands
	file            registerFile
	addr            uint64
	reserve, access bool // before it, an exclusive load; and whether LDTR may access memory
}

// run executes the word; memory afterwards is in r.writable until restore.
func (r *operandRig) run(t *trial, f *registerFile) (result, error) {
	var scratch registerFile
	if t.o.Exclusive && t.o.Access == effects.Stores {
		if _, err := r.step(clrexAt, &scratch); err != nil {
			return result{}, err
		}
		if t.reserve {
			if _, err := r.step(reserveAt, f); err != nil {
				return result{}, err
			}
		}
	}
	if t.o.Unprivileged {
		at := uint64(uaoOffAt)
		if t.access {
			at = uaoOnAt
		}
		if _, err := r.step(at, &scratch); err != nil {
			return result{}, err
		}
	}
	return r.step(wordAt, f)
}

// restore restores memory, and reports whether it had changed.
func (r *operandRig) restore() (changed bool) {
	for i, w := range r.writable {
		if !bytes.Equal(w, r.before[i]) {
			changed = true
			copy(w, r.before[i])
		}
	}
	return changed
}

// snapshot is memory as it is now, until the next snapshot.
func (r *operandRig) snapshot() [][]byte {
	for i, w := range r.writable {
		copy(r.after[i], w)
	}
	return r.after
}

// prepare makes registers for a word, and aims its address at something.
func (r *operandRig) prepare(w uint32, o *effects.Operands) *trial {
	s := r.source
	t := &trial{w: w, o: *o, reserve: !s.one(4), access: !s.one(4)}
	regs := s.registers()
	t.file = fileOf(&regs)
	if n := o.Base; n != effects.NoReg && n != o.Index && !s.one(8) {
		to := s.good() + uint64(s.n(2))<<3
		switch s.n(8) {
		case 0:
			to = s.address()
		case 1:
			to += uint64(s.n(16))
		case 2:
			to = pick(s, []uint64{readOnly, gap, noAccess}) + 256 + uint64(s.n(128))*16
		}
		t.file[n] = 0
		t.file[n] = to - o.Address(wordAt, t.file.get)
	}
	t.addr = o.Address(wordAt, t.file.get)
	if o.Access == effects.LoadsAndStores && s.one(3) {
		r.expect(t)
	}
	return t
}

// expect puts what memory holds into the registers that CAS compares it with.
func (r *operandRig) expect(t *trial) {
	for i, n := range t.o.Data[:t.o.Count] {
		if n != 31 && n != t.o.Base {
			high := r.source.uint64() << (4 * t.o.Size) << (4 * t.o.Size) // which is ignored
			t.file[n] = high | r.look(r.before, t.addr+uint64(i)*uint64(t.o.Size), int(t.o.Size))
		}
	}
}

// place puts a word into text, and what goes before it.
func (r *operandRig) place(w uint32, o *effects.Operands) {
	if o.Exclusive && o.Access == effects.Stores {
		r.put(reserveAt, w|1<<22)
	}
	r.put(wordAt, w)
}

// check executes a word once, and once more with all registers changed that it
// does not read. ran reports whether it is one that the interpreter executes.
func (r *operandRig) check(w uint32) (ran bool, err error) {
	o, ok := effects.Decode(w)
	r.place(w, &o)
	t := r.prepare(w, &o)
	first, err := r.run(t, &t.file)
	if err != nil {
		return false, err
	}
	memory := r.snapshot()
	wrote := r.restore()
	undefined := first.exit == emu.ExitUndefined && !first.unsupported
	switch {
	case !ok && !undefined && !first.unsupported && !matches(unknownOperands, w):
		return true, errors.New("executed, but its operands are not known")
	case ok && undefined && !matches(undefinedHere, w):
		return false, errors.New("undefined, but has operands")
	case !ok || undefined || first.unsupported:
		return false, nil
	}
	if err := t.written(&first); err != nil {
		return true, err
	}
	if err := r.accessed(t, &first, memory, wrote); err != nil {
		return true, err
	}
	if w&^31 == mrsCounter {
		return true, nil // counts what was executed
	}
	other := t.file
	for i := range other {
		if !o.Reads.Has(setOfSlot(i)) {
			other[i] = r.source.value()
			if i == slotNZCV {
				other[i] = uint64(r.source.uint32() & (0xf << 28))
			}
		}
	}
	second, err := r.run(t, &other)
	if err != nil {
		return true, err
	}
	defer r.restore()
	return true, r.same(t, &first, &second, &other, memory)
}

// written: what changed is in Writes, and the PC goes where it may.
func (t *trial) written(res *result) error {
	for i := range res.file {
		if res.file[i] != t.file[i] && !t.o.Writes.Has(setOfSlot(i)) {
			return fmt.Errorf("register %d changed", i)
		}
	}
	executed := res.exit == emu.ExitBudget
	switch {
	case t.o.Exception != (res.exit == emu.ExitException):
		return fmt.Errorf("ends with reason %d", res.exit)
	case !executed && res.file != t.file:
		return errors.New("not executed, but registers changed")
	case executed && !t.o.Branch && res.pc != wordAt+4:
		return fmt.Errorf("goes on at %#x", res.pc)
	case executed && t.o.Call && res.file[30] != wordAt+4:
		return fmt.Errorf("calls with x30 %#x", res.file[30])
	case executed && t.o.Branch && t.o.Addr != 0 && !t.reaches(res.pc):
		return fmt.Errorf("goes on at %#x, which is not in Addr", res.pc)
	}
	return nil
}

// reaches reports whether a register of Addr, or the zero register, holds pc.
func (t *trial) reaches(pc uint64) bool {
	for n := range 31 {
		if t.o.Addr.Has(setOfSlot(n)) {
			return pc == t.file[n]
		}
	}
	return false
}

// accessed: faults are at the address, and what was transferred is what is
// there.
func (r *operandRig) accessed(t *trial, res *result, memory [][]byte, wrote bool) error {
	o := &t.o
	if res.exit == emu.ExitFault {
		return t.faulted(&res.fault)
	}
	if wrote && o.Access != effects.Stores && o.Access != effects.LoadsAndStores {
		return errors.New("stores")
	}
	if o.WriteBack && res.file[o.Base] != t.file[o.Base]+uint64(o.Offset) {
		return fmt.Errorf("writes back %#x", res.file[o.Base])
	}
	if o.Access == effects.NoAccess {
		return nil
	}
	for i := range int(o.Count) {
		at := t.addr + uint64(i)*uint64(o.Size)
		if err := t.element(r, res, memory, i, at); err != nil {
			return err
		}
	}
	return r.elsewhere(memory, t.addr, uint64(o.Size)*uint64(o.Count))
}

func (t *trial) faulted(f *emu.Fault) error {
	size, access := uint64(t.o.Size), emu.Store
	if t.o.Access == effects.Loads {
		access = emu.Load
	}
	if matches(readsWhereMaintained, t.w) {
		size, access = 1, emu.Load
	}
	// Of what leaves a page, the part that cannot be accessed may be any.
	last := t.addr + max(size, size*uint64(t.o.Count)) - 1
	inside := f.Addr == t.addr || last/emu.PageSize != t.addr/emu.PageSize && f.Addr-t.addr <= last-t.addr
	if !inside || f.Size != size || f.Access != access {
		return fmt.Errorf("%w, %d bytes; want %v at %#x, %d bytes", f, f.Size, access, t.addr, size)
	}
	return nil
}

// element checks one register's transfer.
func (t *trial) element(r *operandRig, res *result, memory [][]byte, i int, at uint64) error {
	o := &t.o
	if o.Size > 8 { // DC ZVA
		for off := uint64(0); off < uint64(o.Size); off += 8 {
			if v := r.look(memory, at+off, 8); v != 0 {
				return fmt.Errorf("stored %#x at %#x, want 0", v, at+off)
			}
		}
		return nil
	}
	mask := ^uint64(0) >> (64 - 8*o.Size)
	old, now := r.look(r.before, at, int(o.Size)), r.look(memory, at, int(o.Size))
	n := o.Data[i]
	if o.Access == effects.Stores {
		want := t.file.data(n) & mask
		if o.Status != effects.NoReg && o.Status != 31 && res.file[o.Status] != 0 {
			want = old
		}
		if o.Status == 31 { // not told
			return nil
		}
		if now != want {
			return fmt.Errorf("stored %#x at %#x, want %#x", now, at, want)
		}
		return nil
	}
	want := old
	if o.Signed {
		shift := 64 - 8*o.Size
		want = uint64(int64(want<<shift) >> shift)
		if o.Narrow {
			want = uint64(uint32(want))
		}
	}
	// Where a register has two roles, the last to be written wins, or the first.
	if n == 31 || o.WriteBack && n == o.Base || o.Count == 2 && o.Data[0] == o.Data[1] {
		return nil
	}
	if res.file[n] != want {
		return fmt.Errorf("loaded %#x from %#x, want %#x", res.file[n], at, want)
	}
	if o.Access == effects.LoadsAndStores && t.w&0x3f000000 == 0x08000000 && now != old && now != t.file.data(o.Source[i])&mask {
		return fmt.Errorf("swapped %#x at %#x", now, at)
	}
	return nil
}

// look reads memory as it is in a snapshot. Text and what is read-only have
// not changed.
func (r *operandRig) look(memory [][]byte, addr uint64, n int) uint64 {
	var buf [8]byte
	for i := range n {
		a := addr + uint64(i)
		k := 0
		for _, reg := range regions {
			switch {
			case a-reg.base >= reg.size:
			case reg.perm&emu.Write != 0:
				buf[i] = memory[k][a-reg.base]
			default:
				buf[i] = r.mem.Region(a).Host()[a-reg.base]
			}
			if reg.perm&emu.Write != 0 {
				k++
			}
		}
	}
	return binary.LittleEndian.Uint64(buf[:])
}

// elsewhere: no byte changed but in the size bytes at addr.
func (r *operandRig) elsewhere(memory [][]byte, addr, size uint64) error {
	k := 0
	for _, reg := range regions {
		if reg.perm&emu.Write == 0 {
			continue
		}
		now, before := memory[k], r.before[k]
		k++
		if bytes.Equal(now, before) {
			continue
		}
		for i := range now {
			if now[i] != before[i] && reg.base+uint64(i)-addr >= size {
				return fmt.Errorf("stored at %#x", reg.base+uint64(i))
			}
		}
	}
	return nil
}

// same: what is not read makes no difference.
func (r *operandRig) same(t *trial, a, b *result, other *registerFile, memory [][]byte) error {
	if a.pc != b.pc || a.exit != b.exit || a.fault != b.fault {
		return fmt.Errorf("ends otherwise with registers that it does not read: %v at %#x, %v; %v at %#x, %v",
			a.exit, a.pc, a.fault, b.exit, b.pc, b.fault)
	}
	for i := range a.file {
		kept := a.file[i] == t.file[i] && b.file[i] == other[i]
		must := t.o.Writes.Has(setOfSlot(i)) && a.exit == emu.ExitBudget && setOfSlot(i) != effects.SetSystem
		if a.file[i] != b.file[i] && (must || !kept) {
			return fmt.Errorf("register %d depends on registers that it does not read: %#x, %#x", i, a.file[i], b.file[i])
		}
	}
	for i, w := range r.writable {
		if !bytes.Equal(w, memory[i]) {
			return errors.New("what is stored depends on registers that it does not read")
		}
	}
	return nil
}

func explainOperands(w uint32, err error) string {
	o, ok := effects.Decode(w)
	return fmt.Sprintf("%08x %s: %v\n%+v, %v", w, asm.Disassemble(w, wordAt, nil), err, o, ok)
}

// wordsOf is how many words of a class are drawn: many of the interpreter's
// rows, a tenth of that from each of the classes, which divide the rows.
func wordsOf(c *class) int {
	n := 2000
	if strings.HasPrefix(c.name, "row ") || c.mask == 0 {
		n = 20_000
	}
	if testing.Short() || raceEnabled {
		n /= 10
	}
	return n
}

func TestOperands_AreWhatTheInterpreterDoes(t *testing.T) {
	for i, c := range concat(interpreted, classes) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := newOperandRig(uint64(i))
			require.NoError(t, err)
			defer func() { require.NoError(t, r.close()) }()
			ran, words := 0, wordsOf(&c)
			for range words {
				w, err := c.draw(r.source)
				require.NoError(t, err)
				one, err := r.check(w)
				if err != nil {
					t.Fatal(explainOperands(w, err))
				}
				if one {
					ran++
				}
			}
			t.Logf("%d of %d words executed", ran, words)
			if ran == 0 && !matches(neverExecuted, c.value) {
				t.Error("no word was executed")
			}
		})
	}
}

// role is where a word has a register: the lowest bit of the field, or a name
// for what no field has.
func role(w uint32, slot int) string {
	switch slot {
	case slotSP:
		return "sp"
	case slotNZCV:
		return "flags"
	case slotSPEL0:
		return "system"
	}
	found := ""
	for _, lsb := range []int{0, 5, 10, 16} {
		if bits(w, lsb, 5) != uint32(slot) {
			continue
		}
		if found != "" {
			return "several"
		}
		found = fmt.Sprintf("field %d", lsb)
	}
	return found
}

// count is how many registers were in a set, and how many of them with effect.
type count struct{ named, seen int }

func tally(counts map[string]*count, w uint32, set, seen effects.RegSet) {
	for slot := range slotTPIDREL1 {
		if !set.Has(setOfSlot(slot)) {
			continue
		}
		c := counts[role(w, slot)]
		if c == nil {
			c = &count{}
			counts[role(w, slot)] = c
		}
		c.named++
		if seen.Has(setOfSlot(slot)) {
			c.seen++
		}
	}
}

// A set of all registers would pass the test above. Whether a register matters
// depends on values, so this looks at many words and at where they name it.
func TestOperands_AreNoneTooMany(t *testing.T) {
	for i, c := range concat(interpreted, classes) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := newOperandRig(uint64(i))
			require.NoError(t, err)
			defer func() { require.NoError(t, r.close()) }()
			reads, writes := map[string]*count{}, map[string]*count{}
			for range 80 {
				w, err := c.draw(r.source)
				require.NoError(t, err)
				o, ok := effects.Decode(w)
				if !ok || matches(withoutEffect, w) || o.Base != effects.NoReg && o.Access == effects.NoAccess {
					continue
				}
				read, written, err := r.effects(w, &o)
				require.NoError(t, err)
				tally(reads, w, o.Reads, read)
				tally(writes, w, o.Writes, written)
			}
			for what, counts := range map[string]map[string]*count{"read": reads, "written": writes} {
				for at, n := range counts {
					t.Logf("%s, %s: seen for %d of %d", what, at, n.seen, n.named)
					if n.named >= 12 && n.seen*10 < n.named {
						t.Errorf("%s, %s: seen for %d of %d", what, at, n.seen, n.named)
					}
				}
			}
		})
	}
}

// effects are the registers of which another value was seen to make a
// difference, and those that were seen to change.
func (r *operandRig) effects(w uint32, o *effects.Operands) (read, written effects.RegSet, err error) {
	r.place(w, o)
	for range 12 {
		t := r.prepare(w, o)
		a, err := r.run(t, &t.file)
		if err != nil {
			return 0, 0, err
		}
		memory := r.snapshot()
		r.restore()
		for i := range slotTPIDREL1 {
			if a.file[i] != t.file[i] {
				written |= setOfSlot(i)
			}
			if !o.Reads.Has(setOfSlot(i)) {
				continue
			}
			other := t.file
			other[i] ^= r.source.value()
			if i == slotNZCV {
				other[i] = t.file[i] ^ uint64(r.source.uint32()&(0xf<<28))
			}
			b, err := r.run(t, &other)
			if err != nil {
				return 0, 0, err
			}
			if other[i] != t.file[i] && r.same(&trial{o: effects.Operands{Writes: o.Writes}, file: t.file}, &a, &b, &other, memory) != nil {
				read |= setOfSlot(i)
			}
			r.restore()
		}
	}
	return read, written, nil
}

func FuzzOperands(f *testing.F) {
	for _, c := range interpreted {
		f.Add(c.value, uint64(0))
	}
	r, err := newOperandRig(0)
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, r.close()) })
	f.Fuzz(func(t *testing.T, w uint32, seed uint64) {
		r.source = newSource(seed, 0)
		if _, err := r.check(w); err != nil {
			t.Error(explainOperands(w, err))
		}
	})
}
