package kernelimage

import (
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
)

// builtinData is where the built-in kernel's data begins.
const builtinData = kernelBase + 2<<20

// BuiltinOptions choose the built-in kernel's variant; the zero value is Linux
// 6.12 with CALL_OPS and without BTI.
type BuiltinOptions struct {
	Profile   Profile // "" means 6.12; 6.1 has no CALL_OPS
	NoCallOps bool
	BTI       bool
}

// Builtin assembles the built-in kernel. What its functions do is documented
// at builtinFuncs. Call sites are as a compiler leaves them: nothing has been
// patched.
func Builtin(opts *BuiltinOptions) (*Image, error) {
	if opts == nil {
		opts = &BuiltinOptions{}
	}
	profile := opts.Profile
	if profile == "" {
		profile = Profile612
	}
	if layouts[profile] == nil {
		return nil, fmt.Errorf("builtin: no profile is called %q: %w", profile, errno.EINVAL)
	}
	k := &kernelAsm{
		Builder: asm.NewBuilder(), funcs: make(map[string]asm.Label),
		callOps: !opts.NoCallOps && profile != Profile61, bti: opts.BTI,
	}
	img, err := k.image(profile)
	if err != nil {
		return nil, fmt.Errorf("builtin: %w", err)
	}
	return img, nil
}

// kernelAsm assembles functions with call sites.
type kernelAsm struct {
	*asm.Builder
	funcs   map[string]asm.Label
	entries []asm.Label // what the compiler would list
	callOps bool
	bti     bool
}

func (k *kernelAsm) image(profile Profile) (*Image, error) {
	data, err := builtinObjects().Assemble(builtinData)
	if err != nil {
		return nil, err
	}
	for _, s := range data.Symbols {
		k.funcs[s.Name] = k.Abs(s.Name, s.Addr)
	}
	for _, f := range builtinFuncs {
		k.function(f)
	}
	text, err := k.Assemble(kernelBase)
	if err != nil {
		return nil, err
	}
	img := &Image{
		name: "builtin", profile: profile, layout: *layouts[profile],
		segments: []Segment{segment("text", text, emu.Read|emu.Exec), segment("data", data, emu.Read|emu.Write)},
		text:     []Range{{text.Base, text.Base + uint64(len(text.Code))}},
	}
	for _, p := range []*asm.Program{text, data} {
		for _, s := range p.Symbols {
			img.symbols = append(img.symbols, Symbol{Name: s.Name, Addr: s.Addr, Size: s.Size, Func: s.Kind == asm.Func})
		}
	}
	entries := make([]uint64, len(k.entries))
	for i, l := range k.entries {
		entries[i], _ = text.AddrOf(l)
	}
	return img, img.setSites(entries)
}

func segment(name string, p *asm.Program, perm emu.Perm) Segment {
	return Segment{Name: name, Addr: p.Base, data: p.Code, MemSize: uint64(len(p.Code)), Perm: perm}
}

// function assembles f the way gcc does with -fpatchable-function-entry: with
// CALL_OPS two NOPs in front of an 8-aligned function and two at its start,
// without it only the latter. A BTI comes before those.
func (k *kernelAsm) function(f builtinFunc) {
	if k.callOps {
		k.Align(8)
	}
	if !f.untraced && k.callOps {
		k.entries = append(k.entries, k.Here("entry of "+f.name))
		k.Emit(asm.Nop(), asm.Nop())
	}
	k.BindFunc(k.label(f.name))
	if k.bti {
		k.Emit(asm.Bti(asm.BTIC))
	}
	if !f.untraced {
		if !k.callOps {
			k.entries = append(k.entries, k.Here("entry of "+f.name))
		}
		k.Emit(asm.Nop(), asm.Nop())
	}
	f.body(k)
	k.EndFunc()
}

// label returns the label of a function or object, which may come later.
func (k *kernelAsm) label(name string) asm.Label {
	l, ok := k.funcs[name]
	if !ok {
		l = k.Label(name)
		k.funcs[name] = l
	}
	return l
}

func (k *kernelAsm) call(name string) { k.Emit(asm.BL(k.label(name))) }

// enter makes a frame record and room for saved registers, stored in pairs
// above it:
//
//	sp+16+16i  regs[2i], regs[2i+1]
//	sp+8       return address
//	sp, x29    caller's x29
func (k *kernelAsm) enter(regs ...asm.Reg) {
	k.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -frameSize(regs))), asm.Mov(asm.FP, asm.SP))
	for i := 0; i < len(regs); i += 2 {
		k.Emit(asm.Stp(regs[i], regs[i+1], asm.Off(asm.SP, int64(16+8*i))))
	}
}

// leave undoes enter and returns.
func (k *kernelAsm) leave(regs ...asm.Reg) {
	for i := 0; i < len(regs); i += 2 {
		k.Emit(asm.Ldp(regs[i], regs[i+1], asm.Off(asm.SP, int64(16+8*i))))
	}
	k.Emit(asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, frameSize(regs))), asm.Ret())
}

func frameSize(regs []asm.Reg) int64 { return 16 + 8*int64(len(regs)) }

// builtinObjects is the kernel's data.
func builtinObjects() *asm.Builder {
	b := asm.NewBuilder()
	b.Object("crc32_polynomial")
	b.Emit(asm.Quad(0xedb88320))
	b.Object("call_counter")
	b.Emit(asm.Quad(0))
	b.Object("linux_banner")
	b.Bytes([]byte("callops built-in kernel\x00"))
	b.EndFunc()
	b.Align(8)
	return b
}
