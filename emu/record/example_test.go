package record_test

import (
	"context"
	"fmt"
	"log"

	"callops/asm"
	"callops/emu"
	"callops/emu/interp"
	"callops/emu/record"
)

// A pointer is published with a release: what it points to is stored before.
func Example() {
	mem := emu.NewMemory()
	defer mem.Close()
	for name, base := range map[string]uint64{"code": 0x1000, "data": 0x2000} {
		if _, err := mem.Map(name, base, emu.PageSize, emu.Read|emu.Write|emu.Exec); err != nil {
			log.Fatal(err)
		}
	}
	engine, err := record.Of(interp.New)(mem)
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	cpu, err := engine.NewCPU(0)
	if err != nil {
		log.Fatal(err)
	}
	for i, in := range []asm.Inst{asm.Str(asm.X1, asm.Off(asm.X0, 8)), asm.Stlr(asm.X2, asm.X0)} {
		w, err := in.Word()
		if err == nil {
			err = mem.Store32(0x1000+4*uint64(i), w)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	regs := cpu.Regs()
	regs.PC, regs.X[0], regs.X[1], regs.X[2] = 0x1000, 0x2000, 42, 0x2008

	tape := record.NewTape(mem, func(e record.Effect) { fmt.Printf("%#x: %s: %#x = %#x\n", e.PC, e.Kind, e.Addr, e.Value) })
	cpu.(*record.CPU).Observe(tape.Insn)
	if _, err := cpu.Run(context.Background(), 2); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 0x1000: store: 0x2008 = 0x2a
	// 0x1004: store-release: 0x2000 = 0x2008
}
