// Command peers runs one static ELF program under callops and whatever else executes arm64 code on this host, and prints what an
// instruction takes under each: `make bench-peers`.
//
// The program is made of loops that are assembled here, and of functions of a Debian kernel, as its file has them. How many
// instructions a run has is counted by callops, in two runs of different lengths, and each peer's time is the difference of two
// such runs, so that its start is no part of it. It is CPU time. Peers take turns, round after round.
package main
