package kernelimage

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/edits"
	"callops/internal/errno"
	"callops/kernelimage/ctype"
	"callops/kernelimage/internal/btfsection"
)

func TestBTF_OffsetsAreReadThroughAnonymousMembers(t *testing.T) {
	types, err := readBTF(fixtureBTF(t))
	require.NoError(t, err)
	l, err := types.layout()
	require.NoError(t, err)
	assert.Equal(t, 8, l.Task.PreemptCount, "in an anonymous structure of thread_info")
	assert.Equal(t, 80, l.Ops.Trampoline, "after two structures")
	assert.Equal(t, Absent, l.Ops.List)
	assert.Equal(t, HashLayout{Size: 32, SizeBits: 0, Buckets: 8, Count: 16, Flags: 24}, l.Hash)
	assert.Equal(t, EntryLayout{Size: 32, Next: 0, Pprev: 8, IP: 16, Direct: 24}, l.Entry)
	off, ok := types.perCPUVar("context_tracking")
	assert.True(t, ok)
	assert.Equal(t, stateOff, off)
	_, ok = types.perCPUVar("nothing")
	assert.False(t, ok)
}

func TestBTF_NamesEverythingThatIsMissingInOneLine(t *testing.T) {
	section := bytes.ReplaceAll(fixtureBTF(t), []byte("func_hash\x00"), []byte("func_hush\x00"))
	section = bytes.ReplaceAll(section, []byte("size_bits\x00"), []byte("size_bats\x00"))
	types, err := readBTF(section)
	require.NoError(t, err)
	_, err = types.layout()
	assert.ErrorIs(t, err, errno.ENOENT)
	assert.EqualError(t, err, "has no ftrace_ops.func_hash, ftrace_hash.size_bits: no such file or directory")
}

// longHeader gives a section a header of n bytes, as later versions of the format have.
func longHeader(section []byte, n int) []byte {
	h := bytes.Clone(section[:24])
	binary.LittleEndian.PutUint32(h[4:], uint32(n))
	return append(append(h, make([]byte, n-24)...), section[24:]...)
}

func TestReadBTF_HeaderOfAnyLength(t *testing.T) {
	for _, n := range []int{24, 28, 32, 40, 64} {
		types, err := readBTF(longHeader(fixtureBTF(t), n))
		require.NoError(t, err, n)
		_, err = types.layout()
		require.NoError(t, err, n)
		assert.NotZero(t, types.count, n)
	}
	bad := fixtureBTF(t)
	bad[0], bad[1] = bad[1], bad[0] // big-endian
	_, err := readBTF(bad)
	assert.ErrorIs(t, err, errno.ENOEXEC)
}

// FuzzBTF: any section gives a layout whose offsets lie in its structures, or
// an error.
func FuzzBTF(f *testing.F) {
	section := fixtureBTF(f)
	f.Add(edits.At(4, 32))
	f.Add(edits.At(28, 1, 0, 0, 2))
	f.Fuzz(func(t *testing.T, e []byte) {
		b := edits.Apply(section, e)
		types, err := readBTF(b)
		if err != nil {
			return
		}
		types.perCPUVars()
		types.perCPUVar("context_tracking")
		if l, err := types.layout(); err == nil {
			require.NoError(t, l.check())
		}
	})
}

// rawBTF is a section of types, each given by its words, and the names "x" (1),
// "y" (3) and "a" to follow.
func rawBTF(types ...[]uint32) []byte {
	const names = "\x00x\x00y\x00func\x00"
	var b []byte
	for _, words := range types {
		for _, w := range words {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
	}
	h := []byte(btfsection.Magic + "\x18\x00\x00\x00")
	for _, n := range []int{0, len(b), len(b), len(names)} {
		h = binary.LittleEndian.AppendUint32(h, uint32(n))
	}
	return append(append(h, b...), names...)
}

// Words of types: their name, kind and number of parts, and size or type.
const (
	btfX, btfY, btfFunc = 1, 3, 5

	kindPtr    = 2 << 24
	kindStruct = 4 << 24
	kindConst  = 10 << 24
	kindFunc   = 12 << 24
	kindProto  = 13 << 24
)

func TestReadBTF_TypesOfTypesWithoutEndAreRefused(t *testing.T) {
	// A type that is made of the next one, and so on: as deep as may be is read,
	// and one deeper would be a stack that overflows.
	chain := func(n uint32) []byte {
		types := make([][]uint32, n)
		for i := range types {
			types[i] = []uint32{btfX, kindConst, uint32(i + 2)}
		}
		types[n-1] = []uint32{btfX, kindConst, 0}
		return rawBTF(types...)
	}
	if !raceEnabled { // with it, stack frames are larger
		types, err := readBTF(chain(maxBTFTypes))
		require.NoError(t, err)
		_, err = types.prototype("x")
		assert.ErrorIs(t, err, errno.ENOENT)
	}
	_, err := readBTF(chain(maxBTFTypes + 1))
	assert.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, "240001 types, at most 240000 are read")
	_, err = readBTF(longHeader(chain(maxBTFTypes+1), 32))
	assert.ErrorContains(t, err, "240001 types", "whatever its header's length")
	base, err := readBTF(chain(2))
	require.NoError(t, err)
	_, err = readSplitBTF(chain(maxBTFTypes-1), base)
	assert.ErrorContains(t, err, "240001 types", "with those that it builds on")
}

func TestCountBTF_CountsEachKindOfType(t *testing.T) {
	b := rawBTF(
		[]uint32{btfX, 1 << 24, 8, 64}, // INT
		[]uint32{0, kindPtr, 1},
		[]uint32{0, 3 << 24, 0, 1, 1, 4}, // ARRAY
		[]uint32{btfX, kindStruct | 2, 16, 0, 1, 0, 0, 1, 64},
		[]uint32{btfY, 6<<24 | 1, 4, btfX, 0}, // ENUM
		[]uint32{btfX, 7 << 24, 0},            // FWD
		[]uint32{0, kindProto | 1, 1, 0, 1},
		[]uint32{btfFunc, kindFunc, 7},
		[]uint32{btfY, 14 << 24, 1, 1},            // VAR
		[]uint32{btfX, 15<<24 | 1, 8, 9, 0, 8},    // DATASEC
		[]uint32{btfX, 17 << 24, 8, 0xffff_ffff},  // DECL_TAG
		[]uint32{btfX, 19<<24 | 1, 8, btfY, 0, 0}, // ENUM64
		[]uint32{btfX, kindConst, 1},
	)
	types, err := readBTF(b)
	require.NoError(t, err)
	assert.Equal(t, 13, types.count)
	last, err := types.spec.TypeByID(13)
	require.NoError(t, err)
	assert.IsType(t, &btf.Const{}, last)
	_, err = types.spec.TypeByID(14)
	assert.ErrorIs(t, err, btf.ErrNotFound)
}

func TestMember_OfAStructureThatHoldsItselfOftenEnds(t *testing.T) {
	s := &btf.Struct{Name: "s"}
	for range 100 {
		s.Members = append(s.Members, btf.Member{Type: s})
	}
	_, ok := member(s, "field")
	assert.False(t, ok)
	s.Members = append([]btf.Member{{Name: "field", Offset: 64, Type: s}}, s.Members...)
	off, ok := member(s, "field")
	assert.True(t, ok)
	assert.Equal(t, 8, off)
}

func TestPrototype_SplitBTFBuildsOnItsBase(t *testing.T) {
	base, err := readBTF(rawBTF([]uint32{btfX, 1 << 24, 4, 1<<24 | 32}))
	require.NoError(t, err)
	// x func(x y): types 2 and 3, of type 1 in the base. Its names follow the base's.
	split := rawBTF([]uint32{0, kindProto | 1, 1, btfY, 1}, []uint32{btfFunc, kindFunc, 2})
	types, err := readSplitBTF(split, base)
	require.NoError(t, err)
	p, err := types.prototype("func")
	require.NoError(t, err)
	assert.Equal(t, "x func(x y)", p.String())
	assert.Equal(t, ctype.Type{Kind: ctype.Int, Size: 4, Signed: true}, p.Params[0])
	_, err = types.prototype("x")
	assert.ErrorIs(t, err, errno.ENOENT)
}

// mostDeclared is more than a declaration has, in bytes.
const mostDeclared = 1 << 20

// FuzzPrototype: any BTF, on its own or split, gives a prototype of bounded length or an
// error.
func FuzzPrototype(f *testing.F) {
	base := rawBTF([]uint32{btfX, 1 << 24, 4, 1<<24 | 32})
	f.Add(rawBTF([]uint32{0, kindProto | 1, 1, btfY, 1}, []uint32{btfFunc, kindFunc, 1}))
	f.Add(rawBTF([]uint32{0, kindProto | 2, 1, btfY, 2, btfX, 2}, []uint32{0, kindPtr, 2}, []uint32{btfFunc, kindFunc, 2}))
	f.Add(rawBTF([]uint32{btfX, kindStruct | 1, 16, 0, 1, 0}, []uint32{0, kindConst, 1}, []uint32{btfFunc, kindFunc, 1}))
	f.Fuzz(func(t *testing.T, section []byte) {
		on, err := readBTF(base)
		require.NoError(t, err)
		for _, on := range []*btfTypes{nil, on} {
			types, err := readSplitBTF(section, on)
			if err != nil {
				require.NotContains(t, err.Error(), "\n")
				continue
			}
			if p, err := types.prototype("func"); err == nil {
				require.NotContains(t, p.String(), "\n")
				require.Less(t, len(p.String()), mostDeclared)
				p.Arg(p.Args())
				if few, ok := btfsection.Function(section, "func"); ok && on == nil {
					types, err := readBTF(few)
					require.NoError(t, err)
					alone, err := types.prototype("func")
					require.NoError(t, err)
					require.Equal(t, p, alone)
				}
			}
		}
	})
}
