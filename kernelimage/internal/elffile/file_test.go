package elffile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

// build is a file of sections that lie one after another, of the given contents.
func build(typ elf.Type, sections ...elf.Section64) []byte {
	h := elf.Header64{
		Type: uint16(typ), Machine: uint16(elf.EM_AARCH64), Version: 1, Shoff: HeaderSize, Ehsize: HeaderSize,
		Shentsize: SectionSize, Shnum: uint16(len(sections)),
	}
	copy(h.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	if len(sections) > 1 {
		h.Shstrndx = 1
	}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, h)
	_ = binary.Write(&b, binary.LittleEndian, sections)
	return b.Bytes()
}

func open(b []byte, size int64) (*File, error) { return New(bytes.NewReader(b), size, "x", Linked) }

// A sparse file has any length, and costs nothing.
func TestNew_LengthsOfASparseFileAllocateNothing(t *testing.T) {
	for _, size := range []uint64{MostRead + 8192, 90 << 30, 1 << 59, 1<<63 - 1} {
		b := build(elf.ET_EXEC, elf.Section64{}, elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: 4096, Size: size - 4096})
		_, err := open(b, int64(size))
		require.ErrorIs(t, err, errno.ENOEXEC, "%#x", size)
	}
	b := build(elf.ET_EXEC, elf.Section64{Size: 1 << 50})
	binary.LittleEndian.PutUint16(b[0x3c:], 0) // the number of sections is in the first one
	_, err := open(b, 1<<62)
	require.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, "more than 0x10000000 bytes are not read of a file")
}

func TestRead_TablesThatOverlapAreReadALimitedNumberOfTimes(t *testing.T) {
	f := Headless(bytes.NewReader(make([]byte, 1000)), 1000, "x")
	for range ReadFactor {
		_, err := f.Read("table", 0, 1000)
		require.NoError(t, err)
	}
	_, err := f.Read("table", 0, 1000)
	assert.ErrorContains(t, err, "overlap too much")
	_, err = f.Read("table", 1, 1<<63)
	assert.ErrorContains(t, err, "past the end of the file")
}

func TestNew_KindsDoNotReadOneAnother(t *testing.T) {
	linked, relocatable := build(elf.ET_DYN, elf.Section64{}), build(elf.ET_REL, elf.Section64{})
	for _, test := range []struct {
		b    []byte
		kind Kind
		want string
	}{{linked, Linked, ""}, {relocatable, Relocatable, ""}, {linked, Relocatable, "a kernel module's is ET_REL"}, {relocatable, Linked, "link it first"}} {
		_, err := New(bytes.NewReader(test.b), int64(len(test.b)), "x", test.kind)
		if test.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, errno.ENOEXEC)
		assert.ErrorContains(t, err, test.want)
	}
}

func TestStr_NamesEndInTheirTable(t *testing.T) {
	f := Headless(nil, 0, "x")
	name, err := f.Str("\x00a\x00bc\x00", 3, "names")
	require.NoError(t, err)
	assert.Equal(t, "bc", name)
	_, err = f.Str("\x00a", 1, "names")
	assert.ErrorContains(t, err, "does not end")
	_, err = f.Str("\x00a\x00", 3, "names")
	assert.ErrorContains(t, err, "reaches past the string table")
	_, err = f.Str(string(make([]byte, 1))+string(bytes.Repeat([]byte{'a'}, MaxName+1))+"\x00", 1, "names")
	assert.ErrorContains(t, err, "does not end within 512 bytes")
}

// FuzzNew: any bytes give tables that lie in the file, or an error.
func FuzzNew(f *testing.F) {
	f.Add(build(elf.ET_EXEC))
	f.Add(build(elf.ET_REL, elf.Section64{}, elf.Section64{Name: 1, Type: uint32(elf.SHT_STRTAB), Off: HeaderSize, Size: 8}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, kind := range []Kind{Linked, Relocatable} {
			file, err := New(bytes.NewReader(b), int64(len(b)), "fuzz", kind)
			if err != nil {
				assert.NotContains(t, err.Error(), "\n")
				continue
			}
			for i := range file.Sections {
				s := &file.Sections[i]
				require.LessOrEqual(t, len(s.Name), MaxName)
				if syms, err := Table[elf.Sym64](file, s, SymSize); err == nil {
					require.LessOrEqual(t, len(syms)*SymSize, len(b))
				}
			}
		}
	})
}
