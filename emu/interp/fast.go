package interp

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"callops/emu"
)

// fast executes from in, which is in p, until it can't go on, and returns where
// it came to. Count has all of the straight run that in is in: a run is paid
// for when it is entered, and whoever leaves it early takes back the left of
// the inst that is not executed. So neither the limit nor the count costs an
// instruction anything, only a run.
//
// halted says that the run at in would go past the limit, or that text has
// changed. Otherwise the inst is one that this can't execute.
//
// Nothing here calls a function, so that all that is live stays in the host's
// registers; what can't be done so is left to the reference. In the switch, an
// operation that goes on with the next one continues; a branch that is taken
// leaves it.
func (c *CPU) fast(p *page, in *inst, count, limit uint64) (_ *page, _ *inst, _ uint64, halted bool) {
	_ = c.count // so that c is known not to be nil from here on
	for {
		switch in.op {
		case opDecode, opPageEnd, opExec, opExecEnd:
			return p, in, count, false

		// Moves.
		case opNop:
			in = next(in, 1)
			continue
		case opMovImm:
			c.x[in.rd] = in.imm
			in = next(in, 1)
			continue
		case opMovImm2:
			c.x[in.rd] = in.imm
			in = next(in, 2)
			continue
		case opMov64:
			c.x[in.rd] = c.x[in.rn]
			in = next(in, 1)
			continue
		case opMov32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]))
			in = next(in, 1)
			continue
		case opMovk64:
			c.x[in.rd] = c.x[in.rd]&^(0xffff<<(in.ra&63)) | in.imm
			in = next(in, 1)
			continue
		case opMovk32:
			c.x[in.rd] = uint64(uint32(c.x[in.rd]&^(0xffff<<(in.ra&63)) | in.imm))
			in = next(in, 1)
			continue

		// Sums and differences.
		case opAddImm64:
			c.x[in.rd] = c.x[in.rn] + in.imm
			in = next(in, 1)
			continue
		case opAddImm32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) + uint32(in.imm))
			in = next(in, 1)
			continue
		case opAdd64:
			c.x[in.rd] = c.x[in.rn] + c.x[in.rm]
			in = next(in, 1)
			continue
		case opAdd32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) + uint32(c.x[in.rm]))
			in = next(in, 1)
			continue
		case opSub64:
			c.x[in.rd] = c.x[in.rn] - c.x[in.rm]
			in = next(in, 1)
			continue
		case opSub32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) - uint32(c.x[in.rm]))
			in = next(in, 1)
			continue
		case opAddLsl64:
			c.x[in.rd] = c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			in = next(in, 1)
			continue
		case opAddLsl32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) + uint32(c.x[in.rm])<<(in.ra&31))
			in = next(in, 1)
			continue
		case opSubLsl64:
			c.x[in.rd] = c.x[in.rn] - c.x[in.rm]<<(in.ra&63)
			in = next(in, 1)
			continue
		case opSubLsl32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) - uint32(c.x[in.rm])<<(in.ra&31))
			in = next(in, 1)
			continue
		case opAddUxtw64:
			c.x[in.rd] = c.x[in.rn] + uint64(uint32(c.x[in.rm]))<<(in.ra&63)
			in = next(in, 1)
			continue
		case opAddSxtw64:
			c.x[in.rd] = c.x[in.rn] + uint64(int64(int32(c.x[in.rm])))<<(in.ra&63)
			in = next(in, 1)
			continue

		// The same with flags, of which only the operands are noted.
		case opAddsImm64:
			a, b := c.x[in.rn], in.imm
			c.flags = flags{a, b, flagsAdd}
			c.x[in.rd] = a + b
			in = next(in, 1)
			continue
		case opAdds64:
			a, b := c.x[in.rn], c.x[in.rm]
			c.flags = flags{a, b, flagsAdd}
			c.x[in.rd] = a + b
			in = next(in, 1)
			continue
		case opAddsImm32:
			a, b := uint32(c.x[in.rn]), uint32(in.imm)
			c.flags = flags{uint64(a) << 32, uint64(b) << 32, flagsAdd}
			c.x[in.rd] = uint64(a + b)
			in = next(in, 1)
			continue
		case opAdds32:
			a, b := uint32(c.x[in.rn]), uint32(c.x[in.rm])
			c.flags = flags{uint64(a) << 32, uint64(b) << 32, flagsAdd}
			c.x[in.rd] = uint64(a + b)
			in = next(in, 1)
			continue
		case opSubsImm64:
			a, b := c.x[in.rn], in.imm
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			in = next(in, 1)
			continue
		case opSubs64:
			a, b := c.x[in.rn], c.x[in.rm]
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			in = next(in, 1)
			continue
		case opSubsImm32:
			a, b := uint32(c.x[in.rn]), uint32(in.imm)
			c.flags = flags{uint64(a) << 32, uint64(b) << 32, flagsSub}
			c.x[in.rd] = uint64(a - b)
			in = next(in, 1)
			continue
		case opSubs32:
			a, b := uint32(c.x[in.rn]), uint32(c.x[in.rm])
			c.flags = flags{uint64(a) << 32, uint64(b) << 32, flagsSub}
			c.x[in.rd] = uint64(a - b)
			in = next(in, 1)
			continue
		case opAndsImm64:
			r := c.x[in.rn] & in.imm
			c.flags = flags{r, 0, flagsAdd}
			c.x[in.rd] = r
			in = next(in, 1)
			continue
		case opAnds64:
			r := c.x[in.rn] & c.x[in.rm]
			c.flags = flags{r, 0, flagsAdd}
			c.x[in.rd] = r
			in = next(in, 1)
			continue
		case opAndsImm32:
			r := c.x[in.rn] & in.imm
			c.flags = flags{r << 32, 0, flagsAdd}
			c.x[in.rd] = r
			in = next(in, 1)
			continue
		case opAnds32:
			r := uint64(uint32(c.x[in.rn] & c.x[in.rm]))
			c.flags = flags{r << 32, 0, flagsAdd}
			c.x[in.rd] = r
			in = next(in, 1)
			continue

		// Logic.
		case opAndImm:
			c.x[in.rd] = c.x[in.rn] & in.imm
			in = next(in, 1)
			continue
		case opOrrImm64:
			c.x[in.rd] = c.x[in.rn] | in.imm
			in = next(in, 1)
			continue
		case opOrrImm32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn] | in.imm))
			in = next(in, 1)
			continue
		case opEorImm64:
			c.x[in.rd] = c.x[in.rn] ^ in.imm
			in = next(in, 1)
			continue
		case opEorImm32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn] ^ in.imm))
			in = next(in, 1)
			continue
		case opAnd64:
			c.x[in.rd] = c.x[in.rn] & c.x[in.rm]
			in = next(in, 1)
			continue
		case opAnd32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn] & c.x[in.rm]))
			in = next(in, 1)
			continue
		case opOrr64:
			c.x[in.rd] = c.x[in.rn] | c.x[in.rm]
			in = next(in, 1)
			continue
		case opOrr32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn] | c.x[in.rm]))
			in = next(in, 1)
			continue
		case opEor64:
			c.x[in.rd] = c.x[in.rn] ^ c.x[in.rm]
			in = next(in, 1)
			continue
		case opEor32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn] ^ c.x[in.rm]))
			in = next(in, 1)
			continue
		case opBic64:
			c.x[in.rd] = c.x[in.rn] &^ c.x[in.rm]
			in = next(in, 1)
			continue
		case opBic32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn] &^ c.x[in.rm]))
			in = next(in, 1)
			continue
		case opOrn64:
			c.x[in.rd] = c.x[in.rn] | ^c.x[in.rm]
			in = next(in, 1)
			continue
		case opOrn32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn] | ^c.x[in.rm]))
			in = next(in, 1)
			continue
		case opOrrLsl64:
			c.x[in.rd] = c.x[in.rn] | c.x[in.rm]<<(in.ra&63)
			in = next(in, 1)
			continue
		case opOrrLsl32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) | uint32(c.x[in.rm])<<(in.ra&31))
			in = next(in, 1)
			continue
		case opOrrLsr64:
			c.x[in.rd] = c.x[in.rn] | c.x[in.rm]>>(in.ra&63)
			in = next(in, 1)
			continue
		case opOrrLsr32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) | uint32(c.x[in.rm])>>(in.ra&31))
			in = next(in, 1)
			continue
		case opEorLsl64:
			c.x[in.rd] = c.x[in.rn] ^ c.x[in.rm]<<(in.ra&63)
			in = next(in, 1)
			continue
		case opEorLsl32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) ^ uint32(c.x[in.rm])<<(in.ra&31))
			in = next(in, 1)
			continue
		case opEorLsr64:
			c.x[in.rd] = c.x[in.rn] ^ c.x[in.rm]>>(in.ra&63)
			in = next(in, 1)
			continue
		case opEorLsr32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) ^ uint32(c.x[in.rm])>>(in.ra&31))
			in = next(in, 1)
			continue
		case opEorRor64:
			c.x[in.rd] = c.x[in.rn] ^ bits.RotateLeft64(c.x[in.rm], -int(in.ra))
			in = next(in, 1)
			continue
		case opEorRor32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) ^ bits.RotateLeft32(uint32(c.x[in.rm]), -int(in.ra)))
			in = next(in, 1)
			continue

		// Shifts and bit fields.
		case opLsl64:
			c.x[in.rd] = c.x[in.rn] << (in.ra & 63)
			in = next(in, 1)
			continue
		case opLsl32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) << (in.ra & 31))
			in = next(in, 1)
			continue
		case opUbfx:
			c.x[in.rd] = c.x[in.rn] >> (in.ra & 63) & in.imm
			in = next(in, 1)
			continue
		case opUbfiz:
			c.x[in.rd] = c.x[in.rn] & in.imm << (in.ra & 63)
			in = next(in, 1)
			continue
		case opSbfx64:
			c.x[in.rd] = uint64(int64(c.x[in.rn]<<(in.rm&63)) >> (in.ra & 63))
			in = next(in, 1)
			continue
		case opSbfx32:
			c.x[in.rd] = uint64(uint32(int32(uint32(c.x[in.rn])<<(in.rm&31)) >> (in.ra & 31)))
			in = next(in, 1)
			continue
		case opBfi64:
			c.x[in.rd] = c.x[in.rd]&^in.imm | c.x[in.rn]<<(in.ra&63)&in.imm
			in = next(in, 1)
			continue
		case opBfi32:
			c.x[in.rd] = uint64(uint32(c.x[in.rd]&^in.imm | c.x[in.rn]<<(in.ra&63)&in.imm))
			in = next(in, 1)
			continue
		case opBfxil64:
			c.x[in.rd] = c.x[in.rd]&^in.imm | c.x[in.rn]>>(in.ra&63)&in.imm
			in = next(in, 1)
			continue
		case opBfxil32:
			c.x[in.rd] = uint64(uint32(c.x[in.rd]&^in.imm | c.x[in.rn]>>(in.ra&63)&in.imm))
			in = next(in, 1)
			continue
		case opRor64:
			c.x[in.rd] = bits.RotateLeft64(c.x[in.rn], -int(in.ra))
			in = next(in, 1)
			continue
		case opRor32:
			c.x[in.rd] = uint64(bits.RotateLeft32(uint32(c.x[in.rn]), -int(in.ra)))
			in = next(in, 1)
			continue
		case opExtr64:
			c.x[in.rd] = c.x[in.rm]>>(in.ra&63) | c.x[in.rn]<<(-in.ra&63)
			in = next(in, 1)
			continue
		case opLslv64:
			c.x[in.rd] = c.x[in.rn] << (c.x[in.rm] & 63)
			in = next(in, 1)
			continue
		case opLslv32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) << (c.x[in.rm] & 31))
			in = next(in, 1)
			continue
		case opLsrv64:
			c.x[in.rd] = c.x[in.rn] >> (c.x[in.rm] & 63)
			in = next(in, 1)
			continue
		case opLsrv32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) >> (c.x[in.rm] & 31))
			in = next(in, 1)
			continue
		case opAsrv64:
			c.x[in.rd] = uint64(int64(c.x[in.rn]) >> (c.x[in.rm] & 63))
			in = next(in, 1)
			continue
		case opAsrv32:
			c.x[in.rd] = uint64(uint32(int32(c.x[in.rn]) >> (c.x[in.rm] & 31)))
			in = next(in, 1)
			continue
		case opRev64:
			c.x[in.rd] = bits.ReverseBytes64(c.x[in.rn])
			in = next(in, 1)
			continue
		case opRev32:
			c.x[in.rd] = uint64(bits.ReverseBytes32(uint32(c.x[in.rn])))
			in = next(in, 1)
			continue

		// Products.
		case opMadd64:
			c.x[in.rd] = c.x[in.ra] + c.x[in.rn]*c.x[in.rm]
			in = next(in, 1)
			continue
		case opMadd32:
			c.x[in.rd] = uint64(uint32(c.x[in.ra]) + uint32(c.x[in.rn])*uint32(c.x[in.rm]))
			in = next(in, 1)
			continue
		case opMsub64:
			c.x[in.rd] = c.x[in.ra] - c.x[in.rn]*c.x[in.rm]
			in = next(in, 1)
			continue
		case opMsub32:
			c.x[in.rd] = uint64(uint32(c.x[in.ra]) - uint32(c.x[in.rn])*uint32(c.x[in.rm]))
			in = next(in, 1)
			continue
		case opUmaddl:
			c.x[in.rd] = c.x[in.ra] + uint64(uint32(c.x[in.rn]))*uint64(uint32(c.x[in.rm]))
			in = next(in, 1)
			continue
		case opSmaddl:
			c.x[in.rd] = c.x[in.ra] + uint64(int64(int32(c.x[in.rn]))*int64(int32(c.x[in.rm])))
			in = next(in, 1)
			continue

		// Loads and stores. A miss in the TLB is for the reference, faults too.
		case opLdr64:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = *(*uint64)(q)
			in = next(in, 1)
			continue
		case opLdr32:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+3)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(*(*uint32)(q))
			in = next(in, 1)
			continue
		case opLdrh:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+1)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(*(*uint16)(q))
			in = next(in, 1)
			continue
		case opLdrb:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != addr/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(*(*uint8)(q))
			in = next(in, 1)
			continue
		case opLdrsw:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+3)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(int64(*(*int32)(q)))
			in = next(in, 1)
			continue
		case opLdrsh64:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+1)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(int64(*(*int16)(q)))
			in = next(in, 1)
			continue
		case opLdrsh32:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+1)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(uint32(int32(*(*int16)(q))))
			in = next(in, 1)
			continue
		case opLdrsb64:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != addr/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(int64(*(*int8)(q)))
			in = next(in, 1)
			continue
		case opLdrsb32:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != addr/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(uint32(int32(*(*int8)(q))))
			in = next(in, 1)
			continue
		case opStr64:
			addr := c.x[in.rn] + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint64)(q) = c.x[in.rd]
			in = next(in, 1)
			continue
		case opStr32:
			addr := c.x[in.rn] + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+3)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint32)(q) = uint32(c.x[in.rd])
			in = next(in, 1)
			continue
		case opStrh:
			addr := c.x[in.rn] + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+1)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint16)(q) = uint16(c.x[in.rd])
			in = next(in, 1)
			continue
		case opStrb:
			addr := c.x[in.rn] + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != addr/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint8)(q) = uint8(c.x[in.rd])
			in = next(in, 1)
			continue
		case opLdrW64:
			addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			base := c.x[in.rn]
			c.x[in.rd] = *(*uint64)(q)
			c.x[in.rn] = base + uint64(int64(in.imm)>>32)
			in = next(in, 1)
			continue
		case opLdrW32:
			addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+3)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			base := c.x[in.rn]
			c.x[in.rd] = uint64(*(*uint32)(q))
			c.x[in.rn] = base + uint64(int64(in.imm)>>32)
			in = next(in, 1)
			continue
		case opLdrWb:
			addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != addr/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			base := c.x[in.rn]
			c.x[in.rd] = uint64(*(*uint8)(q))
			c.x[in.rn] = base + uint64(int64(in.imm)>>32)
			in = next(in, 1)
			continue
		case opStrW64:
			addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint64)(q) = c.x[in.rd]
			c.x[in.rn] += uint64(int64(in.imm) >> 32)
			in = next(in, 1)
			continue
		case opStrW32:
			addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+3)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint32)(q) = uint32(c.x[in.rd])
			c.x[in.rn] += uint64(int64(in.imm) >> 32)
			in = next(in, 1)
			continue
		case opStrWb:
			addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != addr/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint8)(q) = uint8(c.x[in.rd])
			c.x[in.rn] += uint64(int64(in.imm) >> 32)
			in = next(in, 1)
			continue
		case opLdrX64:
			addr := c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = *(*uint64)(q)
			in = next(in, 1)
			continue
		case opLdrX32:
			addr := c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+3)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(*(*uint32)(q))
			in = next(in, 1)
			continue
		case opLdrXh:
			addr := c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+1)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(*(*uint16)(q))
			in = next(in, 1)
			continue
		case opLdrXb:
			addr := c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != addr/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(*(*uint8)(q))
			in = next(in, 1)
			continue
		case opLdrXsw:
			addr := c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+3)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(int64(*(*int32)(q)))
			in = next(in, 1)
			continue
		case opStrX64:
			addr := c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint64)(q) = c.x[in.rd]
			in = next(in, 1)
			continue
		case opStrX32:
			addr := c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+3)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint32)(q) = uint32(c.x[in.rd])
			in = next(in, 1)
			continue
		case opStrXh:
			addr := c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+1)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint16)(q) = uint16(c.x[in.rd])
			in = next(in, 1)
			continue
		case opStrXb:
			addr := c.x[in.rn] + c.x[in.rm]<<(in.ra&63)
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != addr/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint8)(q) = uint8(c.x[in.rd])
			in = next(in, 1)
			continue
		case opLdrLit64:
			addr := in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = *(*uint64)(q)
			in = next(in, 1)
			continue
		case opLdrLit32:
			addr := in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+3)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(*(*uint32)(q))
			in = next(in, 1)
			continue
		case opLdp64:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+15)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			a, b := *(*uint64)(q), *(*uint64)(unsafe.Add(q, 8))
			c.x[in.rd] = a
			c.x[in.rm] = b
			in = next(in, 1)
			continue
		case opLdp32:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			a, b := *(*uint32)(q), *(*uint32)(unsafe.Add(q, 4))
			c.x[in.rd] = uint64(a)
			c.x[in.rm] = uint64(b)
			in = next(in, 1)
			continue
		case opStp64:
			addr := c.x[in.rn] + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+15)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint64)(q) = c.x[in.rd]
			*(*uint64)(unsafe.Add(q, 8)) = c.x[in.rm]
			in = next(in, 1)
			continue
		case opStp32:
			addr := c.x[in.rn] + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint32)(q) = uint32(c.x[in.rd])
			*(*uint32)(unsafe.Add(q, 4)) = uint32(c.x[in.rm])
			in = next(in, 1)
			continue
		case opLdpW64:
			addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+15)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			base := c.x[in.rn]
			a, b := *(*uint64)(q), *(*uint64)(unsafe.Add(q, 8))
			c.x[in.rd] = a
			c.x[in.rm] = b
			c.x[in.rn] = base + uint64(int64(in.imm)>>32)
			in = next(in, 1)
			continue
		case opStpW64:
			addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+15)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint64)(q) = c.x[in.rd]
			*(*uint64)(unsafe.Add(q, 8)) = c.x[in.rm]
			c.x[in.rn] += uint64(int64(in.imm) >> 32)
			in = next(in, 1)
			continue

		// Acquire and release. Unaligned ones are for the reference.
		case opLdar64:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != addr/emu.PageSize || addr%8 != 0 {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = atomic.LoadUint64((*uint64)(q))
			in = next(in, 1)
			continue
		case opLdar32:
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != addr/emu.PageSize || addr%4 != 0 {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = uint64(atomic.LoadUint32((*uint32)(q)))
			in = next(in, 1)
			continue
		case opStlr64:
			addr := c.x[in.rn] + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != addr/emu.PageSize || addr%8 != 0 {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			atomic.StoreUint64((*uint64)(q), c.x[in.rd])
			in = next(in, 1)
			continue
		case opStlr32:
			addr := c.x[in.rn] + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != addr/emu.PageSize || addr%4 != 0 {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			atomic.StoreUint32((*uint32)(q), uint32(c.x[in.rd]))
			in = next(in, 1)
			continue

		// Branches.
		case opB:
			in = jump(in, in.imm)
		case opBl:
			c.x[30] = p.pc(in) + 4
			in = jump(in, in.imm)
		case opBFar:
			pc := in.imm
			t := &c.targets[targetSlot(in)]
			if t.pc != pc {
				e := &c.cache[slotOf(pc)]
				if e.base != pc&^(pageMask&^3) {
					return p, in, count, false
				}
				t.pc, t.page, t.in = pc, e.page, e.page.at(pc)
			}
			p, in = t.page, t.in
		case opBlFar:
			pc := in.imm
			t := &c.targets[targetSlot(in)]
			if t.pc != pc {
				e := &c.cache[slotOf(pc)]
				if e.base != pc&^(pageMask&^3) {
					return p, in, count, false
				}
				t.pc, t.page, t.in = pc, e.page, e.page.at(pc)
			}
			c.x[30] = p.pc(in) + 4
			p, in = t.page, t.in
		case opBr:
			pc := c.x[in.rn]
			t := &c.targets[targetSlot(in)]
			if t.pc != pc {
				e := &c.cache[slotOf(pc)]
				if e.base != pc&^(pageMask&^3) {
					return p, in, count, false
				}
				t.pc, t.page, t.in = pc, e.page, e.page.at(pc)
			}
			p, in = t.page, t.in
		case opBlr:
			pc := c.x[in.rn]
			t := &c.targets[targetSlot(in)]
			if t.pc != pc {
				e := &c.cache[slotOf(pc)]
				if e.base != pc&^(pageMask&^3) {
					return p, in, count, false
				}
				t.pc, t.page, t.in = pc, e.page, e.page.at(pc)
			}
			c.x[30] = p.pc(in) + 4
			p, in = t.page, t.in
		case opBcond, opCsel, opCcmp:
			// What holds, as an index for condMasks.
			a, b := c.flags.a, c.flags.b
			var have uint32
			switch c.flags.kind {
			case flagsSub:
				have = bit(a == b, 1) | bit(a < b, 1)<<1 | bit(int64(a) < int64(b), 1)<<2 | uint32((a-b)>>63)<<3
			case flagsAdd:
				r := a + b
				n := uint32(r >> 63)
				have = bit(r == 0, 1) | bit(r >= a, 1)<<1 | (n^uint32((a^r)&(b^r)>>63))<<2 | n<<3
			default:
				have = uint32(haves[a&15])
			}
			holds := condMasks[in.ra&15]>>(have&15)&1 != 0
			switch in.op {
			case opCsel:
				v := (c.x[in.rm] ^ -(in.imm >> 1 & 1)) + in.imm&1
				if holds {
					v = c.x[in.rn]
				}
				c.x[in.rd] = v & (^uint64(0) >> (in.imm & 32))
				in = next(in, 1)
				continue
			case opCcmp:
				c.flags = flags{uint64(in.rd), 0, flagsValue}
				if holds {
					c.flags = flags{c.x[in.rn] << (in.imm >> 8 & 32), (c.x[in.rm] + in.imm&31) << (in.imm >> 8 & 32), flagKind(in.imm >> 6 & 3)}
				}
				in = next(in, 1)
				continue
			}
			if !holds {
				in = next(in, 1)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, in.imm)
		case opCbz64:
			if !(c.x[in.rn] == 0) {
				in = next(in, 1)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, in.imm)
		case opCbnz64:
			if !(c.x[in.rn] != 0) {
				in = next(in, 1)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, in.imm)
		case opCbz32:
			if !(uint32(c.x[in.rn]) == 0) {
				in = next(in, 1)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, in.imm)
		case opCbnz32:
			if !(uint32(c.x[in.rn]) != 0) {
				in = next(in, 1)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, in.imm)
		case opTbz:
			if !(c.x[in.rn]>>(in.ra&63)&1 == 0) {
				in = next(in, 1)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, in.imm)
		case opTbnz:
			if !(c.x[in.rn]>>(in.ra&63)&1 != 0) {
				in = next(in, 1)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, in.imm)

		// Comparisons with the branch behind them.
		case opSubsImmEq64:
			a, b := c.x[in.rn], in.imm>>32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if !(a == b) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmNe64:
			a, b := c.x[in.rn], in.imm>>32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if !(a != b) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmEq32:
			a, b := c.x[in.rn]<<32, in.imm>>32<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if !(a == b) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmNe32:
			a, b := c.x[in.rn]<<32, in.imm>>32<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if !(a != b) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsEq64:
			a, b := c.x[in.rn], c.x[in.rm]
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if !(a == b) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsNe64:
			a, b := c.x[in.rn], c.x[in.rm]
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if !(a != b) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsEq32:
			a, b := c.x[in.rn]<<32, c.x[in.rm]<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if !(a == b) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsNe32:
			a, b := c.x[in.rn]<<32, c.x[in.rm]<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if !(a != b) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmLo64:
			a, b := c.x[in.rn], in.imm>>32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if (a < b) != (in.ra&1 == 1) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmHi64:
			a, b := c.x[in.rn], in.imm>>32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if (a > b) != (in.ra&1 == 0) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmLt64:
			a, b := c.x[in.rn], in.imm>>32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if (int64(a) < int64(b)) != (in.ra&1 == 1) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmGt64:
			a, b := c.x[in.rn], in.imm>>32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if (int64(a) > int64(b)) != (in.ra&1 == 0) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmLo32:
			a, b := c.x[in.rn]<<32, in.imm>>32<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if (a < b) != (in.ra&1 == 1) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmHi32:
			a, b := c.x[in.rn]<<32, in.imm>>32<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if (a > b) != (in.ra&1 == 0) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmLt32:
			a, b := c.x[in.rn]<<32, in.imm>>32<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if (int64(a) < int64(b)) != (in.ra&1 == 1) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsImmGt32:
			a, b := c.x[in.rn]<<32, in.imm>>32<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if (int64(a) > int64(b)) != (in.ra&1 == 0) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsLo64:
			a, b := c.x[in.rn], c.x[in.rm]
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if (a < b) != (in.ra&1 == 1) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsHi64:
			a, b := c.x[in.rn], c.x[in.rm]
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if (a > b) != (in.ra&1 == 0) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsLt64:
			a, b := c.x[in.rn], c.x[in.rm]
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if (int64(a) < int64(b)) != (in.ra&1 == 1) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsGt64:
			a, b := c.x[in.rn], c.x[in.rm]
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = a - b
			if (int64(a) > int64(b)) != (in.ra&1 == 0) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsLo32:
			a, b := c.x[in.rn]<<32, c.x[in.rm]<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if (a < b) != (in.ra&1 == 1) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsHi32:
			a, b := c.x[in.rn]<<32, c.x[in.rm]<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if (a > b) != (in.ra&1 == 0) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsLt32:
			a, b := c.x[in.rn]<<32, c.x[in.rm]<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if (int64(a) < int64(b)) != (in.ra&1 == 1) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))
		case opSubsGt32:
			a, b := c.x[in.rn]<<32, c.x[in.rm]<<32
			c.flags = flags{a, b, flagsSub}
			c.x[in.rd] = (a - b) >> 32
			if (int64(a) > int64(b)) != (in.ra&1 == 0) {
				in = next(in, 2)
				count += uint64(in.left)
				if count > limit {
					return p, in, count, true
				}
				continue
			}
			in = jump(in, uint64(int64(int32(in.imm))))

		// Other pairs: the first, then the second, which reads its own inst. Where
		// the second can't go on, the first is done and in stands on the second.
		case opNopThenNop:
			in = next(in, 1)
			in = next(in, 1)
			continue
		case opNopThenMov64:
			in = next(in, 1)
			c.x[in.rd] = c.x[in.rn]
			in = next(in, 1)
			continue
		case opMov64ThenMov64:
			c.x[in.rd] = c.x[in.rn]
			in = next(in, 1)
			c.x[in.rd] = c.x[in.rn]
			in = next(in, 1)
			continue
		case opMov64ThenBlFar:
			c.x[in.rd] = c.x[in.rn]
			in = next(in, 1)
			pc := in.imm
			t := &c.targets[targetSlot(in)]
			if t.pc != pc {
				e := &c.cache[slotOf(pc)]
				if e.base != pc&^(pageMask&^3) {
					return p, in, count, false
				}
				t.pc, t.page, t.in = pc, e.page, e.page.at(pc)
			}
			c.x[30] = p.pc(in) + 4
			p, in = t.page, t.in
		case opStpW64ThenMov64:
			{
				addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
				tlb := &c.stores[slotOf(addr)]
				if tlb.page != (addr+15)/emu.PageSize {
					return p, in, count, false
				}
				q := unsafe.Add(tlb.host, addr%emu.PageSize)
				*(*uint64)(q) = c.x[in.rd]
				*(*uint64)(unsafe.Add(q, 8)) = c.x[in.rm]
				c.x[in.rn] += uint64(int64(in.imm) >> 32)
			}
			in = next(in, 1)
			c.x[in.rd] = c.x[in.rn]
			in = next(in, 1)
			continue
		case opLdpW64ThenBr:
			{
				addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
				tlb := &c.loads[slotOf(addr)]
				if tlb.page != (addr+15)/emu.PageSize {
					return p, in, count, false
				}
				q := unsafe.Add(tlb.host, addr%emu.PageSize)
				base := c.x[in.rn]
				a, b := *(*uint64)(q), *(*uint64)(unsafe.Add(q, 8))
				c.x[in.rd] = a
				c.x[in.rm] = b
				c.x[in.rn] = base + uint64(int64(in.imm)>>32)
			}
			in = next(in, 1)
			pc := c.x[in.rn]
			t := &c.targets[targetSlot(in)]
			if t.pc != pc {
				e := &c.cache[slotOf(pc)]
				if e.base != pc&^(pageMask&^3) {
					return p, in, count, false
				}
				t.pc, t.page, t.in = pc, e.page, e.page.at(pc)
			}
			p, in = t.page, t.in
		case opAddImm64ThenAddImm64:
			c.x[in.rd] = c.x[in.rn] + in.imm
			in = next(in, 1)
			c.x[in.rd] = c.x[in.rn] + in.imm
			in = next(in, 1)
			continue
		case opLdr64ThenBlr:
			{
				addr := c.x[in.rn] + in.imm
				tlb := &c.loads[slotOf(addr)]
				if tlb.page != (addr+7)/emu.PageSize {
					return p, in, count, false
				}
				q := unsafe.Add(tlb.host, addr%emu.PageSize)
				c.x[in.rd] = *(*uint64)(q)
			}
			in = next(in, 1)
			pc := c.x[in.rn]
			t := &c.targets[targetSlot(in)]
			if t.pc != pc {
				e := &c.cache[slotOf(pc)]
				if e.base != pc&^(pageMask&^3) {
					return p, in, count, false
				}
				t.pc, t.page, t.in = pc, e.page, e.page.at(pc)
			}
			c.x[30] = p.pc(in) + 4
			p, in = t.page, t.in
		case opAndImmThenLdr64:
			c.x[in.rd] = c.x[in.rn] & in.imm
			in = next(in, 1)
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = *(*uint64)(q)
			in = next(in, 1)
			continue
		case opMov64ThenLdr64:
			c.x[in.rd] = c.x[in.rn]
			in = next(in, 1)
			addr := c.x[in.rn] + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (addr+7)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = *(*uint64)(q)
			in = next(in, 1)
			continue
		case opAdd64ThenBr:
			c.x[in.rd] = c.x[in.rn] + c.x[in.rm]
			in = next(in, 1)
			pc := c.x[in.rn]
			t := &c.targets[targetSlot(in)]
			if t.pc != pc {
				e := &c.cache[slotOf(pc)]
				if e.base != pc&^(pageMask&^3) {
					return p, in, count, false
				}
				t.pc, t.page, t.in = pc, e.page, e.page.at(pc)
			}
			p, in = t.page, t.in
		case opNopThenBr:
			in = next(in, 1)
			pc := c.x[in.rn]
			t := &c.targets[targetSlot(in)]
			if t.pc != pc {
				e := &c.cache[slotOf(pc)]
				if e.base != pc&^(pageMask&^3) {
					return p, in, count, false
				}
				t.pc, t.page, t.in = pc, e.page, e.page.at(pc)
			}
			p, in = t.page, t.in
		case opNopThenStpW64:
			in = next(in, 1)
			addr := c.x[in.rn] + uint64(int64(int32(in.imm)))
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (addr+15)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint64)(q) = c.x[in.rd]
			*(*uint64)(unsafe.Add(q, 8)) = c.x[in.rm]
			c.x[in.rn] += uint64(int64(in.imm) >> 32)
			in = next(in, 1)
			continue
		case opRor32ThenEorRor32:
			c.x[in.rd] = uint64(bits.RotateLeft32(uint32(c.x[in.rn]), -int(in.ra)))
			in = next(in, 1)
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) ^ bits.RotateLeft32(uint32(c.x[in.rm]), -int(in.ra)))
			in = next(in, 1)
			continue
		case opAdd32ThenAdd32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) + uint32(c.x[in.rm]))
			in = next(in, 1)
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) + uint32(c.x[in.rm]))
			in = next(in, 1)
			continue
		case opEorRor32ThenEorRor32:
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) ^ bits.RotateLeft32(uint32(c.x[in.rm]), -int(in.ra)))
			in = next(in, 1)
			c.x[in.rd] = uint64(uint32(c.x[in.rn]) ^ bits.RotateLeft32(uint32(c.x[in.rm]), -int(in.ra)))
			in = next(in, 1)
			continue
		case opMov64ThenBl:
			c.x[in.rd] = c.x[in.rn]
			in = next(in, 1)
			c.x[30] = p.pc(in) + 4
			in = jump(in, in.imm)
		// Several pairs of registers with one look at the TLB: where the first
		// byte and the last are in that page, so is all between.
		case opStp64x2:
			last := next(in, 1)
			base := c.x[in.rn]
			addr := base + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (base+last.imm+15)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint64)(q) = c.x[in.rd]
			*(*uint64)(unsafe.Add(q, 8)) = c.x[in.rm]
			r := unsafe.Add(q, last.imm-in.imm)
			*(*uint64)(r) = c.x[last.rd]
			*(*uint64)(unsafe.Add(r, 8)) = c.x[last.rm]
			in = next(in, 2)
			continue
		case opStp64x3:
			last := next(in, 2)
			base := c.x[in.rn]
			addr := base + in.imm
			tlb := &c.stores[slotOf(addr)]
			if tlb.page != (base+last.imm+15)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			*(*uint64)(q) = c.x[in.rd]
			*(*uint64)(unsafe.Add(q, 8)) = c.x[in.rm]
			mid := next(in, 1)
			r := unsafe.Add(q, mid.imm-in.imm)
			*(*uint64)(r) = c.x[mid.rd]
			*(*uint64)(unsafe.Add(r, 8)) = c.x[mid.rm]
			r2 := unsafe.Add(q, last.imm-in.imm)
			*(*uint64)(r2) = c.x[last.rd]
			*(*uint64)(unsafe.Add(r2, 8)) = c.x[last.rm]
			in = next(in, 3)
			continue
		case opLdp64x2:
			last := next(in, 1)
			base := c.x[in.rn]
			addr := base + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (base+last.imm+15)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = *(*uint64)(q)
			c.x[in.rm] = *(*uint64)(unsafe.Add(q, 8))
			r := unsafe.Add(q, last.imm-in.imm)
			c.x[last.rd] = *(*uint64)(r)
			c.x[last.rm] = *(*uint64)(unsafe.Add(r, 8))
			in = next(in, 2)
			continue
		case opLdp64x3:
			last := next(in, 2)
			base := c.x[in.rn]
			addr := base + in.imm
			tlb := &c.loads[slotOf(addr)]
			if tlb.page != (base+last.imm+15)/emu.PageSize {
				return p, in, count, false
			}
			q := unsafe.Add(tlb.host, addr%emu.PageSize)
			c.x[in.rd] = *(*uint64)(q)
			c.x[in.rm] = *(*uint64)(unsafe.Add(q, 8))
			mid := next(in, 1)
			r := unsafe.Add(q, mid.imm-in.imm)
			c.x[mid.rd] = *(*uint64)(r)
			c.x[mid.rm] = *(*uint64)(unsafe.Add(r, 8))
			r2 := unsafe.Add(q, last.imm-in.imm)
			c.x[last.rd] = *(*uint64)(r2)
			c.x[last.rm] = *(*uint64)(unsafe.Add(r2, 8))
			in = next(in, 3)
			continue

		default:
			return p, in, count, false
		}

		// Keep in step with took.
		e := &c.ring[c.head%ringSize]
		e.in, e.count = uintptr(unsafe.Pointer(in)), count
		c.head++
		count += uint64(in.left)
		if count > limit {
			return p, in, count, true
		}
		if c.changes.pending.Load() {
			return p, in, count, true
		}
	}
}

// jump is the inst at a distance in bytes.
func jump(in *inst, distance uint64) *inst {
	return (*inst)(unsafe.Add(unsafe.Pointer(in), int(distance)))
}
