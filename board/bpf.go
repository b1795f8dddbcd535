package board

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"callops/internal/errno"
)

// Commands of bpf() (include/uapi/linux/bpf.h).
const (
	bpfMapCreate         = 0
	bpfMapLookup         = 1
	bpfMapUpdate         = 2
	bpfProgLoad          = 5
	bpfRawTracepointOpen = 17
	bpfLinkCreate        = 28
)

const (
	bpfNameSize = 16      // BPF_OBJ_NAME_LEN
	bpfLogSize  = 1 << 20 // of the verifier
	bpfMaxInsns = 1 << 16 // that the window has room for, with the log
	bpfMaxValue = 1 << 16 // bytes of a key or value
	bpfMaxFuncs = 1 << 18
)

// BPFProgram describes a BPF program. Insns can be made with [asm.Instructions].Marshal of github.com/cilium/ebpf, and refer to maps by [BPFMap.FD].
type BPFProgram struct {
	Name   string
	Type   ebpf.ProgramType
	Attach ebpf.AttachType
	Func   string // that a program of type Tracing is attached to
	Insns  []byte // of 8 bytes each
}

// BPF is a program that the kernel has verified and translated.
type BPF struct {
	bpfObject
	prog BPFProgram
}

// bpfObject is what the kernel has given a file descriptor for.
type bpfObject struct {
	m      *Machine
	fd     uint64
	closed bool // fd may be another file's
}

// Close gives up the object: a program or map goes once no link or program has it, a link is detached. What is done
// with it afterwards fails with [fs.ErrClosed].
func (o *bpfObject) Close(ctx context.Context) error {
	if err := o.usable(); err != nil {
		return err
	}
	_, err := o.m.syscall(ctx, "close", o.fd)
	var failed *SyscallError
	o.closed = err == nil || errors.As(err, &failed)
	return err
}

func (o *bpfObject) usable() error {
	if o.closed {
		return fs.ErrClosed
	}
	return nil
}

// VerifierError is a program that the kernel did not load. It matches the kernel's errno.
type VerifierError struct {
	Program string
	Log     string // the verifier's words
	Err     error
}

func (e *VerifierError) Error() string {
	msg := fmt.Sprintf("BPF program %s: %v", e.Program, e.Err)
	if e.Log != "" {
		msg += ": " + strings.TrimSpace(e.Log)
	}
	return msg
}

func (e *VerifierError) Unwrap() error { return e.Err }

// attr is union bpf_attr, by offsets.
type attr []byte

func (a *attr) grow(n int) {
	if len(*a) < n {
		*a = append(*a, make([]byte, n-len(*a))...)
	}
}

func (a *attr) put32(at int, v uint32) {
	a.grow(at + 4)
	binary.LittleEndian.PutUint32((*a)[at:], v)
}

func (a *attr) put64(at int, v uint64) {
	a.grow(at + 8)
	binary.LittleEndian.PutUint64((*a)[at:], v)
}

func (a *attr) putName(at int, name string) {
	a.grow(at + bpfNameSize)
	copy((*a)[at:at+bpfNameSize-1], name)
}

// pieces hand out the host's window, piece by piece.
type pieces struct {
	w    []byte
	next int
}

// put copies b, and returns its address.
func (p *pieces) put(b []byte) uint64 {
	at := p.next
	copy(p.w[at:], b)
	p.next += (len(b) + 7) &^ 7
	return windowBase + uint64(at)
}

func (m *Machine) pieces() (*pieces, error) {
	if m.ram == nil {
		return nil, errClosed
	}
	return &pieces{w: m.window()}, nil
}

// bpf makes the bpf system call.
func (m *Machine) bpf(ctx context.Context, command uint64, a attr, p *pieces) (uint64, error) {
	return m.syscall(ctx, "bpf", command, p.put(a), uint64(len(a)))
}

// LoadBPF has the kernel verify and translate a program, under the license GPL. The error is a [*VerifierError].
func (m *Machine) LoadBPF(ctx context.Context, prog *BPFProgram) (*BPF, error) {
	fail := func(log string, err error) (*BPF, error) { return nil, &VerifierError{prog.Name, log, err} }
	n := len(prog.Insns) / asm.InstructionSize
	if n == 0 || n > bpfMaxInsns || len(prog.Insns)%asm.InstructionSize != 0 {
		return fail("", fmt.Errorf("%d bytes of instructions: %w", len(prog.Insns), errno.EINVAL))
	}
	p, err := m.pieces()
	if err != nil {
		return fail("", err)
	}
	var a attr
	a.put32(0, uint32(prog.Type))
	a.put32(4, uint32(n))
	a.put64(8, p.put(prog.Insns))
	a.put64(16, p.put([]byte("GPL\x00")))
	a.putName(48, prog.Name)
	a.put32(68, uint32(prog.Attach))
	if prog.Func != "" {
		id, err := m.funcType(prog.Func)
		if err != nil {
			return fail("", err)
		}
		a.put32(108, id)
	}
	fd, err := m.bpf(ctx, bpfProgLoad, a, p)
	if err != nil {
		// Again, for its words.
		log := p.put(make([]byte, bpfLogSize))
		a.put32(24, 1)
		a.put32(28, bpfLogSize)
		a.put64(32, log)
		if fd, err = m.bpf(ctx, bpfProgLoad, a, p); err != nil {
			words, _, _ := bytes.Cut(p.w[log-windowBase:][:bpfLogSize], []byte{0})
			return fail(string(words), err)
		}
	}
	return &BPF{bpfObject{m: m, fd: fd}, *prog}, nil
}

// funcType is a function's id in the kernel's BTF.
func (m *Machine) funcType(name string) (uint32, error) {
	if m.funcTypes == nil {
		ids, err := m.img.FuncTypes()
		if err != nil {
			return 0, err
		}
		m.funcTypes = ids
	}
	id, ok := m.funcTypes[name]
	if !ok {
		return 0, fmt.Errorf("the kernel's BTF has no function %s: %w", name, errno.ENOENT)
	}
	return id, nil
}

// BPFLink is a program that is attached.
type BPFLink struct{ bpfObject }

// Attach attaches the program to its Func (BPF_RAW_TRACEPOINT_OPEN).
func (b *BPF) Attach(ctx context.Context) (*BPFLink, error) {
	if err := b.usable(); err != nil {
		return b.link(0, err)
	}
	p, err := b.m.pieces()
	if err != nil {
		return nil, err
	}
	var a attr
	a.put64(0, 0)
	a.put64(8, b.fd)
	return b.link(b.m.bpf(ctx, bpfRawTracepointOpen, a, p))
}

// AttachAll attaches the program, of type Kprobe and attach type TraceKprobeMulti, to the functions at all of the addresses by one link
// (BPF_LINK_CREATE). EOPNOTSUPP of kernels without CONFIG_FPROBE.
func (b *BPF) AttachAll(ctx context.Context, funcs []uint64) (*BPFLink, error) {
	if len(funcs) == 0 || len(funcs) > bpfMaxFuncs {
		return b.link(0, fmt.Errorf("%d functions: %w", len(funcs), errno.EINVAL))
	}
	if err := b.usable(); err != nil {
		return b.link(0, err)
	}
	p, err := b.m.pieces()
	if err != nil {
		return b.link(0, err)
	}
	var a attr
	a.put32(0, uint32(b.fd))
	a.put32(8, uint32(b.prog.Attach))
	a.put32(20, uint32(len(funcs)))
	a.put64(32, p.put(words(funcs...)))
	a.put64(40, 0)
	return b.link(b.m.bpf(ctx, bpfLinkCreate, a, p))
}

func (b *BPF) link(fd uint64, err error) (*BPFLink, error) {
	if err != nil {
		return nil, fmt.Errorf("attach BPF program %s: %w", b.prog.Name, err)
	}
	return &BPFLink{bpfObject{m: b.m, fd: fd}}, nil
}

// BPFMap is a map of the kernel's.
type BPFMap struct {
	bpfObject
	key, value int
}

// NewBPFMap makes a map.
func (m *Machine) NewBPFMap(ctx context.Context, kind ebpf.MapType, keySize, valueSize, entries int) (*BPFMap, error) {
	if keySize < 0 || keySize > bpfMaxValue || valueSize < 0 || valueSize > bpfMaxValue || entries < 0 || int64(entries) > math.MaxUint32 {
		return nil, fmt.Errorf("BPF map with keys of %d bytes, values of %d: %w", keySize, valueSize, errno.EINVAL)
	}
	p, err := m.pieces()
	if err != nil {
		return nil, err
	}
	var a attr
	for i, v := range []int{int(kind), keySize, valueSize, entries} {
		a.put32(4*i, uint32(v))
	}
	fd, err := m.bpf(ctx, bpfMapCreate, a, p)
	if err != nil {
		return nil, fmt.Errorf("BPF map: %w", err)
	}
	return &BPFMap{bpfObject{m: m, fd: fd}, keySize, valueSize}, nil
}

// FD is the map's file descriptor in the guest, by which programs refer to it.
func (b *BPFMap) FD() int { return int(b.fd) }

// Lookup returns the value of a key.
func (b *BPFMap) Lookup(ctx context.Context, key []byte) ([]byte, error) {
	value := make([]byte, b.value)
	return value, b.access(ctx, bpfMapLookup, key, value)
}

// Update sets the value of a key.
func (b *BPFMap) Update(ctx context.Context, key, value []byte) error {
	return b.access(ctx, bpfMapUpdate, key, bytes.Clone(value))
}

// access looks a key up or sets its value.
func (b *BPFMap) access(ctx context.Context, command uint64, key, value []byte) error {
	if err := b.usable(); err != nil {
		return fmt.Errorf("BPF map: %w", err)
	}
	if len(key) != b.key || len(value) != b.value {
		return fmt.Errorf("BPF map: a key of %d bytes and a value of %d, it has %d and %d: %w", len(key), len(value), b.key, b.value, errno.EINVAL)
	}
	p, err := b.m.pieces()
	if err != nil {
		return err
	}
	var a attr
	a.put64(0, b.fd)
	a.put64(8, p.put(key))
	at := p.put(value)
	a.put64(16, at)
	a.put64(24, 0)
	if _, err := b.m.bpf(ctx, command, a, p); err != nil {
		return fmt.Errorf("BPF map: %w", err)
	}
	copy(value, p.w[at-windowBase:])
	return nil
}
