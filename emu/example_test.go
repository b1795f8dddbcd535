package emu_test

import (
	"context"
	"fmt"

	"callops/asm"
	"callops/emu"
	"callops/emu/interp"
)

// A guest function that calls a Go function twice.
func ExampleCaller() {
	mem := emu.NewMemory()
	text, _ := mem.Map("text", 0xffff_8000_8000_0000, emu.PageSize, emu.Read|emu.Exec)
	stack, _ := mem.Map("stack", 0xffff_8000_9000_0000, emu.PageSize, emu.Read|emu.Write)

	gates := emu.NewGates()
	square, _ := gates.Add("square", func(_ emu.CPU, args [8]uint64) (uint64, error) { return args[0] * args[0], nil })

	b := asm.NewBuilder()
	b.Emit(asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -16)), asm.Mov(asm.FP, asm.SP))
	b.Emit(asm.MovImm(asm.X9, square)...)
	b.Emit(asm.Blr(asm.X9), asm.Blr(asm.X9))
	b.Emit(asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 16)), asm.Ret())
	p, _ := b.Assemble(text.Base)
	_ = mem.Write(p.Base, p.Code)

	engine, _ := interp.New(mem)
	defer engine.Close()
	cpu, _ := engine.NewCPU(0)
	cpu.Regs().SP = stack.End()

	caller := emu.Caller{Gates: gates}
	res, err := caller.Call(context.Background(), cpu, nil, p.Base, 3)
	fmt.Println(res.X0, "in", res.Count, "instructions", err)
	// Output: 81 in 9 instructions <nil>
}
