package services

import (
	"bytes"
	"crypto/aes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20"
)

var cryptography = []trial{
	{"sha256", "64 KiB", "crypto/sha256", func(g *guest) {
		for _, n := range lengths {
			out := g.buf(32)
			g.do(g.input, uint64(n), out)
			want := sha256.Sum256(g.data[:n])
			g.equal(want[:], g.read(out, 32))
		}
	}},
	{"sha1_transform", "one block", "crypto/sha1", func(g *guest) {
		state, block := g.buf(20), make([]byte, 64)
		copy(block, "abc\x80")
		block[63] = 24 // bits
		g.of("sha1_init", state)
		g.do(state, g.bytes(block), g.buf(64))
		var got []byte
		for b := g.read(state, 20); len(b) > 0; b = b[4:] {
			got = binary.BigEndian.AppendUint32(got, binary.LittleEndian.Uint32(b))
		}
		want := sha1.Sum([]byte("abc"))
		g.equal(want[:], got)
	}},
	{"sha1_init", "", "FIPS 180", func(g *guest) {
		state := g.buf(20)
		g.do(state)
		g.equal(uint64(0xefcdab8967452301), g.u64(state))
	}},
	{"chacha_block_generic", "20 rounds, one block", "x/crypto/chacha20", func(g *guest) {
		key, nonce := bytes.Repeat([]byte("kK"), 16), []byte("twelve bytes")
		state := append([]byte("expand 32-byte k"), key...)
		state = append(append(state, 0, 0, 0, 0), nonce...)
		at, out := g.bytes(state), g.buf(64)
		var got []byte
		for range 3 {
			g.do(at, out, 20)
			got = append(got, g.read(out, 64)...)
		}
		c, err := chacha20.NewUnauthenticatedCipher(key, nonce)
		require.NoError(g.t, err)
		want := make([]byte, len(got))
		c.XORKeyStream(want, want)
		g.equal(want, got)
	}},
	{"hchacha_block_generic", "20 rounds", "x/crypto/chacha20", func(g *guest) {
		key, nonce := bytes.Repeat([]byte("kK"), 16), []byte("sixteen bytes !!")
		out := g.buf(32)
		g.do(g.bytes(slices.Concat([]byte("expand 32-byte k"), key, nonce)), out, 20)
		want, err := chacha20.HChaCha20(key, nonce)
		require.NoError(g.t, err)
		g.equal(want, g.read(out, 32))
	}},
	{"aes_encrypt", "one block, 256-bit key", "crypto/aes", aesBlock},
	{"aes_decrypt", "one block, 256-bit key", "crypto/aes", aesBlock},
	{"aes_expandkey", "256-bit key", "crypto/aes", aesBlock},
	{"blake2s_update", "64 KiB", "x/crypto/blake2s", blake2sSum},
	{"blake2s_final", "after 64 KiB", "x/crypto/blake2s", blake2sSum},
}

func aesBlock(g *guest) {
	for _, n := range []int{32, 16, 24} {
		key, ctx, out, back := g.data[100:100+n], g.buf(1024), g.buf(16), g.buf(16)
		require.Zero(g.t, g.of("aes_expandkey", ctx, g.bytes(key), uint64(n)))
		g.of("aes_encrypt", ctx, out, g.input)
		c, err := aes.NewCipher(key)
		require.NoError(g.t, err)
		want := make([]byte, 16)
		c.Encrypt(want, g.data)
		g.equal(want, g.read(out, 16))
		g.of("aes_decrypt", ctx, back, out)
		g.equal(g.data[:16], g.read(back, 16))
	}
}

// blake2sSum sets up a struct blake2s_state as blake2s_init, an inline
// function, does.
func blake2sSum(g *guest) {
	iv := []uint32{0x6a09e667 ^ 0x01010000 ^ 32, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
	state := make([]byte, 128)
	for i, v := range iv {
		binary.LittleEndian.PutUint32(state[4*i:], v)
	}
	binary.LittleEndian.PutUint32(state[116:], 32) // outlen, after h, t, f, buf and buflen
	at, out := g.bytes(state), g.buf(32)
	g.of("blake2s_update", at, g.input, uint64(len(g.data)))
	g.of("blake2s_final", at, out)
	want := blake2s.Sum256(g.data)
	g.equal(want[:], g.read(out, 32))
}
