// Package edits lets fuzz targets change a good file in a few places.
//
// A fuzzer that mutates the file itself spends minutes on minimising each finding of
// thousands of bytes, because it tries to remove every part, and gets nothing else
// done. Here its input is some ten bytes, and it also finds changes deep in an
// otherwise good file sooner.
package edits

// An edit is a place of three bytes, little-endian, a byte that tells how many
// bytes follow, and these. With cut set in it the file ends at the place.
const (
	placeSize = 3
	mostBytes = 8
	cut       = 1 << 7

	mostEdits = 8 // more are not made, so that inputs do not grow
)

// At is the edit that replaces what stands at a place by up to 8 bytes.
func At(place int, b ...byte) []byte {
	return append([]byte{byte(place), byte(place >> 8), byte(place >> 16), byte(len(b) - 1)}, b...)
}

// Cut is the edit after which the file ends at a place.
func Cut(place int) []byte {
	return []byte{byte(place), byte(place >> 8), byte(place >> 16), cut}
}

// Apply returns a copy of file with edits made. Places past its end wrap around,
// and what is too short for an edit is none.
func Apply(file, edits []byte) []byte {
	b := append([]byte(nil), file...)
	for range mostEdits {
		if len(edits) <= placeSize || len(b) == 0 {
			return b
		}
		at := (int(edits[0]) | int(edits[1])<<8 | int(edits[2])<<16) % len(b)
		n := edits[placeSize]
		edits = edits[placeSize+1:]
		if n&cut != 0 {
			b = b[:at:at]
			continue
		}
		size := min(int(n)%mostBytes+1, len(edits))
		copy(b[at:], edits[:size])
		edits = edits[size:]
	}
	return b
}
