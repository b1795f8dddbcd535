package kernelimage

import "callops/asm"

// builtinFunc is one function of the built-in kernel.
type builtinFunc struct {
	name     string
	untraced bool // without a call site, as notrace functions are
	body     func(k *kernelAsm)
}

// builtinFuncs are the functions of the built-in kernel, in address order:
//
//	tracee_relevant()            nothing; the shape of samples/ftrace/ftrace-ops.c
//	tracee_irrelevant()          the same again
//	checksum_buffer(buf, len)    the CRC-32 (IEEE) of a buffer, through crc32_update
//	crc32_update(crc, buf, len)  the register after len more bytes, through crc32_byte
//	crc32_byte(crc, byte)        the register after one more byte
//	sort_words(v, n)             sorts n unsigned doublewords, through swap_words
//	swap_words(a, b)             swaps two doublewords
//	sum_words(v, n)              their sum
//	fib(n)                       Fibonacci's number n, by recursion
//	gcd(a, b)                    the greatest common divisor
//	is_even(n), is_odd(n)        1 or 0, by tail calls of one another
//	memcpy(dst, src, n)          dst
//	memset(dst, c, n)            dst
//	strlen(s)                    the length of a string
//	parse_number(s)              the number at s, decimal or 0x, through digit_value
//	digit_value(c)               what the digit c stands for, or ~0
//	apply(fn, x)                 fn(x), through a pointer
//	sum8(a, b, .., h)            a + 2b + .. + 8h: all argument registers
//	count_call()                 adds one to call_counter and returns it
//	call_untraced(x)             untraced(x) + 1
//	untraced(x)                  2x; has no call site
//	do_undefined()               executes an undefined instruction
//	do_fault(addr)               loads from addr
//	do_overflow(n)               calls itself until the stack has run over
//	spin_forever()               never returns
var builtinFuncs = []builtinFunc{
	{name: "tracee_relevant", body: func(k *kernelAsm) { k.Emit(asm.Ret()) }},
	{name: "tracee_irrelevant", body: func(k *kernelAsm) { k.Emit(asm.Ret()) }},
	{name: "checksum_buffer", body: checksumBuffer},
	{name: "crc32_update", body: crc32Update},
	{name: "crc32_byte", body: crc32Byte},
	{name: "sort_words", body: sortWords},
	{name: "swap_words", body: swapWords},
	{name: "sum_words", body: sumWords},
	{name: "fib", body: fib},
	{name: "gcd", body: gcd},
	{name: "is_even", body: func(k *kernelAsm) { parity(k, 1, "is_odd") }},
	{name: "is_odd", body: func(k *kernelAsm) { parity(k, 0, "is_even") }},
	{name: "memcpy", body: memcpy},
	{name: "memset", body: memset},
	{name: "strlen", body: strlen},
	{name: "parse_number", body: parseNumber},
	{name: "digit_value", body: digitValue},
	{name: "apply", body: apply},
	{name: "sum8", body: sum8},
	{name: "count_call", body: countCall},
	{name: "call_untraced", body: callUntraced},
	{name: "untraced", untraced: true, body: func(k *kernelAsm) { k.Emit(asm.Add(asm.X0, asm.X0, asm.X0), asm.Ret()) }},
	{name: "do_undefined", body: func(k *kernelAsm) { k.Emit(asm.Word32(0), asm.Ret()) }},
	{name: "do_fault", body: func(k *kernelAsm) { k.Emit(asm.Ldr(asm.X0, asm.Base(asm.X0)), asm.Ret()) }},
	{name: "do_overflow", body: doOverflow},
	{name: "spin_forever", body: func(k *kernelAsm) { k.Emit(asm.B(k.Here("spin"))) }},
}

func checksumBuffer(k *kernelAsm) {
	k.enter()
	k.Emit(asm.Mov(asm.X2, asm.X1), asm.Mov(asm.X1, asm.X0), asm.Movn(asm.W0, 0, 0))
	k.call("crc32_update")
	k.Emit(asm.Mvn(asm.W0, asm.W0))
	k.leave()
}

func crc32Update(k *kernelAsm) {
	loop, done := k.Label("loop"), k.Label("done")
	k.enter(asm.X19, asm.X20)
	k.Emit(asm.Mov(asm.X19, asm.X1), asm.Add(asm.X20, asm.X1, asm.X2)) // next byte, end
	k.Bind(loop)
	k.Emit(asm.Cmp(asm.X19, asm.X20), asm.BCond(asm.HS, done), asm.Ldrb(asm.W1, asm.Post(asm.X19, 1)))
	k.call("crc32_byte")
	k.Emit(asm.B(loop))
	k.Bind(done)
	k.leave(asm.X19, asm.X20)
}

func crc32Byte(k *kernelAsm) {
	loop := k.Label("loop")
	k.Emit(asm.Eor(asm.W0, asm.W0, asm.W1))
	k.Emit(asm.LoadAddr(asm.X2, k.label("crc32_polynomial"))...)
	k.Emit(asm.Ldr(asm.X2, asm.Base(asm.X2)), asm.Movz(asm.W3, 8, 0))
	k.Bind(loop)
	k.Emit(
		asm.TstImm(asm.W0, 1),
		asm.LsrImm(asm.W0, asm.W0, 1),
		asm.Csel(asm.W4, asm.W2, asm.WZR, asm.NE),
		asm.Eor(asm.W0, asm.W0, asm.W4),
		asm.SubImm(asm.W3, asm.W3, 1),
		asm.Cbnz(asm.W3, loop),
		asm.Ret(),
	)
}

// sortWords is an insertion sort: x19 is v, x20 n, x21 and x22 the outer and
// the inner index.
func sortWords(k *kernelAsm) {
	outer, inner, next, done := k.Label("outer"), k.Label("inner"), k.Label("next"), k.Label("done")
	k.enter(asm.X19, asm.X20, asm.X21, asm.X22)
	k.Emit(asm.Mov(asm.X19, asm.X0), asm.Mov(asm.X20, asm.X1), asm.Movz(asm.X21, 1, 0))
	k.Bind(outer)
	k.Emit(asm.Cmp(asm.X21, asm.X20), asm.BCond(asm.HS, done), asm.Mov(asm.X22, asm.X21))
	k.Bind(inner)
	k.Emit(
		asm.Cbz(asm.X22, next),
		asm.Add(asm.X1, asm.X19, asm.X22, asm.LSL(3)),
		asm.SubImm(asm.X0, asm.X1, 8),
		asm.Ldp(asm.X2, asm.X3, asm.Base(asm.X0)),
		asm.Cmp(asm.X2, asm.X3),
		asm.BCond(asm.LS, next),
	)
	k.call("swap_words")
	k.Emit(asm.SubImm(asm.X22, asm.X22, 1), asm.B(inner))
	k.Bind(next)
	k.Emit(asm.AddImm(asm.X21, asm.X21, 1), asm.B(outer))
	k.Bind(done)
	k.leave(asm.X19, asm.X20, asm.X21, asm.X22)
}

func swapWords(k *kernelAsm) {
	k.Emit(asm.Ldr(asm.X2, asm.Base(asm.X0)), asm.Ldr(asm.X3, asm.Base(asm.X1)), asm.Str(asm.X3, asm.Base(asm.X0)), asm.Str(asm.X2, asm.Base(asm.X1)), asm.Ret())
}

func sumWords(k *kernelAsm) {
	loop, done := k.Label("loop"), k.Label("done")
	k.Emit(asm.Mov(asm.X2, asm.X0), asm.Mov(asm.X0, asm.XZR))
	k.Bind(loop)
	k.Emit(asm.Cbz(asm.X1, done), asm.Ldr(asm.X3, asm.Post(asm.X2, 8)), asm.Add(asm.X0, asm.X0, asm.X3), asm.SubImm(asm.X1, asm.X1, 1), asm.B(loop))
	k.Bind(done)
	k.Emit(asm.Ret())
}

func fib(k *kernelAsm) {
	small := k.Label("small")
	k.Emit(asm.CmpImm(asm.X0, 2), asm.BCond(asm.LO, small))
	k.enter(asm.X19, asm.X20)
	k.Emit(asm.Mov(asm.X19, asm.X0), asm.SubImm(asm.X0, asm.X0, 1))
	k.call("fib")
	k.Emit(asm.Mov(asm.X20, asm.X0), asm.SubImm(asm.X0, asm.X19, 2))
	k.call("fib")
	k.Emit(asm.Add(asm.X0, asm.X0, asm.X20))
	k.leave(asm.X19, asm.X20)
	k.Bind(small)
	k.Emit(asm.Ret())
}

func gcd(k *kernelAsm) {
	loop, done := k.Label("loop"), k.Label("done")
	k.Bind(loop)
	k.Emit(asm.Cbz(asm.X1, done), asm.Udiv(asm.X2, asm.X0, asm.X1), asm.Msub(asm.X2, asm.X2, asm.X1, asm.X0), asm.Mov(asm.X0, asm.X1), asm.Mov(asm.X1, asm.X2), asm.B(loop))
	k.Bind(done)
	k.Emit(asm.Ret())
}

func parity(k *kernelAsm, zero uint16, other string) {
	more := k.Label("more")
	k.Emit(asm.Cbnz(asm.X0, more), asm.Movz(asm.X0, zero, 0), asm.Ret())
	k.Bind(more)
	k.Emit(asm.SubImm(asm.X0, asm.X0, 1), asm.B(k.label(other)))
}

func memcpy(k *kernelAsm) {
	loop, done := k.Label("loop"), k.Label("done")
	k.Emit(asm.Mov(asm.X3, asm.X0))
	k.Bind(loop)
	k.Emit(asm.Cbz(asm.X2, done), asm.Ldrb(asm.W4, asm.Post(asm.X1, 1)), asm.Strb(asm.W4, asm.Post(asm.X3, 1)), asm.SubImm(asm.X2, asm.X2, 1), asm.B(loop))
	k.Bind(done)
	k.Emit(asm.Ret())
}

func memset(k *kernelAsm) {
	loop, done := k.Label("loop"), k.Label("done")
	k.Emit(asm.Mov(asm.X3, asm.X0))
	k.Bind(loop)
	k.Emit(asm.Cbz(asm.X2, done), asm.Strb(asm.W1, asm.Post(asm.X3, 1)), asm.SubImm(asm.X2, asm.X2, 1), asm.B(loop))
	k.Bind(done)
	k.Emit(asm.Ret())
}

func strlen(k *kernelAsm) {
	loop := k.Label("loop")
	k.Emit(asm.Mov(asm.X1, asm.X0))
	k.Bind(loop)
	k.Emit(asm.Ldrb(asm.W2, asm.Post(asm.X1, 1)), asm.Cbnz(asm.W2, loop), asm.Sub(asm.X0, asm.X1, asm.X0), asm.SubImm(asm.X0, asm.X0, 1), asm.Ret())
}

// parseNumber has the string in x19, the number in x20 and the base in x21.
func parseNumber(k *kernelAsm) {
	loop, done := k.Label("loop"), k.Label("done")
	k.enter(asm.X19, asm.X20, asm.X21, asm.X22)
	k.Emit(
		asm.Mov(asm.X19, asm.X0), asm.Mov(asm.X20, asm.XZR), asm.Movz(asm.X21, 10, 0),
		asm.Ldrb(asm.W0, asm.Base(asm.X19)), asm.CmpImm(asm.W0, '0'), asm.BCond(asm.NE, loop),
		asm.Ldrb(asm.W0, asm.Off(asm.X19, 1)), asm.CmpImm(asm.W0, 'x'), asm.BCond(asm.NE, loop),
		asm.AddImm(asm.X19, asm.X19, 2), asm.Movz(asm.X21, 16, 0),
	)
	k.Bind(loop)
	k.Emit(asm.Ldrb(asm.W0, asm.Post(asm.X19, 1)))
	k.call("digit_value")
	k.Emit(asm.Cmp(asm.X0, asm.X21), asm.BCond(asm.HS, done), asm.Madd(asm.X20, asm.X20, asm.X21, asm.X0), asm.B(loop))
	k.Bind(done)
	k.Emit(asm.Mov(asm.X0, asm.X20))
	k.leave(asm.X19, asm.X20, asm.X21, asm.X22)
}

func digitValue(k *kernelAsm) {
	letter, none := k.Label("letter"), k.Label("none")
	k.Emit(
		asm.Uxtb(asm.W0, asm.W0), asm.SubImm(asm.W1, asm.W0, '0'), asm.CmpImm(asm.W1, 10), asm.BCond(asm.HS, letter),
		asm.Mov(asm.W0, asm.W1), asm.Ret(),
	)
	k.Bind(letter)
	k.Emit(
		asm.OrrImm(asm.W0, asm.W0, 0x20), // lower case
		asm.SubImm(asm.W1, asm.W0, 'a'), asm.CmpImm(asm.W1, 6), asm.BCond(asm.HS, none),
		asm.AddImm(asm.W0, asm.W1, 10), asm.Ret(),
	)
	k.Bind(none)
	k.Emit(asm.Movn(asm.X0, 0, 0), asm.Ret())
}

func apply(k *kernelAsm) {
	k.enter()
	k.Emit(asm.Mov(asm.X2, asm.X0), asm.Mov(asm.X0, asm.X1), asm.Blr(asm.X2))
	k.leave()
}

func sum8(k *kernelAsm) {
	for i := 1; i < 8; i++ {
		k.Emit(asm.Movz(asm.X9, uint16(i+1), 0), asm.Madd(asm.X0, asm.X(i), asm.X9, asm.X0))
	}
	k.Emit(asm.Ret())
}

func countCall(k *kernelAsm) {
	k.Emit(asm.LoadAddr(asm.X1, k.label("call_counter"))...)
	k.Emit(asm.Ldr(asm.X0, asm.Base(asm.X1)), asm.AddImm(asm.X0, asm.X0, 1), asm.Str(asm.X0, asm.Base(asm.X1)), asm.Ret())
}

func callUntraced(k *kernelAsm) {
	k.enter()
	k.call("untraced")
	k.Emit(asm.AddImm(asm.X0, asm.X0, 1))
	k.leave()
}

func doOverflow(k *kernelAsm) {
	k.enter()
	k.Emit(asm.AddImm(asm.X0, asm.X0, 1))
	k.call("do_overflow")
	k.leave()
}
