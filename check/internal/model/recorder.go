package model

import (
	"encoding/binary"
	"fmt"

	"callops/check/event"
	"callops/emu"
	"callops/kernel"
	"callops/kernelimage"
	"callops/sched"
)

// recorder stands between the core and the machine: all that the core does
// goes through, and is noted. The core does not wait here, since it decides
// nothing by what other CPUs do; that they make it wait is the search's to see.
// It implements ftrace.Memory and ftrace.GracePeriods.
type recorder struct {
	mem   *emu.Memory
	heap  *emu.Heap
	text  func(addr uint64) bool // instructions
	lit   func(addr uint64) bool // literals
	on    bool
	steps []Step

	// calls are what the callbacks handed to call_rcu free, by their numbers.
	calls [][]Object
	freed *[]Object // where frees go while a callback runs

	made  []Object // what was allocated
	fills []fill   // what it held then, where that is not zero
}

// fill is what an object held when it was allocated.
type fill struct {
	addr  uint64
	bytes []byte
}

// Object is a piece of memory that is freed at some time.
type Object struct {
	name string
	kernelimage.Range
}

// free is the step that frees it.
func (o *Object) free() Step {
	return Step{Kind: event.Free, Name: o.name, Addr: o.Start, Size: o.End - o.Start}
}

func newRecorder(k *kernel.Kernel, text, literal func(uint64) bool) *recorder {
	return &recorder{mem: k.Mem, heap: k.Heap, text: text, lit: literal}
}

func (r *recorder) note(s Step) {
	if r.on {
		r.steps = append(r.steps, s)
	}
}

func (r *recorder) Alloc(name string, size uint64) (uint64, error) {
	addr, err := r.heap.Alloc(name, size)
	if err == nil && r.on {
		r.made = append(r.made, Object{name, kernelimage.Range{Start: addr, End: addr + size}})
	}
	return addr, err
}

func (r *recorder) Free(addr uint64) error {
	o, _ := r.heap.Lookup(addr)
	if err := r.heap.Free(addr); err != nil {
		return err
	}
	r.free(o.Name, kernelimage.Range{Start: addr, End: addr + o.Size})
	return nil
}

// free records that memory is freed. Its content from then on does not matter:
// any access to it is a fault.
func (r *recorder) free(name string, at kernelimage.Range) {
	gone := Object{name, at}
	if r.freed != nil {
		*r.freed = append(*r.freed, gone)
		return
	}
	r.note(gone.free())
}

func (r *recorder) Load32(addr uint64) (uint32, error) { return r.mem.Load32(addr) }
func (r *recorder) Load64(addr uint64) (uint64, error) { return r.mem.Load64(addr) }

func (r *recorder) Store32(addr uint64, v uint32) error {
	old, err := r.mem.Load32(addr)
	if err != nil {
		return err
	}
	kind := event.Store
	if r.text(addr) {
		kind = event.StoreText
	}
	r.note(Step{Kind: kind, Addr: addr, Size: 4, Value: uint64(v), Old: uint64(old)})
	return r.mem.Store32(addr, v)
}

func (r *recorder) Store64(addr uint64, v uint64) error { return r.store64(addr, v, false) }

func (r *recorder) StoreRelease64(addr uint64, v uint64) error { return r.store64(addr, v, true) }

// store64 takes misaligned addresses too, which the architecture allows and
// does not store as one.
func (r *recorder) store64(addr, v uint64, release bool) error {
	var old, b [8]byte
	if err := r.mem.Read(addr, old[:]); err != nil {
		return err
	}
	r.note(Step{
		Kind: event.Store, Addr: addr, Size: 8, Value: v, Old: binary.LittleEndian.Uint64(old[:]), Release: release, Literal: r.lit(addr),
	})
	binary.LittleEndian.PutUint64(b[:], v)
	return r.mem.Write(addr, b[:])
}

// Write records what fills memory that no CPU can reach yet: stores
// that order nothing.
func (r *recorder) Write(addr uint64, p []byte) error {
	if len(p)%4 != 0 {
		return fmt.Errorf("%d bytes written at %#x: only words are recorded", len(p), addr)
	}
	for ; len(p) >= 8; addr, p = addr+8, p[8:] {
		if err := r.store64(addr, binary.LittleEndian.Uint64(p), false); err != nil {
			return err
		}
	}
	if len(p) == 0 {
		return nil
	}
	return r.Store32(addr, binary.LittleEndian.Uint32(p))
}

func (r *recorder) WriteBarrier() { r.note(Step{Kind: event.WriteBarrier}) }

func (r *recorder) SyncText(addr, size uint64) {
	r.note(Step{Kind: event.CleanText, Addr: addr, Size: size})
	r.mem.SyncText(addr, size)
}

func (r *recorder) SyncCPUs() {
	r.note(Step{Kind: event.InterruptAll})
	r.note(Step{Kind: event.AllAnswered})
}

func (r *recorder) SynchronizeRCUTasksRude() error { return r.wait(sched.Rude) }
func (r *recorder) SynchronizeRCUTasks() error     { return r.wait(sched.Tasks) }

func (r *recorder) wait(kind sched.Kind) error {
	r.note(Step{Kind: event.GraceBegins, Wait: kind})
	r.note(Step{Kind: event.GraceEnds, Wait: kind})
	return nil
}

func (r *recorder) CallRCU(free func())      { r.call(sched.RCU, free) }
func (r *recorder) CallRCUTasks(free func()) { r.call(sched.Tasks, free) }

// call runs the callback at once, to learn what it will free.
func (r *recorder) call(kind sched.Kind, free func()) {
	var freed []Object
	r.freed = &freed
	free()
	r.freed = nil
	if !r.on || len(freed) == 0 {
		return
	}
	r.note(Step{Kind: event.CallRCU, Wait: kind, Call: len(r.calls)})
	r.calls = append(r.calls, freed)
}
