package board

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

// program is the bytes of instructions.
func program(t testing.TB, insns ...asm.Instruction) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, asm.Instructions(insns).Marshal(&b, binary.LittleEndian))
	return b.Bytes()
}

// counting adds to a counter in a map of type Array.
func counting(t testing.TB, m *BPFMap) []byte {
	return program(t,
		asm.StoreImm(asm.R10, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	)
}

// testBPF attaches programs to gcd, and to a hook of LSMs what may change its result.
func testBPF(t *testing.T, m *Machine) {
	ctx := t.Context()
	counter, err := m.NewBPFMap(ctx, ebpf.Array, 4, 8, 1)
	require.NoError(t, err)
	var links []*BPFLink
	for _, attach := range []ebpf.AttachType{ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit} {
		prog, err := m.LoadBPF(ctx, &BPFProgram{Name: "count", Type: ebpf.Tracing, Attach: attach, Func: "gcd", Insns: counting(t, counter)})
		require.NoError(t, err)
		link, err := prog.Attach(ctx)
		require.NoError(t, err)
		links = append(links, link)
		require.NoError(t, prog.Close(ctx))
		require.ErrorIs(t, prog.Close(ctx), fs.ErrClosed, "its file descriptor may be another's")
	}
	count := func() uint64 {
		v, err := counter.Lookup(ctx, make([]byte, 4))
		require.NoError(t, err)
		return binary.LittleEndian.Uint64(v)
	}
	for range 3 {
		n, err := m.Call(ctx, "gcd", 84, 36)
		require.NoError(t, err)
		require.EqualValues(t, 12, n)
	}
	assert.EqualValues(t, 6, count())
	require.NoError(t, counter.Update(ctx, make([]byte, 4), words(40)))
	require.NoError(t, links[0].Close(ctx))
	_, err = m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	assert.EqualValues(t, 41, count())
	require.NoError(t, links[1].Close(ctx))
	_, err = m.Call(ctx, "gcd", 84, 36)
	require.NoError(t, err)
	assert.EqualValues(t, 41, count())
	require.NoError(t, counter.Close(ctx))
}

func TestBPF_TracesACall(t *testing.T) { testBPF(t, booted(t)) }

func TestBPF_ModifiesAReturn(t *testing.T) {
	m, ctx := traced(t), t.Context()
	prog, err := m.LoadBPF(ctx, &BPFProgram{
		Name: "refuse", Type: ebpf.Tracing, Attach: ebpf.AttachModifyReturn, Func: "security_file_open",
		Insns: program(t, asm.Mov.Imm(asm.R0, -1), asm.Return()),
	})
	require.NoError(t, err)
	link, err := prog.Attach(ctx)
	require.NoError(t, err)
	_, err = m.ReadFile(ctx, tracing+"/tracing_on")
	require.ErrorIs(t, err, errno.EPERM)
	require.NoError(t, link.Close(ctx))
	_, err = m.ReadFile(ctx, tracing+"/tracing_on")
	require.NoError(t, err)
}

func TestBPF_VerifierSaysWhy(t *testing.T) {
	m, ctx := booted(t), t.Context()
	_, err := m.LoadBPF(ctx, &BPFProgram{Name: "bad", Type: ebpf.Kprobe, Insns: program(t, asm.LoadMem(asm.R0, asm.R2, 0, asm.DWord), asm.Return())})
	var failed *VerifierError
	require.ErrorAs(t, err, &failed)
	require.ErrorIs(t, err, fs.ErrPermission)
	assert.Contains(t, failed.Log, "R2 !read_ok")
	_, err = m.LoadBPF(ctx, &BPFProgram{Name: "none", Type: ebpf.Kprobe})
	require.ErrorIs(t, err, errno.EINVAL)
	_, err = m.LoadBPF(ctx, &BPFProgram{Name: "lost", Type: ebpf.Tracing, Attach: ebpf.AttachTraceFEntry, Func: "no_such_function", Insns: make([]byte, 8)})
	require.ErrorIs(t, err, errno.ENOENT)
}

func addresses(t *testing.T, m *Machine, names ...string) (addrs []uint64) {
	for _, name := range names {
		addr, err := m.Symbol(name)
		require.NoError(t, err)
		addrs = append(addrs, addr)
	}
	return addrs
}

// testBPFOnMany attaches by one link to many functions.
func testBPFOnMany(t *testing.T, m *Machine) {
	ctx := t.Context()
	counter, err := m.NewBPFMap(ctx, ebpf.Array, 4, 8, 1)
	require.NoError(t, err)
	prog, err := m.LoadBPF(ctx, &BPFProgram{Name: "multi", Type: ebpf.Kprobe, Attach: ebpf.AttachTraceKprobeMulti, Insns: counting(t, counter)})
	require.NoError(t, err)
	link, err := prog.AttachAll(ctx, addresses(t, m, "gcd", "lcm"))
	require.NoError(t, err)
	_, err = m.Call(ctx, "lcm", 84, 36) // which calls gcd
	require.NoError(t, err)
	require.NoError(t, link.Close(ctx))
	_, err = m.Call(ctx, "lcm", 84, 36)
	require.NoError(t, err)
	v, err := counter.Lookup(ctx, make([]byte, 4))
	require.NoError(t, err)
	assert.EqualValues(t, 2, binary.LittleEndian.Uint64(v))
}

func TestBPF_OneLinkForManyIsNotSupported(t *testing.T) {
	m, ctx := booted(t), t.Context() // a kernel without CONFIG_FPROBE
	prog, err := m.LoadBPF(ctx, &BPFProgram{
		Name: "multi", Type: ebpf.Kprobe, Attach: ebpf.AttachTraceKprobeMulti, Insns: program(t, asm.Mov.Imm(asm.R0, 0), asm.Return()),
	})
	require.NoError(t, err)
	_, err = prog.AttachAll(ctx, addresses(t, m, "gcd"))
	require.ErrorIs(t, err, errno.EOPNOTSUPP)
	_, err = prog.AttachAll(ctx, nil)
	require.ErrorIs(t, err, errno.EINVAL)
}
