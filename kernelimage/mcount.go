package kernelimage

import (
	"encoding/binary"

	"callops/kernelimage/internal/mcount"
)

// mcountList returns the kernel's list of call sites, in the order in which it
// stands in the image. Its symbols name it; where the image has symbols of
// functions only (CONFIG_KALLSYMS_ALL is off) it is found by its shape.
func (l *rawLoad) mcountList() ([]byte, error) {
	if l.marks["__start_mcount_loc"] == 0 && l.marks["__stop_mcount_loc"] == 0 {
		list := mcount.Find(l.b, l.base, l.img.inText)
		if list == nil {
			return nil, l.fail("__start_mcount_loc", 0, nil, "there is no such symbol, and no list of call sites in the data either")
		}
		return list, nil
	}
	list, err := l.bytesAt("__start_mcount_loc", "__stop_mcount_loc")
	if err == nil && len(list)%8 != 0 {
		err = l.fail("__start_mcount_loc", l.marks["__start_mcount_loc"], len(list), "is not a list of addresses, size")
	}
	return list, err
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
	for i := range l.img.sites {
		s := &l.img.sites[i]
		s.Init = l.initText.Contains(s.IP)
	}
	switch {
	case l.direct && l.img.major() >= 7:
		l.img.profile = Profile73
	case l.direct || l.assumed && l.img.callOps:
		l.img.profile = Profile612
	case l.img.callOps:
		l.img.profile = ProfileV3
	default:
		l.img.profile = Profile61
	}
	return nil
}
