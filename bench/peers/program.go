package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"

	"callops/asm"
	"callops/emu"
	"callops/kernelimage"
)

// Where the program's parts are. All is below 128 MiB, which is what gdb's simulator has.
const (
	textBase   = 0x0040_0000
	farBase    = 0x0140_0000 // the trampoline, beyond what is near
	dataBase   = 0x0200_0000
	kernelBase = 0x0300_0000

	countAt   = dataBase          // how often the workload is to be repeated
	opsAt     = dataBase + 0x100  // ops: the tracer's address
	exitAt    = dataBase + 0x200  // reason and status
	taskAt    = dataBase + 0x1000 // what the kernel's functions take for the current task
	buffersAt = dataBase + 0x10000
	bufferLen = 64 << 10
	dataLen   = 0x50000
	stackTop  = dataBase + dataLen
)

// segment is memory of the program.
type segment struct {
	addr, size uint64
	data       []byte
	perm       emu.Perm
}

// program is a workload as a program: start calls main, which repeats it, and exits.
type program struct {
	segments    []segment
	start, main uint64
}

// newProgram makes the program of a workload. kernel is nil for one that needs none.
func newProgram(w *workload, kernel *kernelimage.Image) (*program, error) {
	p := &program{}
	addr := func(string) (uint64, error) { return 0, nil }
	if w.kernel {
		seg, err := kernelSegment(kernel)
		if err != nil {
			return nil, err
		}
		p.segments = append(p.segments, seg)
		addr = func(name string) (uint64, error) {
			found := kernel.SymbolTable().Called(name)
			if len(found) == 0 {
				return 0, fmt.Errorf("%s has no %s", kernel.Name(), name)
			}
			return found[0].Addr - kernel.Bounds().Start + kernelBase, nil
		}
	}
	far := asm.NewBuilder()
	emitCaller(far)
	tramp, err := far.Assemble(farBase)
	if err != nil {
		return nil, err
	}
	b := &code{Builder: asm.NewBuilder(), addr: addr}
	b.tracee = b.Label("tracee")
	main := b.Label("main")
	b.Func("_start")
	b.Emit(asm.MovImm(asm.X0, stackTop)...)
	b.Emit(asm.AddImm(asm.SP, asm.X0, 0), asm.BL(main), asm.AndImm(asm.X3, asm.X0, 0x7f))
	b.Emit(asm.MovImm(asm.X1, exitAt)...)
	b.Emit(asm.MovImm(asm.X2, applicationExit)...)
	b.Emit(asm.Stp(asm.X2, asm.X3, asm.Base(asm.X1)), asm.Movz(asm.X0, sysExit, 0), asm.Hlt(semihosting))
	b.EndFunc()
	b.Align(16)
	b.Bind(main)
	b.Emit(asm.MovImm(asm.X0, countAt)...)
	b.Emit(
		asm.Ldr(asm.X0, asm.Base(asm.X0)),
		asm.Stp(asm.FP, asm.LR, asm.Pre(asm.SP, -96)), asm.Stp(asm.X19, asm.X20, asm.Off(asm.SP, 16)), asm.Stp(asm.X21, asm.X22, asm.Off(asm.SP, 32)),
		asm.Mov(asm.X20, asm.X0), asm.Mov(asm.X22, asm.XZR),
	)
	b.Emit(asm.MovImm(asm.X21, buffersAt)...)
	if err := w.emit(b); err != nil {
		return nil, err
	}
	b.Emit(asm.Ldp(asm.X21, asm.X22, asm.Off(asm.SP, 32)), asm.Ldp(asm.X19, asm.X20, asm.Off(asm.SP, 16)), asm.Ldp(asm.FP, asm.LR, asm.Post(asm.SP, 96)), asm.Ret())
	tracee := emitTracee(b)
	text, err := b.Assemble(textBase)
	if err != nil {
		return nil, err
	}
	p.start, _ = text.Addr("_start")
	p.main, _ = text.Addr("main")
	tracer, _ := text.Addr(tracee)
	data := make([]byte, dataLen)
	binary.LittleEndian.PutUint64(data[opsAt-dataBase:], tracer)
	for i := range data[buffersAt-dataBase : buffersAt-dataBase+bufferLen] {
		data[buffersAt-dataBase+i] = byte(i * i >> 3)
	}
	p.segments = append(p.segments,
		segment{textBase, uint64(len(text.Code)), text.Code, emu.Read | emu.Exec},
		segment{farBase, uint64(len(tramp.Code)), tramp.Code, emu.Read | emu.Exec},
		segment{dataBase, dataLen, data, emu.Read | emu.Write},
	)
	return p, nil
}

// The program exits by Arm's semihosting, which both simulators and qemu-aarch64 have: SYS_EXIT, and a reason with the status.
const (
	semihosting     = 0xf000
	sysExit         = 0x18
	applicationExit = 0x20026
)

// kernelSegment is a kernel's text and read-only data, moved. Its code finds both by distance. Three registers that a program has
// not, or not everywhere, are replaced, each by an instruction of the same length: SP_EL0 by the address of a page, DCZID_EL0
// by a value that says that DC ZVA is not to be used.
func kernelSegment(img *kernelimage.Image) (segment, error) {
	const (
		spEL0, dczid = 0xd5384100, 0xd53b00e0 // MRS, less its register
		noZVA        = 0x10
	)
	s := segment{addr: kernelBase, perm: emu.Read | emu.Exec}
	for _, part := range img.Segments()[:2] {
		b, err := part.Bytes()
		if err != nil {
			return s, err
		}
		s.data = append(s.data, b...)
	}
	s.size = uint64(len(s.data))
	text := img.Text()[0]
	for at := text.Start - img.Bounds().Start; at < text.End-img.Bounds().Start; at += 4 {
		w := binary.LittleEndian.Uint32(s.data[at:])
		rd := w & 31
		switch w &^ 31 {
		case spEL0: // ADRP
			pages := (taskAt - (kernelBase+int64(at))&^0xfff) >> 12
			w = 0x90000000 | uint32(pages&3)<<29 | uint32(pages>>2&0x7ffff)<<5 | rd
		case dczid: // MOVZ
			w = 0xd2800000 | noZVA<<5 | rd
		default:
			continue
		}
		binary.LittleEndian.PutUint32(s.data[at:], w)
	}
	return s, nil
}

// write writes the program as a static ELF file. It returns where the count is in it. Each segment is a section too, which
// is what gdb's simulator loads.
func (p *program) write(path string) (countOff int64, err error) {
	const page = 0x1000
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT), Entry: p.start,
		Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: uint16(len(p.segments)),
	}
	off := uint64(page)
	for _, s := range p.segments {
		off += uint64(len(s.data)+page-1) &^ (page - 1)
	}
	const names = "\x00.load\x00.shstrtab\x00"
	header.Shoff, header.Shentsize, header.Shnum, header.Shstrndx = off+page, 64, uint16(len(p.segments)+2), uint16(len(p.segments)+1)
	var head, body, sections bytes.Buffer
	_ = binary.Write(&head, binary.LittleEndian, &header)
	_ = binary.Write(&sections, binary.LittleEndian, &elf.Section64{})
	end := off
	off = page
	for _, s := range p.segments {
		flags := elf.PF_R
		if s.perm&emu.Exec != 0 {
			flags |= elf.PF_X
		}
		if s.perm&emu.Write != 0 {
			flags |= elf.PF_W
		}
		_ = binary.Write(&head, binary.LittleEndian, &elf.Prog64{
			Type: uint32(elf.PT_LOAD), Flags: uint32(flags), Off: off, Vaddr: s.addr, Paddr: s.addr, Filesz: uint64(len(s.data)), Memsz: s.size, Align: page,
		})
		kind := elf.SHF_ALLOC
		if s.perm&emu.Exec != 0 {
			kind |= elf.SHF_EXECINSTR
		}
		if s.perm&emu.Write != 0 {
			kind |= elf.SHF_WRITE
		}
		_ = binary.Write(&sections, binary.LittleEndian, &elf.Section64{
			Name: 1, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(kind), Addr: s.addr, Off: off, Size: uint64(len(s.data)), Addralign: page,
		})
		if s.addr == dataBase {
			countOff = int64(off + countAt - dataBase)
		}
		body.Write(s.data)
		body.Write(make([]byte, -len(s.data)&(page-1)))
		off += uint64(len(s.data)+page-1) &^ (page - 1)
	}
	_ = binary.Write(&sections, binary.LittleEndian, &elf.Section64{
		Name: uint32(len("\x00.load\x00")), Type: uint32(elf.SHT_STRTAB), Off: end, Size: uint64(len(names)), Addralign: 1,
	})
	head.Write(make([]byte, page-head.Len()))
	body.WriteString(names)
	body.Write(make([]byte, page-len(names)))
	body.Write(sections.Bytes())
	return countOff, os.WriteFile(path, append(head.Bytes(), body.Bytes()...), 0o755)
}
