package model

import (
	"callops/asm"
	"callops/emu"
	"callops/kernel"
	"callops/kernelimage"
)

// addTracer places the tracer of ops number i: it reads the ops, loses what a
// function may lose, and returns. One that has an operation to start calls a
// gate before that.
func (m *Machine) addTracer(i int) error {
	spec := &m.sc.Ops[i]
	gate := uint64(0)
	if spec.Tracer != nil {
		var err error
		gate, err = m.k.Gates.Add(spec.Tracer.Name, func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil })
		if err != nil {
			return err
		}
		m.gates = append(m.gates, gate)
	}
	at, err := m.place("tracer_"+spec.Name, kernel.CodeOptions{Core: true}, func(b *asm.Builder) {
		b.Emit(asm.Ldr(asm.X9, asm.Off(asm.X2, int64(m.k.Layout.Ops.Private))))
		if gate != 0 {
			b.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -16)), asm.Mov(asm.FP, asm.SP))
			b.Emit(asm.MovImm(asm.X16, gate)...)
			b.Emit(asm.Blr(asm.X16), asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 16)))
		}
		lose(b, asm.X0)
		b.Emit(asm.Ret())
	})
	m.tracer[i][0] = at
	return err
}

// lose overwrites the registers up to x17.
func lose(b *asm.Builder, from asm.Reg) {
	for r := from; r <= asm.X17; r++ {
		b.Emit(asm.Movz(r, 0xbad, 0))
	}
}

// place puts a function into memory of its own.
func (m *Machine) place(name string, opts kernel.CodeOptions, body func(*asm.Builder)) (kernelimage.Range, error) {
	b := asm.NewBuilder()
	b.Func(name)
	body(b)
	b.EndFunc()
	p, err := m.k.PlaceCode(name, opts, b.Assemble)
	if err != nil {
		return kernelimage.Range{}, err
	}
	return kernelimage.Range{Start: p.Base, End: p.Base + uint64(len(p.Code))}, nil
}
