package ftrace

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidate_ReportsAndChangesNothing(t *testing.T) {
	tests := map[string]struct {
		harm func(k *testKernel)
		want string
	}{
		"a trampoline that belongs to no ops": {
			func(k *testKernel) { k.groups[0].records[0].Flags |= RecEnabled | RecTrampEn },
			"its trampoline belongs to no ops",
		},
		"a direct call that is not known": {
			func(k *testKernel) { k.groups[0].records[0].Flags |= RecEnabled | RecDirectEn },
			"holds nop",
		},
		"a foreign word": {
			func(k *testKernel) { require.NoError(k.t, k.k.Mem.Store32(k.groups[0].records[0].IP, 0xd4210000)) },
			"holds brk",
		},
		"a lost count": {
			func(k *testKernel) { k.groups[0].records[0].Flags++ },
			"count 1, but 0 registered ops match",
		},
		"a foreign literal": {
			func(k *testKernel) { require.NoError(k.t, k.k.Mem.Store64(literalOf(k.groups[0].records[0].IP), 1)) },
			"literal of ",
		},
		"a broken list": {
			func(k *testKernel) { require.NoError(k.t, k.k.Mem.Store64(k.code.OpsList, 1)) },
			"end of the list",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := bootIdle(t, nil, &Options{Printk: func(s string) { assert.Fail(t, "logged", s) }})
			require.NoError(t, k.Validate())
			tt.harm(k)
			assert.ErrorContains(t, k.Validate(), tt.want)
			assert.False(t, k.Dead())
		})
	}
}
