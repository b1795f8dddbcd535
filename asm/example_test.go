package asm_test

import (
	"errors"
	"fmt"

	"callops/asm"
)

// A function with a loop and a literal, linked at an address.
func ExampleBuilder() {
	b := asm.NewBuilder()
	b.Func("count")
	loop := b.Label("loop")
	b.Emit(
		asm.Bti(asm.BTIC),
		asm.LdrLit(asm.X1, b.Literal(0x1234567890)),
	)
	b.Bind(loop)
	b.Emit(
		asm.SubsImm(asm.X0, asm.X0, 1),
		asm.BCond(asm.NE, loop),
		asm.Mov(asm.X0, asm.X1),
		asm.Ret(),
	)
	p, err := b.Assemble(0xffff800080000000)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(p.Listing())
	// Output:
	// ffff800080000000 <count>:
	// ffff800080000000:	d503245f	bti c
	// ffff800080000004:	580000a1	ldr x1, ffff800080000018
	// ffff800080000008 <loop>:
	// ffff800080000008:	f1000400	subs x0, x0, #0x1
	// ffff80008000000c:	54ffffe1	b.ne ffff800080000008 <loop>
	// ffff800080000010:	aa0103e0	mov x0, x1
	// ffff800080000014:	d65f03c0	ret
	// ffff800080000018:	0000001234567890	.quad 0x1234567890
}

// A patcher encodes branches between absolute addresses.
func ExampleEncodeBL() {
	word, err := asm.EncodeBL(0xffff800080001004, 0xffff800080020000)
	fmt.Printf("%08x %v\n", word, err)
	fmt.Println(asm.Disassemble(word, 0xffff800080001004, func(uint64) string { return "ftrace_caller" }))

	_, err = asm.EncodeBL(0xffff800080001004, 0xffff800090000000)
	fmt.Println(errors.Is(err, asm.ErrRange))
	// Output:
	// 94007bff <nil>
	// bl ffff800080020000 <ftrace_caller>
	// true
}

func ExampleMovImm() {
	b := asm.NewBuilder()
	b.Emit(asm.MovImm(asm.X0, 0xffff800080000000)...)
	p, err := b.Assemble(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(p.Listing())
	// Output:
	// 0:	b25143e0	mov x0, #0xffff800000000000
	// 4:	f2b00000	movk x0, #0x8000, lsl #16
}
