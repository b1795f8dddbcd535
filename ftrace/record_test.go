package ftrace

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/kernelimage"
)

var prof612 = profiles[kernelimage.Profile612]

func TestCheck_DecidesAsFtraceCheckRecord(t *testing.T) {
	const (
		en   = RecEnabled
		t612 = RecTouched
		keep = RecDisabled | RecTouched | RecModified
	)
	tests := []struct {
		name   string
		flags  RecFlags
		enable bool
		act    action
		after  RecFlags
	}{
		{"disabled is ignored", RecDisabled | 1, true, ignore, RecDisabled | 1},
		{"disabled but enabled is accounted", RecDisabled | en, true, makeNop, RecDisabled},
		{"no users, off", 0, true, ignore, 0},
		{"no users, on", en | RecCallOpsEn | t612, true, makeNop, t612},
		{"no users clears wishes too", en | RecRegs | RecTramp | RecCallOps | RecModified, true, makeNop, RecModified},
		{"first user, plain ops", 1 | RecCallOps, true, makeCall, 1 | RecCallOps | en | RecCallOpsEn | t612},
		{"first user, protected ops", 1, true, makeCall, 1 | en | t612},
		{"settled", 1 | en | RecCallOps | RecCallOpsEn, true, ignore, 1 | en | RecCallOps | RecCallOpsEn},
		{"second user: back to the list", 2 | en | RecCallOpsEn, true, modifyCall, 2 | en | t612},
		{"second user of a listed site", 2 | en, true, ignore, 2 | en},
		{"a wish for two users is none", 2 | en | RecCallOps, true, ignore, 2 | en | RecCallOps},
		{"left alone: to its own ops", 1 | en | RecCallOps, true, modifyCall, 1 | en | RecCallOps | RecCallOpsEn | t612},
		{"regs wished", 1 | en | RecRegs, true, modifyCall, 1 | en | RecRegs | RecRegsEn | t612},
		{"regs no longer wished", 1 | en | RecRegsEn, true, modifyCall, 1 | en | t612},
		{"trampoline wished, whatever the count", 2 | en | RecTramp, true, modifyCall, 2 | en | RecTramp | RecTrampEn | t612},
		{"direct, alone", 1 | en | RecDirect, true, modifyCall, 1 | en | RecDirect | RecDirectEn | t612 | RecModified},
		{"direct, joined", 2 | en | RecDirect | RecDirectEn, true, modifyCall, 2 | en | RecDirect | t612 | RecModified},
		{"ipmodify that needs no patch is not marked", 3 | en | RecIPModify, true, ignore, 3 | en | RecIPModify},
		{"switched off, never on", 1, false, ignore, 1},
		{"switched off, users keep their wishes", 2 | en | RecRegs | RecRegsEn | RecTramp | RecTrampEn | RecDirect | RecCallOps | RecCallOpsEn, false,
			makeNop, 2 | RecRegs | RecTramp | RecDirect | RecCallOps},
		{"switched off, no users", en | RecCallOps | keep&^RecDisabled, false, makeNop, keep &^ RecDisabled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			act, after := prof612.check(tt.flags, tt.enable)
			assert.Equal(t, tt.act, act)
			assert.Equal(t, fmt.Sprintf("%08x", uint32(tt.after)), fmt.Sprintf("%08x", uint32(after)))
		})
	}
}

// A record that has been mended needs nothing more, whatever its flags were.
func TestCheck_IsIdempotent(t *testing.T) {
	for name, p := range profiles {
		for bits := range RecFlags(1 << (32 - 19)) {
			for n := range RecFlags(3) {
				f := bits<<19&^p.refMax() | n
				for _, enable := range []bool{true, false} {
					_, once := p.check(f, enable)
					act, twice := p.check(once, enable)
					if act != ignore || once != twice {
						t.Fatalf("%s: %08x, enable %v: %08x, then action %d, %08x", name, f, enable, once, act, twice)
					}
				}
			}
		}
	}
}

func TestProfiles_CountAndSurvivingFlags(t *testing.T) {
	tests := []struct {
		profile kernelimage.Profile
		refMax  RecFlags
		noClear RecFlags
	}{
		{kernelimage.Profile73, 0x7ffff, RecDisabled | RecTouched | RecModified},
		{kernelimage.Profile612, 0x7ffff, RecDisabled | RecTouched | RecModified},
		{kernelimage.ProfileV3, 0x1fffff, RecDisabled},
		{kernelimage.Profile61, 0x7fffff, RecDisabled},
	}
	assert.Len(t, profiles, len(tests))
	for _, tt := range tests {
		p := profiles[tt.profile]
		assert.Equal(t, tt.refMax, p.refMax(), tt.profile)
		assert.Equal(t, tt.noClear, p.noClear(), tt.profile)
	}
}
