package kernel

import (
	"bytes"
	"slices"

	"callops/kernelimage"
)

// poisonFreeInitmem is POISON_FREE_INITMEM (include/linux/poison.h). As an
// instruction it is undefined.
const poisonFreeInitmem = 0xcc

// FreeInitMem is free_initmem, the last step of booting: init text is gone. What
// is called there ends with an undefined instruction and a report of that,
// Func does not find its functions any more, and Sites leaves out its sites.
// As in Linux, kallsyms keeps its symbols. Subscribers are notified of
// [InitFreeing] first, and an error of theirs keeps init text. An image without
// init text has nothing to free, and a second time nothing is left. Read-only data that
// [BootOptions.WritableRodata] left writable is read-only then (mark_rodata_ro). No CPU may run
// meanwhile.
//
// Differs: Linux unmaps the memory too, and frees init data as well.
func (k *Kernel) FreeInitMem() error {
	if k.initFreed || k.Image.Linux() == nil {
		return nil
	}
	if err := k.notify(InitFreeing, nil); err != nil {
		return err
	}
	text := k.Image.Linux().InitText
	size := text.End - text.Start
	if err := k.Mem.Write(text.Start, bytes.Repeat([]byte{poisonFreeInitmem}, int(size))); err != nil {
		return err
	}
	k.Mem.SyncText(text.Start, size)
	for _, r := range k.rodata {
		if err := k.Mem.WriteProtect(r); err != nil {
			return err
		}
	}
	k.rodata, k.initFreed = nil, true
	k.sites = slices.DeleteFunc(k.Image.Sites(), func(s kernelimage.Site) bool { return s.Init })
	return nil
}

// Sites returns the call sites of the kernel itself, without those that were
// freed with init text. They are not the caller's to change.
func (k *Kernel) Sites() []kernelimage.Site {
	return k.sites
}

// inFreedInit reports whether addr is in init text that was freed.
func (k *Kernel) inFreedInit(addr uint64) bool {
	return k.initFreed && k.Image.Linux().InitText.Contains(addr)
}
