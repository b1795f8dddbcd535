package difftest

// Whole quarters of the encoding space, for what is allocated in neither engine
// or in one only. Where a class of its own exists these add little.
var anyClasses = []class{
	{name: "any: reserved", mask: 0x1e000000, value: 0x00000000, kind: ends},
	{name: "any: unallocated", mask: 0x1a000000, value: 0x02000000, kind: ends},
	{name: "any: data processing, immediate", mask: 0x1c000000, value: 0x10000000, kind: ends},
	{name: "any: data processing, register", mask: 0x0e000000, value: 0x0a000000, skip: anyRegister, kind: ends},
	{name: "any: branch, exception", mask: 0x1c000000, value: 0x14000000, skip: anyControl, kind: branch},
	{name: "any: load, store", mask: 0x0e000000, value: 0x08000000, skip: anyMemory, fix: likelyMemory, kind: anyAddress},
}

func anyRegister(w uint32) string {
	if w&0xffe0fc00 == 0x9ac03000 {
		return "PACGA: the value is the implementation's"
	}
	return ""
}

func anyControl(w uint32) string {
	switch {
	case w&0xff000000 == 0xd5000000:
		return "system instructions: registers and operations have classes of their own"
	case w&0xfffff3ff == 0xd69f03e0 || w&0xfffff3ff == 0xd69f03ff:
		return "ERET leaves the exception level"
	}
	return ""
}

// anyMemory leaves out what the classes of loads and stores do.
func anyMemory(w uint32) string {
	for i := range memoryClasses {
		if c := &memoryClasses[i]; w&c.mask == c.value {
			if c.prefix != nil {
				return "exclusive store: needs a reservation"
			}
			if c.skip != nil {
				return c.skip(w)
			}
			return ""
		}
	}
	const exclusive, ones = 0x3f000000, 31<<16 | 31<<10
	if w&exclusive == 0x08000000 && w&ones != ones {
		return "CONSTRAINED UNPREDICTABLE: a field that should be ones"
	}
	return ""
}

// likelyMemory draws from the forms that are least covered elsewhere.
func likelyMemory(s *source, w uint32) uint32 {
	if s.one(2) {
		return w&^0x3f000000 | 0x38000000 | w&0x01000000
	}
	return w
}
