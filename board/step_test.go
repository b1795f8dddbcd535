package board

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBootStep_IsHowFarTheKernelHasCome(t *testing.T) {
	for _, tt := range []struct {
		want  string
		where []string
	}{
		{"before start_kernel", []string{"__no_granule_support+0x1c/0x40"}},
		{"in start_kernel", []string{"start_kernel+0x10/0x800"}},
		{"in start_kernel, mm_core_init", []string{"memblock_free_all+0x0/0x20", "mm_core_init+0x88/0x120", "start_kernel+0x200/0x800"}},
		{"in start_kernel", []string{"machine_restart+0x0/0x20", "panic+0x398/0x400", "start_kernel+0x200/0x800"}},
		{"in initcall ftrace_mod_init", []string{"kfree+0x4/0x20", "ftrace_mod_init+0x4/0x20", "do_one_initcall+0x60/0x300", "kernel_init_freeable+0x2/0x20", "kernel_init+0x2/0x20"}},
		{"in kernel_init_freeable, smp_init", []string{"smp_init+0x4/0x20", "kernel_init_freeable+0x2/0x20", "kernel_init+0x2/0x20"}},
		{"in kernel_init", []string{"panic+0x4/0x20", "kernel_init+0x2/0x20", "ret_from_fork+0x2/0x20"}},
		{"in a kernel thread", []string{"rcu_gp_kthread+0x4/0x20", "kthread+0x2/0x20", "ret_from_fork+0x2/0x20"}},
	} {
		assert.Equal(t, tt.want, bootStep(tt.where))
	}
}
