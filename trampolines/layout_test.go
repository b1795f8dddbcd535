package trampolines

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernelimage"
)

// Twins of Linux 6.12's structures, arm64, without lock debugging.

//lint:file-ignore U1000 twins have all fields, of which only offsets matter

type mutex struct {
	owner   uint64
	wait    uint32
	osq     uint32
	waiters listHead
}

type listHead struct{ next, prev uint64 }

// opsHash is struct ftrace_ops_hash.
type opsHash struct {
	notrace, filter uint64
	regexLock       mutex
}

// ftraceOps is struct ftrace_ops.
type ftraceOps struct {
	fn                         uint64
	next                       uint64
	flags                      uint64
	private                    uint64
	savedFunc                  uint64
	localHash                  opsHash
	funcHash                   uint64
	oldHash                    opsHash
	trampoline, trampolineSize uint64
	list, subopList            listHead
	opsFunc                    uint64
	managed                    uint64
	directCall                 uint64
}

// ftraceHash is struct ftrace_hash.
type ftraceHash struct {
	sizeBits, buckets, count, flags uint64
	rcu                             struct{ next, fn uint64 }
}

// funcEntry is struct ftrace_func_entry.
type funcEntry struct{ next, pprev, ip, direct uint64 }

// fregs is arm64's struct __arch_ftrace_regs.
type fregs struct {
	Regs        [9]uint64
	DirectTramp uint64
	FP, LR      uint64
	SP, PC      uint64
}

func TestLayout612_MatchesTwins(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	var (
		o ftraceOps
		h ftraceHash
		e funcEntry
		r fregs
		d = func(v uintptr) int { return int(v) }
	)
	assert.Equal(t, kernelimage.OpsLayout{
		Size: d(unsafe.Sizeof(o)), Func: d(unsafe.Offsetof(o.fn)), Next: d(unsafe.Offsetof(o.next)),
		Flags: d(unsafe.Offsetof(o.flags)), Private: d(unsafe.Offsetof(o.private)),
		SavedFunc: d(unsafe.Offsetof(o.savedFunc)), LocalHash: d(unsafe.Offsetof(o.localHash)),
		FuncHash: d(unsafe.Offsetof(o.funcHash)), OldHash: d(unsafe.Offsetof(o.oldHash)),
		Trampoline: d(unsafe.Offsetof(o.trampoline)), TrampolineSize: d(unsafe.Offsetof(o.trampolineSize)),
		List: d(unsafe.Offsetof(o.list)), SubopList: d(unsafe.Offsetof(o.subopList)),
		OpsFunc: d(unsafe.Offsetof(o.opsFunc)), DirectCall: d(unsafe.Offsetof(o.directCall)),
	}, img.Layout().Ops)
	assert.Equal(t, kernelimage.OpsHashLayout{
		Notrace: d(unsafe.Offsetof(o.localHash.notrace)), Filter: d(unsafe.Offsetof(o.localHash.filter)),
	}, img.Layout().OpsHash)
	assert.Equal(t, kernelimage.HashLayout{
		Size: d(unsafe.Sizeof(h)), SizeBits: d(unsafe.Offsetof(h.sizeBits)), Buckets: d(unsafe.Offsetof(h.buckets)),
		Count: d(unsafe.Offsetof(h.count)), Flags: d(unsafe.Offsetof(h.flags)),
	}, img.Layout().Hash)
	assert.Equal(t, kernelimage.EntryLayout{
		Size: d(unsafe.Sizeof(e)), Next: d(unsafe.Offsetof(e.next)), Pprev: d(unsafe.Offsetof(e.pprev)),
		IP: d(unsafe.Offsetof(e.ip)), Direct: d(unsafe.Offsetof(e.direct)),
	}, img.Layout().Entry)
	assert.Equal(t, kernelimage.RegsLayout{
		Size: d(unsafe.Sizeof(r)), X0: d(unsafe.Offsetof(r.Regs)), DirectTramp: d(unsafe.Offsetof(r.DirectTramp)),
		FP: d(unsafe.Offsetof(r.FP)), LR: d(unsafe.Offsetof(r.LR)), SP: d(unsafe.Offsetof(r.SP)), PC: d(unsafe.Offsetof(r.PC)),
	}, img.Layout().Regs)
}

func TestCheckLayout_RefusesWhatInstructionsCannotPair(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	require.NoError(t, checkLayout(img.Layout()))
	for name, change := range map[string]func(l *kernelimage.Layout){
		"direct_tramp":    func(l *kernelimage.Layout) { l.Regs.DirectTramp += 8 },
		"lr":              func(l *kernelimage.Layout) { l.Regs.LR = 104 },
		"pc":              func(l *kernelimage.Layout) { l.Regs.PC = 88 },
		"regs size":       func(l *kernelimage.Layout) { l.Regs.Size = 104 },
		"filter first":    func(l *kernelimage.Layout) { l.OpsHash.Notrace, l.OpsHash.Filter = 8, 0 },
		"buckets":         func(l *kernelimage.Layout) { l.Hash.Buckets = 24 },
		"hash flags":      func(l *kernelimage.Layout) { l.Hash.Flags = 32 },
		"no recursion":    func(l *kernelimage.Layout) { l.Task.TraceRecursion = kernelimage.Absent },
		"no preempt":      func(l *kernelimage.Layout) { l.Task.PreemptCount = kernelimage.Absent },
		"no rcu watching": func(l *kernelimage.Layout) { l.PerCPU.ContextState = kernelimage.Absent },
	} {
		t.Run(name, func(t *testing.T) {
			l := *img.Layout()
			change(&l)
			assert.True(t, errors.Is(checkLayout(&l), errors.ErrUnsupported))
		})
	}
}
