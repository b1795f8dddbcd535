package board

// Registers of the UART, a PL011 (ARM DDI 0183) that sends at once and receives nothing.
const (
	uartData  = 0x00
	uartFlags = 0x18

	uartEmpty = 1<<7 | 1<<4 // FR: both FIFOs are empty
)

// maxLine bounds a line of the console that the kernel does not end.
const maxLine = 4096

// uart is the console.
type uart struct {
	line []byte
	emit func(line string) // given each line, without its end
}

func (u *uart) read(off uint64) uint32 {
	if off == uartFlags {
		return uartEmpty
	}
	return 0
}

func (u *uart) write(off uint64, v uint32) {
	if off != uartData {
		return
	}
	switch b := byte(v); {
	case b == '\r':
	case b == '\n' || len(u.line) == maxLine:
		u.emit(string(u.line))
		u.line = u.line[:0]
	default:
		u.line = append(u.line, b)
	}
}
