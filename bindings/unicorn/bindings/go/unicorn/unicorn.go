// SPDX-License-Identifier: GPL-2.0-only

// Package unicorn calls libunicorn, a CPU emulator in C.
package unicorn

import (
	"sync"
	"unsafe"
)

/*
#cgo darwin pkg-config: unicorn
#cgo !darwin LDFLAGS: -lunicorn
#if defined(__has_include) && !__has_include(<unicorn/unicorn.h>)
#error "libunicorn is not installed (Debian: libunicorn-dev). CGO_ENABLED=0 builds without it, and without the Unicorn engine only."
#endif
#include <unicorn/unicorn.h>

// uc_ctl takes variable arguments, which cgo cannot pass.
static uc_err set_cpu_model(uc_engine *uc, int model)
{
	return uc_ctl_set_cpu_model(uc, model);
}
*/
import "C"

// UcError is libunicorn's error code.
type UcError C.uc_err

func (e UcError) Error() string { return C.GoString(C.uc_strerror(C.uc_err(e))) }

func asError(code C.uc_err) error {
	if code != C.UC_ERR_OK {
		return UcError(code)
	}
	return nil
}

// Unicorn is one emulated CPU with its own view of memory.
type Unicorn interface {
	// MemMapPtr maps host memory, which must outlive the mapping.
	MemMapPtr(addr, size uint64, prot int, ptr unsafe.Pointer) error

	// SetCPUModel must come before anything else is done with the engine.
	SetCPUModel(model int) error

	// Handle is the engine itself, for callers with C code of their own.
	Handle() *C.uc_engine

	Close() error
}

type engine struct {
	handle *C.uc_engine
	once   sync.Once
}

// Version returns the version of the library in use.
func Version() (major, minor int) {
	var ma, mi C.uint
	C.uc_version(&ma, &mi)
	return int(ma), int(mi)
}

// NewUnicorn opens an engine. A library of another minor version than the
// headers is refused: registers are named by numbers that change with it.
func NewUnicorn(arch, mode int) (Unicorn, error) {
	if major, minor := Version(); major != C.UC_API_MAJOR || minor != C.UC_API_MINOR {
		return nil, UcError(ERR_VERSION)
	}
	e := &engine{}
	if err := asError(C.uc_open(C.uc_arch(arch), C.uc_mode(mode), &e.handle)); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *engine) MemMapPtr(addr, size uint64, prot int, ptr unsafe.Pointer) error {
	return asError(C.uc_mem_map_ptr(e.handle, C.uint64_t(addr), C.size_t(size), C.uint32_t(prot), ptr))
}

func (e *engine) SetCPUModel(model int) error {
	return asError(C.set_cpu_model(e.handle, C.int(model)))
}

func (e *engine) Handle() *C.uc_engine { return e.handle }

func (e *engine) Close() (err error) {
	e.once.Do(func() {
		err = asError(C.uc_close(e.handle))
		e.handle = nil
	})
	return err
}
