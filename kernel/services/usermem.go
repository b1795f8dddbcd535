package services

import (
	"encoding/binary"

	"callops/emu"
	"callops/kernelimage"
)

// guestEINVAL is EINVAL of the guest.
const guestEINVAL = 22

// traceGetUser makes trace_get_user (kernel/trace/trace.c), through which tracefs files read what is
// written to them. There is no user memory: the buffer is the kernel's.
func traceGetUser(s *Services, r Replaced) emu.GateFunc {
	if s.k.Layout.Core == (kernelimage.CoreLayout{}) {
		return nil
	}
	return serving(func(c *request) (uint64, error) {
		p, err := c.parser(c.args[0])
		if err != nil {
			return 0, err
		}
		text := make([]byte, min(c.args[2], 1<<20))
		if err := c.s.k.Mem.Read(c.args[1], text); err != nil {
			return negative(guestEFAULT), nil
		}
		pos, err := c.s.k.Mem.Load64(c.args[3])
		if err != nil {
			return 0, err
		}
		if pos == 0 {
			p.cont, p.word = false, nil
		}
		n, ok := p.read(text)
		if !ok {
			return negative(guestEINVAL), p.fail()
		}
		if err := c.s.k.Mem.Store64(c.args[3], pos+uint64(n)); err != nil {
			return 0, err
		}
		return uint64(n), p.store()
	})(s, r)
}

// parser is a struct trace_parser: the word that was read so far.
type parser struct {
	c    *request
	at   uint64
	room int
	cont bool // the word goes on in the next write
	word []byte
}

func (c *request) parser(at uint64) (*parser, error) {
	l := &c.s.k.Layout.Core.Parser
	b := make([]byte, l.Size)
	if err := c.s.k.Mem.Read(at, b); err != nil {
		return nil, err
	}
	p := &parser{c: c, at: at, room: int(binary.LittleEndian.Uint32(b[l.Room:])), cont: b[l.Cont] != 0}
	p.word = make([]byte, min(binary.LittleEndian.Uint32(b[l.Idx:]), binary.LittleEndian.Uint32(b[l.Room:])))
	return p, c.s.k.Mem.Read(binary.LittleEndian.Uint64(b[l.Buffer:]), p.word)
}

// read takes the next word of text, and reports how many bytes that took. ok is false
// where the word is too long.
func (p *parser) read(text []byte) (n int, ok bool) {
	if !p.cont {
		p.word = nil
		for n < len(text) && isSpace(text[n]) {
			n++
		}
		if n == len(text) || text[n] == 0 {
			return min(n+1, len(text)), true
		}
	}
	for p.cont = true; n < len(text); n++ {
		if isSpace(text[n]) || text[n] == 0 {
			p.cont = false
			return n + 1, true
		}
		if len(p.word) >= p.room-1 {
			return n, false
		}
		p.word = append(p.word, text[n])
	}
	return n, true
}

// fail has the word not be taken (trace_parser_fail).
func (p *parser) fail() error {
	if off := p.c.s.k.Layout.Core.Parser.Fail; off != kernelimage.Absent {
		return p.c.s.k.Mem.Write(p.at+uint64(off), []byte{1})
	}
	return p.store()
}

// isSpace is isspace (lib/ctype.c).
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0xa0 }

func (p *parser) store() error {
	l, mem := &p.c.s.k.Layout.Core.Parser, p.c.s.k.Mem
	cont := byte(0)
	if p.cont {
		cont = 1
	}
	if err := mem.Write(p.at+uint64(l.Cont), []byte{cont}); err != nil {
		return err
	}
	if err := mem.Store32(p.at+uint64(l.Idx), uint32(len(p.word))); err != nil || p.room == 0 {
		return err
	}
	buf, err := mem.Load64(p.at + uint64(l.Buffer))
	if err != nil {
		return err
	}
	return mem.Write(buf, append(p.word, 0)[:min(len(p.word)+1, p.room)])
}
