package weak

// exchangeable are the instructions that may be changed into one another while
// other CPUs execute them (Arm ARM B2.2.5, "Concurrent modification and
// execution of instructions").
var exchangeable = []struct{ mask, value uint32 }{
	{0xfc000000, 0x14000000}, // B
	{0xfc000000, 0x94000000}, // BL
	{0xffe0001f, 0xd4200000}, // BRK
	{0xffe0001f, 0xd4000002}, // HVC
	{0xfffff0ff, 0xd50330df}, // ISB
	{0xffffffff, 0xd503201f}, // NOP
	{0xffe0001f, 0xd4000003}, // SMC
	{0xffe0001f, 0xd4000001}, // SVC
}

// Exchangeable reports whether a CPU which executes the word while another changes
// it, to or from a word of this kind, executes one or the other. Of any other
// word the architecture promises nothing.
func Exchangeable(word uint32) bool {
	for _, e := range exchangeable {
		if word&e.mask == e.value {
			return true
		}
	}
	return false
}
