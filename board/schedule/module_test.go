package schedule_test

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"callops/board/schedule"
	"callops/internal/kernels"
)

// moduleFile is a module of the kernel's package.
func moduleFile(t *testing.T, name string) []byte {
	t.Helper()
	packed, err := os.Open(kernels.Module(t, kernels.Linux612, name))
	require.NoError(t, err)
	defer func() { assert.NoError(t, packed.Close()) }()
	r, err := xz.NewReader(packed)
	require.NoError(t, err)
	file, err := io.ReadAll(r)
	require.NoError(t, err)
	return file
}

// Its records come and go with the module, while ftrace walks all records for an ops.
func TestModule_IsLoadedAndUnloadedBesideATracedCall(t *testing.T) {
	if !*all {
		t.Skip("takes a minute of recording, with -all")
	}
	img, file := open(t, kernels.Linux612), moduleFile(t, "crc-itu-t")
	l := lab(t, img, &schedule.Workload{Name: "module", Sites: []string{"int_sqrt"}, CPUs: 3, Prepare: func(ctx context.Context, s *schedule.Setup) error {
		ops, err := s.Ops(ctx, "ops", 0)
		if err != nil {
			return err
		}
		if err := s.Filter(ctx, ops, "int_sqrt"); err != nil {
			return err
		}
		if err := s.Thread(0, "patcher", ops.Register("int_sqrt"), ops.Unregister("int_sqrt"), ops.Free()); err != nil {
			return err
		}
		load, unload, err := s.Module(ctx, "crc_itu_t", file)
		if err != nil {
			return err
		}
		if err := s.Thread(1, "loader", load, unload); err != nil {
			return err
		}
		return s.Caller(2, "caller", "int_sqrt", 144)
	}}, nil)
	r, err := l.Search(t.Context(), &schedule.SearchOptions{Schedules: 200})
	require.NoError(t, err)
	if r.Found != nil {
		t.Fatal(r.Found)
	}
	t.Logf("%d schedules, %d instructions", r.Schedules, r.Instructions)
}
