package difftest

import (
	"encoding/binary"
	"math/rand/v2"
)

// source is where every choice of the generator comes from: a random number
// generator, or the bytes that a fuzzer offers.
type source struct{ rng rand.Source }

func newSource(seed, stream uint64) *source { return &source{rand.NewPCG(seed, stream)} }

func (s *source) uint64() uint64 { return s.rng.Uint64() }
func (s *source) uint32() uint32 { return uint32(s.rng.Uint64() >> 32) }

// n is in [0, n).
func (s *source) n(n int) int { return int(uint64(s.uint32()) * uint64(n) >> 32) }

// one in n.
func (s *source) one(n int) bool { return s.n(n) == 0 }

func pick[T any](s *source, of []T) T { return of[s.n(len(of))] }

// byteSource takes choices from bytes; after them come zeros, so that a fuzzer
// can shorten an input.
type byteSource struct{ data []byte }

func (b *byteSource) Uint64() uint64 {
	var buf [8]byte
	b.data = b.data[copy(buf[:], b.data):]
	return binary.BigEndian.Uint64(buf[:])
}
