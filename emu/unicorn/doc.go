// Package unicorn is the engine over libunicorn, QEMU's translator as a
// library. All cgo of callops is here and in the binding; without cgo, [New]
// returns errors.ErrUnsupported. Start at [New].
//
// # What it is made of
//
// Each CPU is a libunicorn instance at EL1 of the CPU model "max", with host
// memory of the regions mapped into it. Instructions are counted in C, a
// translated block at a time, and corrected when a block ends early; no Go
// code runs between the instructions of a Run. A budget that ends inside a
// block ends the block there: it is translated anew, up to that instruction.
// The context is checked every 2^18 instructions.
//
// # The MMU
//
// Package emu's contract is that addresses are not translated. Here that is done with
// the MMU on, over page tables that the engine makes of the regions. With the
// MMU off, libunicorn finds out about an unmapped page or a missing permission
// by itself and gives up with PC at the start of the block, whereas an abort
// from the MMU is exact. So guest code sees SCTLR_EL1.M set, and a
// region has to lie in the 48-bit halves of the address space. As for any page
// at EL1, what can be written or executed can also be read. The library gives
// no fault address; it is worked out from the instruction and its registers.
//
// # Guests are not trusted
//
// libunicorn is not hardened against hostile guests: some words abort the
// process as soon as they are translated, and some system registers turn
// translation off, after which guest code writes to text and to the page
// tables, and reads memory of the host. So it is only ever given words that
// package isa calls executed, and some that are certain to be unallocated.
// Page permissions and exits ensure that. No page can be executed at
// first; at the fault of the first fetch all its words are checked, and those to
// be refused become exits, before which the library ends the block that it
// translates. When text changes, the changed words are checked again. A page
// that guest code can write as well is never both writable and executable; a
// fetch or a store switches it, on all CPUs. What callops itself writes is
// checked at emu.Memory.SyncText, and assumed harmless until then.
//
// Registers that control translation and traps, and ID registers that say less than the library's model
// has, are not its own: an MRS or MSR of one is an exit too, and is executed here.
//
// Refused words end a Run with an [emu.UnsupportedError], or are undefined, as
// they do in package interp. FP and SIMD are among them.
//
// # What it leaves out
//
// Interrupts and timers: WFI and WFE do not wait, CNTVCT_EL0 counts
// instructions. Pointer authentication is off. The alignment of LDAR and STLR
// is not checked in 2.0.1, that of exclusives and LSE atomics is. Text that guest code
// writes is seen by the CPU that wrote it, and by others after IC IVAU or
// emu.Memory.SyncText.
//
// # Concurrency
//
// CPUs may run on separate threads, but their atomics are not atomic
// with respect to one another: take turns where that matters. With respect to the
// host an aligned access is single-copy atomic. A change of text is seen at the next
// Run, or within one when it next looks at its context.
//
// # libunicorn 2.0.1
//
// Measured on a 2-core amd64 machine under other load: compute at
// 1500 MIPS, a load 2 to 3 ns, a store 65 to 100 ns (each takes the slow path,
// which looks for translated code in its page), an MRS 12 to 20 ns (each calls
// the hook), a Run of one instruction to a gate 0.8 to 1.5 µs, a single step 5
// µs, a fault 25 to 45 µs, a new CPU 1.2 ms. Announcing 50,000 changed sites in
// 32 MiB of text, and dropping it all, takes 3 to 5 ms.
//
// A single step, or a budget that ends inside a block, leaves 360 bytes of
// unused translated code. Before the library's buffer of 1 GiB can be full, the
// CPU goes on with another instance of the library: after 130,000 steps or so.
//
// Unexpected behaviour:
//   - Its instruction count (the last argument of uc_emu_start) adds a hook to
//     code translated from then on, and not to code translated before.
//   - SCR_EL3 and HCR_EL2 say that EL1 is AArch32, and its page walk uses them.
//   - It checks virtual addresses against its list of mapped memory even with
//     the MMU on, so each region is mapped twice.
//   - Flushing all translated code writes to the whole of that buffer: 0.1 s,
//     and 4 s the first time. Dropping a range does not.
//   - When its buffer is full for the first time it begins to fill it anew, and
//     does not forget the code that was there: it crashes soon after.
//   - It executes at addresses that are not a multiple of four.
//   - At the end of each run it looks for code before each exit, some 0.2 µs
//     each. So pages are closed again when there are more than 64. Kernel text
//     has few: 1,800 on 98 of 3,536 pages of Debian's 6.12.
//   - It drops a range only if its first page can be executed.
//   - The register passed to an MRS hook is wrong for x29 and x30.
//   - HVC and HLT are undefined instructions to it, SVC and SMC exceptions with
//     PC after them, BRK one with PC on it.
package unicorn
