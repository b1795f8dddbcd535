package services

// library is what was tried and runs.
var library = []struct {
	name   string
	trials []trial
}{
	{"Compression", compression},
	{"Checksums and hashes", checksums},
	{"Cryptography", cryptography},
	{"Sorting and searching", sorting},
	{"Bits", bitFuncs},
	{"Bitmaps", bitmapFuncs},
	{"Strings and memory", stringFuncs},
	{"Text to numbers, and back", texts},
	{"Printing", printing},
	{"Unicode", unicodes},
	{"Numbers", numberFuncs},
	{"Memory of kmalloc", allocating},
	{"Arrays and numbers", xarrays},
	{"Maple trees", maples},
	{"Trees and lists", trees},
	{"Large numbers", mpis},
	{"Buffers, pools and counters", buffers},
	{"Locks and waiting", waiting},
	{"Scatterlists", scatterlists},
}

// failures is what was tried and does not run: what it needs is made at boot.
var failures = []failure{
	{"vmap", []uint64{0, 0, 0, 0}, "vmap", "memory has one address"},
	{"ktime_get", nil, "ktime_get", "there is no clock source"},
	{"queue_work_on", []uint64{0, 0, 0}, "queue_work_on", "there are no work queues"},
	{"mod_timer", []uint64{0, 0}, "mod_timer", "there are no timers"},
	{"find_vma", []uint64{0, 0}, "find_vma", "there is no `mm_struct`"},
	{"vfs_read", []uint64{0, 0, 0, 0}, "vfs_read", "there is no file"},
}

// gfpKernel is GFP_KERNEL (include/linux/gfp_types.h).
const gfpKernel = 0xcc0

// absent is what lies in modules, by Debian's configuration.
var absent = []string{"LZ4_compress_default", "LZ4_compress_HC", "chacha_crypt_generic"}
