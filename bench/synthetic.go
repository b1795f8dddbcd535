package bench

import (
	"encoding/binary"
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/kernelimage"
)

// syntheticImage is a kernel of n functions that do nothing, each with a call
// site, in the built-in kernel's place and layout.
func syntheticImage(n int, callOps bool) (*kernelimage.Image, error) {
	builtin, err := kernelimage.Builtin(&kernelimage.BuiltinOptions{NoCallOps: !callOps})
	if err != nil {
		return nil, err
	}
	ret, err := asm.Ret().Word()
	if err != nil {
		return nil, err
	}
	// What gcc makes of an empty function: two words to patch and a RET; with
	// CALL_OPS the literal's words before them, and all of it 8-byte aligned.
	words, before := []uint32{asm.NOP, asm.NOP, ret}, uint64(0)
	if callOps {
		words, before = []uint32{asm.NOP, asm.NOP, asm.NOP, asm.NOP, ret, asm.NOP}, 8
	}
	base, size := builtin.Segments()[0].Addr, uint64(4*len(words))
	p := &kernelimage.Parts{
		Name: "synthetic", Profile: builtin.Profile(), Layout: builtin.Layout(), CallOps: callOps,
		Text:    []kernelimage.Range{{Start: base, End: base + uint64(n)*size}},
		Symbols: make([]kernelimage.Symbol, n),
		Sites:   make([]kernelimage.Site, n),
	}
	code := make([]byte, 0, uint64(n)*size)
	for i := range n {
		entry := base + uint64(i)*size
		fn := entry + before
		site := kernelimage.Site{Entry: entry, IP: fn + 4}
		if callOps {
			site.Literal = entry
		}
		p.Sites[i] = site
		p.Symbols[i] = kernelimage.Symbol{Name: fmt.Sprintf("fn%05d", i), Addr: fn, Size: 12, Func: true}
		for _, w := range words {
			code = binary.LittleEndian.AppendUint32(code, w)
		}
	}
	p.Segments = []kernelimage.Segment{kernelimage.NewSegment("text", base, code, uint64(len(code)), emu.Read|emu.Exec)}
	return kernelimage.New(p), nil
}
