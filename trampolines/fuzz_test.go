package trampolines

import (
	"callops/emu/interp"
	"testing"

	"github.com/stretchr/testify/assert"
)

// FuzzList reads a list of ops from bytes and compares which of them the list
// function calls with what kernel/trace/ftrace.c would.
func FuzzList(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x83, 2, 5, 3, 0xff, 2, 4, 1, 0xf0, 1, 1, 0, 3, 12, 0x81})
	f.Add([]byte{0x07, 1, 3, 0, 0x0f, 3, 0, 0, 0, 0, 2, 3, 0, 0x80, 3, 1, 0x01})
	m := bootCallOps(f, interp.New)
	r := m.recorder()
	arena := m.alloc("arena", 1<<20)
	state := m.k.CPUs[0].PerCPU + uint64(m.l.PerCPU.ContextState)
	f.Fuzz(func(t *testing.T, p []byte) {
		m.t = t
		m.arena, m.arenaEnd = arena, arena+1<<20
		next := func() (b byte) {
			if len(p) > 0 {
				b, p = p[0], p[1:]
			}
			return b
		}
		// Few addresses, some of them in one bucket whatever its size.
		address := func(n int) uint64 { return 0xffff_8000_8000_1000 + 0x40*uint64(n%8) }
		hash := func() (addr uint64, empty, has func(ip uint64) bool) {
			never, always := func(uint64) bool { return false }, func(uint64) bool { return true }
			switch kind := next() % 4; kind {
			case 0:
				return 0, always, never
			case 1:
				return m.c.EmptyHash, always, never
			default:
				bits, set := int(next()%13), next()
				var ips []uint64
				in := map[uint64]bool{}
				for i := range 8 {
					if set>>i&1 != 0 {
						ips = append(ips, address(i))
						in[address(i)] = true
					}
				}
				flags := uint64(kind-2) * mod
				isEmpty := len(ips) == 0 && flags == 0
				return m.newHash(bits, flags, ips...), func(uint64) bool { return isEmpty }, func(ip uint64) bool { return in[ip] }
			}
		}

		head := next()
		ip, watching := address(int(head)), head&0x80 != 0
		m.put32(state, uint32(head>>7)<<rcuWatchingBit)
		var ops, want []uint64
		for len(p) > 0 && len(ops) < 8 {
			shape := next()
			filter, filterEmpty, inFilter := hash()
			notrace, notraceEmpty, inNotrace := hash()
			flags := uint64(shape&1)*stub | uint64(shape>>1&1)*rcu | uint64(shape>>2)<<17
			op := m.newOps(opsSpec{fn: r.fn, flags: flags, filter: filter, notrace: notrace})
			ops = append(ops, op)
			if flags&stub == 0 && (flags&rcu == 0 || watching) &&
				(filterEmpty(ip) || inFilter(ip)) && (notraceEmpty(ip) || !inNotrace(ip)) {
				want = append(want, op)
			}
		}
		m.register(ops...)
		m.callList(ip)
		assert.Equal(t, want, r.take())
		m.requireIdle()
	})
}
