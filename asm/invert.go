package asm

// InvertBranch returns the conditional branch (B.cond, CBZ, CBNZ, TBZ, TBNZ) that is
// taken where w is not; ok is false for any other word, and for b.al, which is always
// taken.
func InvertBranch(w uint32) (inverted uint32, ok bool) {
	switch {
	case w&0xff000010 == 0x54000000 && w&0xe != 0xe: // b.cond
		return w ^ 1, true
	case w&0x7e000000 == 0x34000000, w&0x7e000000 == 0x36000000: // cbz, cbnz; tbz, tbnz
		return w ^ 1<<24, true
	}
	return w, false
}
