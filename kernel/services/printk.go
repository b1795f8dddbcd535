package services

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"callops/emu"
)

// Line is a line of the kernel's log.
type Line struct {
	Level int // KERN_EMERG 0 to KERN_DEBUG 7
	CPU   int
	Count uint64 // instructions that the CPU had executed
	Text  string // as the guest wrote it, without its newline
}

// What printk has of its own (include/linux/kern_levels.h,
// kernel/printk/printk_ringbuffer.h).
const (
	soh           = '\x01' // begins a level
	levelDefault  = -1     // LOGLEVEL_DEFAULT; LOGLEVEL_SCHED, -2, means the same
	messageLevel  = 4      // MESSAGE_LOGLEVEL_DEFAULT, where console_printk is not known
	recordMax     = 1024   // PRINTKRB_RECORD_MAX, with the NUL
	messageOffset = 4      // of default_message_loglevel in console_printk
)

// log is the kernel's log, as far as its last line, which may go on.
type log struct {
	emit func(Line)

	mu      sync.Mutex // guards what follows, and has one line emitted at a time
	pending Line
	open    bool // pending is a line without its newline
}

// printk is vprintk_emit: every printk ends there. The kernel's own vsnprintf
// writes the text, with all that its formats can say.
func printk(s *Services, r Replaced) emu.GateFunc {
	format, err := s.k.Symbols.Lookup("vsnprintf")
	if err != nil {
		return nil
	}
	level := s.messageLevel()
	return func(cpu emu.CPU, args [8]uint64) (uint64, error) {
		text, err := s.format(cpu, format.Addr, args[3], args[4])
		if err != nil {
			return r.leave(cpu, err)
		}
		return uint64(s.log.store(cpu.ID(), cpu.Count(), int32(args[0]), int(int32(args[1])), level, args[2] != 0, text)), nil
	}
}

// messageLevel is default_message_loglevel.
func (s *Services) messageLevel() int {
	sym, err := s.k.Symbols.Lookup("console_printk")
	if err != nil {
		return messageLevel
	}
	level, err := s.k.Mem.Load32(sym.Addr + messageOffset)
	if err != nil || level > 7 {
		return messageLevel
	}
	return int(level)
}

// format has the kernel's vsnprintf at fn write a text. The buffer is on the stack
// of the task, below what is in use: what vsnprintf calls may printk itself.
func (s *Services) format(cpu emu.CPU, fn, format, args uint64) (string, error) {
	regs := cpu.Regs()
	sp := regs.SP
	defer func() { regs.SP = sp }()
	regs.SP = (sp - recordMax) &^ 15
	buf := regs.SP
	res, err := s.k.Caller().Call(context.Background(), cpu, nil, fn, buf, recordMax, format, args)
	if err != nil {
		return "", fmt.Errorf("vsnprintf: %w", err)
	}
	text := make([]byte, min(res.X0&0xffff_ffff, recordMax-1))
	if err := s.k.Mem.Read(buf, text); err != nil {
		return "", err
	}
	return string(text), nil
}

// store is vprintk_store. It returns how long the text is without what says its
// level and without its last newline.
func (l *log) store(cpu int, count uint64, facility int32, level, byDefault int, dev bool, text string) int {
	cont := false
	for facility == 0 && len(text) >= 2 && text[0] == soh {
		switch c := text[1]; {
		case c >= '0' && c <= '7' && level < 0:
			level = int(c - '0')
		case c >= '0' && c <= '7':
		case c == 'c':
			cont = true
		default:
			facility = -1 // no level: part of the text
			continue
		}
		text = text[2:]
	}
	if level < 0 {
		level = byDefault
	}
	text, ended := strings.CutSuffix(text, "\n")
	n := len(text)

	l.mu.Lock()
	defer l.mu.Unlock()
	if cont && l.open && l.pending.CPU == cpu && len(l.pending.Text)+len(text) < recordMax {
		l.pending.Text += text
	} else {
		l.flush()
		l.pending, l.open = Line{Level: level, CPU: cpu, Count: count, Text: text}, true
	}
	if ended || dev {
		l.flush()
	}
	return n
}

// flush ends the last line. mu is held.
func (l *log) flush() {
	if !l.open {
		return
	}
	l.open = false
	if l.emit == nil {
		return
	}
	for text := range strings.SplitSeq(l.pending.Text, "\n") {
		l.emit(Line{l.pending.Level, l.pending.CPU, l.pending.Count, text})
	}
}

// Flush ends the line that has no newline yet. The kernel itself does so when the
// next one begins.
func (s *Services) Flush() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.flush()
}
