package kernelimage

import (
	"encoding/binary"

	"callops/asm"
)

// mcountList returns the kernel's list of call sites, in the order in which it
// stands in the image. Its symbols name it; where the image has symbols of
// functions only (CONFIG_KALLSYMS_ALL is off) it is found by its shape.
func (l *rawLoad) mcountList() ([]byte, error) {
	if l.marks["__start_mcount_loc"] == 0 && l.marks["__stop_mcount_loc"] == 0 {
		list := l.findMcount()
		if list == nil {
			return nil, l.fail("__start_mcount_loc", 0, nil, "there is no such symbol, and no list of call sites in the data either")
		}
		return list, nil
	}
	list, err := l.bytesAt("__start_mcount_loc", "__stop_mcount_loc")
	if err == nil && len(list)%8 != 0 {
		err = l.fail("__start_mcount_loc", l.marks["__start_mcount_loc"], len(list), "is no list of addresses, size")
	}
	return list, err
}

// findMcount finds the longest run of words that point at two NOPs in the text.
// A pointer to a function that stands next to the list looks the same, but is
// in the list as well, which holds no address twice.
func (l *rawLoad) findMcount() []byte {
	isEntry := func(at int) bool {
		addr := u64At(l.b, at)
		w, ok := l.insn(addr)
		next, okNext := l.insn(addr + 4)
		return ok && okNext && asm.IsNop(w) && asm.IsNop(next) && l.img.inText(addr)
	}
	start, end := 0, 0
	for at := 0; at+8 <= len(l.b); {
		run := at
		for run+8 <= len(l.b) && isEntry(run) {
			run += 8
		}
		if run-at > end-start {
			start, end = at, run
		}
		at = run + 8
	}
	count := make(map[uint64]int, (end-start)/8)
	for at := start; at < end; at += 8 {
		count[u64At(l.b, at)]++
	}
	repeated := func(at int) bool { return count[u64At(l.b, at)] > 1 }
	for start < end && repeated(start) {
		count[u64At(l.b, start)]--
		start += 8
	}
	for start < end && repeated(end-8) {
		end -= 8
		count[u64At(l.b, end)]--
	}
	if start == end {
		return nil
	}
	return l.b[start:end]
}

// insn reads an instruction of the file by its address.
func (l *rawLoad) insn(addr uint64) (uint32, bool) {
	off := addr - l.base
	if addr < l.base || off%4 != 0 || off+4 > uint64(len(l.b)) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(l.b[off:]), true
}

// sites makes call sites of the list (kernel/trace/ftrace.c,
// ftrace_process_locs) and marks those that are freed after boot
// (ftrace_free_init_mem).
func (l *rawLoad) sites() error {
	list, err := l.mcountList()
	if err != nil {
		return err
	}
	entries := make([]uint64, 0, len(list)/8)
	for ; len(list) > 0; list = list[8:] {
		if e := binary.LittleEndian.Uint64(list); l.img.inText(e) {
			entries = append(entries, e)
		} else {
			l.info.Dropped++
		}
	}
	if err := l.img.setSites(entries); err != nil {
		return err
	}
	for i := range l.img.Sites {
		s := &l.img.Sites[i]
		s.Init = l.initText.Contains(s.IP)
	}
	switch {
	case l.direct || l.assumed && l.img.CallOps:
		l.img.Profile = Profile612
	case l.img.CallOps:
		l.img.Profile = ProfileV3
	default:
		l.img.Profile = Profile61
	}
	return nil
}
