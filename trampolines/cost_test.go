package trampolines

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/emu"
)

// What a traced call costs, in instructions over an untraced one, with the
// sample's three-instruction tracer, filters of one function and no notrace
// hash, as samples/ftrace/ftrace-ops.c registers them:
//
//	                                    here   Linux 6.12
//	CALL_OPS, one ops on the site         34           42
//	CALL_OPS, list function, one ops     107          148
//	each further relevant ops            +31          +50
//	each irrelevant ops on the list      +22          +39
//	one global ops, list function        102          145 (Linux 6.1)
//	an EMPTY_HASH for notrace, each       +3
const (
	costDirect     = 34
	costList       = 107 - costRelevant // what the list function takes for itself
	costListGlobal = 102 - costRelevant
	costRelevant   = 31
	costIrrelevant = 22
	costEmptyHash  = 3
)

func TestCost_OneOpsOnTheSite(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		m.enable("dump", m.newOps(opsSpec{fn: m.c.OpsFuncNop, filter: m.newHash(0, 0, m.site("dump"))}))
		assert.Equal(t, costDirect, m.overhead("dump"))
	})
}

func TestCost_ListFunction(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, callOps := range []bool{true, false} {
			base := costListGlobal
			if callOps {
				base = costList
			}
			m := boot(t, newEngine, bootOptions{Options: Options{CallOps: callOps}})
			m.attachOps("dump", m.c.ListOps, m.c.ListFunc)
			for _, relevant := range []int{0, 1, 2, 10} {
				for irrelevant := range 11 {
					if relevant+irrelevant == 0 {
						continue // ftrace_list_end is looked at then
					}
					t.Run(fmt.Sprintf("call_ops=%t/%d/%d", callOps, relevant, irrelevant), func(t *testing.T) {
						var ops []uint64
						for range irrelevant {
							ops = append(ops, m.newOps(opsSpec{fn: m.c.OpsFuncNop, filter: m.newHash(0, 0, 0x1234)}))
						}
						for range relevant {
							ops = append(ops, m.newOps(opsSpec{fn: m.c.OpsFuncNop, filter: m.newHash(0, 0, m.site("dump"))}))
						}
						m.register(ops...)
						want := base + relevant*costRelevant + irrelevant*costIrrelevant
						assert.Equal(t, want, m.overhead("dump"))
					})
				}
			}
		}
	})
}

func TestCost_EmptyNotraceHash(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		m.enable("dump", m.c.ListOps)
		m.register(m.newOps(opsSpec{fn: m.c.OpsFuncNop, filter: m.newHash(0, 0, m.site("dump")), notrace: m.c.EmptyHash}))
		assert.Equal(t, costList+costRelevant+costEmptyHash, m.overhead("dump"))
	})
}

func TestOpsFuncCount_CountsIn32BitsBehindTheOps(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		m := bootCallOps(t, newEngine)
		op := m.newOps(opsSpec{fn: m.c.OpsFuncCount})
		count := op + uint64(m.l.Ops.Size)
		m.enable("dump", op)
		m.put64(count, 0xffff_fffe)
		for range 3 {
			m.requireUntouched(m.mustCall("dump"))
		}
		assert.EqualValues(t, 1, m.get64(count), "wraps, and touches nothing after it")
	})
}
