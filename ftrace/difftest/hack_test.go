package difftest_test

import (
	"errors"

	"callops/emu"
	"callops/kernel"
)

func hack(k *kernel.Kernel) error {
	var errs []error
	do := func(name string, fn emu.GateFunc) { errs = append(errs, rep(k, name, fn)) }
	page := func(c emu.CPU, a [8]uint64) (uint64, error) { return k.Heap.AllocAligned("pages", 4096<<a[1], 4096) }
	ok := func(c emu.CPU, a [8]uint64) (uint64, error) { return 0, nil }
	for _, n := range []string{"__get_free_pages", "get_free_pages_noprof"} {
		do(n, page)
	}
	for _, n := range []string{"free_pages", "kmem_cache_free"} {
		do(n, ok)
	}
	for _, n := range []string{"kmem_cache_create", "__kmem_cache_create_args", "kmem_cache_alloc", "kmem_cache_alloc_noprof"} {
		do(n, func(c emu.CPU, a [8]uint64) (uint64, error) { return k.Heap.AllocAligned("cache", 4096, 64) })
	}
	return errors.Join(errs...)
}

func rep(k *kernel.Kernel, name string, fn emu.GateFunc) error {
	sym, err := k.Symbols.Lookup(name)
	if err != nil {
		return nil
	}
	br := sym.Addr
	if s, ok := k.Image.Site(sym.Addr); ok {
		br = s.IP + 4
	}
	gate, err := k.Gates.Add(name, fn)
	if err != nil {
		return err
	}
	var w []uint32
	for i := range 4 {
		op := uint32(0xf2800000)
		if i == 0 {
			op = 0xd2800000
		}
		w = append(w, op|uint32(i)<<21|uint32(gate>>(16*i)&0xffff)<<5|16)
	}
	w = append(w, 0xd61f0200)
	for i, x := range w {
		if err := k.Mem.Store32(br+uint64(4*i), x); err != nil {
			return err
		}
	}
	k.Mem.SyncText(br, 32)
	return nil
}
