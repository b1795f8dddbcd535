package gdb_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/gdb"
	"callops/machine"
)

// served is a debugger connected through the host's loopback to a guest that calls a function, and stands at its entry.
func served(b *testing.B, d *debugged, body func() error) *peer {
	b.Helper()
	l, err := gdb.Listen(b.Context(), "127.0.0.1:0", false)
	require.NoError(b, err)
	d.stub.Attach(d.Machine)
	go func() { _ = d.stub.Serve(l) }()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = body() // it is killed
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	p := newPeer(b, conn)
	b.Cleanup(func() {
		require.Equal(b, "OK", p.ask("vKill;1"))
		<-ended
		require.NoError(b, conn.Close())
	})
	require.Equal(b, "OK", p.ask("QStartNoAckMode"))
	require.Equal(b, "T05thread:1;", p.ask("?"))
	return p
}

func BenchmarkStep(b *testing.B) {
	d := newDebugged(b, machine.Config{})
	p := served(b, d, d.call(832040, "fib", 30))
	for b.Loop() {
		require.Equal(b, "T05thread:1;", p.ask("vCont;s:1"))
	}
}

// The guest stands at the end of 11 million instructions.
func BenchmarkBack(b *testing.B) {
	d := newDebugged(b, machine.Config{})
	p := served(b, d, d.call(317811, "fib", 28))
	end := func(b *testing.B) {
		require.Equal(b, "OK", p.ask("Z0,ffffa00000000000,4"))
		require.Equal(b, "T05thread:1;swbreak:;", p.ask("vCont;c"))
		require.Equal(b, "OK", p.ask("z0,ffffa00000000000,4"))
	}
	end(b)
	b.Run("step", func(b *testing.B) {
		for b.Loop() {
			require.Equal(b, "T05thread:1;", p.ask("bs"))
		}
		end(b)
	})
	b.Run("to the beginning", func(b *testing.B) {
		for b.Loop() {
			require.Equal(b, "T05thread:1;replaylog:begin;", p.ask("bc"))
			b.StopTimer()
			end(b)
			b.StartTimer()
		}
	})
}

// The ops' literal is loaded for each call, from the page that is watched.
func BenchmarkWatch(b *testing.B) {
	for _, r := range []struct{ name, kind string }{{"nothing", ""}, {"stores to the literal", "Z2,%s,8"}, {"accesses of a literal beside", "Z4,%s,8"}} {
		b.Run(r.name, func(b *testing.B) {
			d := newDebugged(b, machine.Config{})
			d.register("mine", "fib")
			literal := d.literal(map[bool]string{true: "gcd", false: "fib"}[r.kind == "Z4,%s,8"])
			p := served(b, d, func() error {
				for {
					if err := d.call(6765, "fib", 20)(); err != nil {
						return err
					}
				}
			})
			if r.kind != "" {
				require.Equal(b, "OK", p.ask(fmt.Sprintf(r.kind, literal[2:])))
			}
			require.Equal(b, "OK", p.ask("Z0,ffffa00000000000,4"))
			count := d.Kernel.CPUs[0].Count()
			for b.Loop() {
				require.Equal(b, "T05thread:1;swbreak:;", p.ask("vCont;c"))
				require.Equal(b, "T05thread:1;", p.ask("vCont;s:1"))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(d.Kernel.CPUs[0].Count()-count), "ns/insn")
		})
	}
}
