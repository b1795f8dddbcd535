package trace

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/trampolines"
)

// Profile is the function profiler (CONFIG_FUNCTION_PROFILER, kernel/trace/ftrace.c), in machine code: a user of fgraph that adds up, on each
// CPU, how often functions were called and what they took.
type Profile struct {
	// Ops is registered with [ftrace.Registry.RegisterGraph]. Its filters say which functions are profiled.
	Ops *ftrace.GraphOps

	k      *kernel.Kernel
	tables uint64
	stride uint64
}

// Profiled is what a CPU spent in a function, with what that called.
type Profiled struct {
	CPU      int
	IP       uint64
	Hits     uint64 // calls
	Time     uint64 // instructions of all that returned
	Average  uint64
	Variance uint64 // s^2 of the calls' times; 0 of fewer than two
}

// NewProfile makes a profiler of the functions that ftrace knows now. EOPNOTSUPP where the kernel's tasks have no
// return stack.
func NewProfile(k *kernel.Kernel, r *ftrace.Registry, name string) (*Profile, error) {
	code := r.Code()
	if code.ProfileEntry == 0 {
		return nil, fmt.Errorf("profile %s: tasks have no return stack: %w", name, errno.EOPNOTSUPP)
	}
	records := r.Records()
	slots := uint64(1) << bits.Len(uint(2*len(records)))
	p := &Profile{k: k, stride: slots << trampolines.ProfileShift}
	at, err := k.AllocData("function_profile", trampolines.ProfileTables+p.stride*uint64(len(k.CPUs)), emu.Read|emu.Write)
	if err != nil {
		return nil, err
	}
	p.tables = at + trampolines.ProfileTables
	table := make([]byte, p.stride)
	for _, rec := range records {
		i := rec.IP >> 2 & (slots - 1)
		for binary.LittleEndian.Uint64(table[i<<trampolines.ProfileShift:]) != 0 {
			i = (i + 1) & (slots - 1)
		}
		binary.LittleEndian.PutUint64(table[i<<trampolines.ProfileShift:], rec.IP)
	}
	for cpu := range k.CPUs {
		if err := k.Mem.Write(p.tables+p.stride*uint64(cpu), table); err != nil {
			return nil, err
		}
	}
	if err := k.Mem.Store64(at+trampolines.ProfileMask, slots-1); err != nil {
		return nil, err
	}
	if err := k.Mem.Store64(at+trampolines.ProfileStride, p.stride); err != nil {
		return nil, err
	}
	p.Ops, err = r.NewGraphOps(name, ftrace.GraphHandlers{Entry: code.ProfileEntry, Return: code.ProfileReturn, Private: at})
	return p, err
}

// Read returns the functions that were called, CPU by CPU, those that took the most first (function_stat_cmp).
func (p *Profile) Read() ([]Profiled, error) {
	var all []Profiled
	table := make([]byte, p.stride)
	for cpu := range p.k.CPUs {
		if err := p.k.Mem.Read(p.tables+p.stride*uint64(cpu), table); err != nil {
			return nil, err
		}
		for e := range slices.Chunk(table, 1<<trampolines.ProfileShift) {
			word := func(off int) uint64 { return binary.LittleEndian.Uint64(e[off:]) }
			if hits := word(trampolines.ProfileHits); word(trampolines.ProfileIP) != 0 && hits > 0 {
				all = append(all, profiled(cpu, word(trampolines.ProfileIP), hits, word(trampolines.ProfileTime), word(trampolines.ProfileSquares)))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Profiled) int {
		return cmp.Or(cmp.Compare(a.CPU, b.CPU), cmp.Compare(b.Time, a.Time), cmp.Compare(b.Hits, a.Hits), cmp.Compare(a.IP, b.IP))
	})
	return all, nil
}

// profiled computes what function_stat_show does.
func profiled(cpu int, ip, n, time, squares uint64) Profiled {
	p := Profiled{CPU: cpu, IP: ip, Hits: n, Time: time, Average: time / n}
	if n > 1 {
		// s^2 = (n * sum of x^2 - (sum of x)^2) / (n * (n-1))
		hi, lo := bits.Mul64(n, squares)
		thi, tlo := bits.Mul64(time, time)
		lo, borrow := bits.Sub64(lo, tlo, 0)
		hi, _ = bits.Sub64(hi, thi, borrow)
		if d := n * (n - 1); hi < d {
			p.Variance, _ = bits.Div64(hi, lo, d)
		}
	}
	return p
}

// WriteProfile writes the functions as Linux's trace_stat/function0 has them.
//
// Differs: times are instructions, the variance their square, and each CPU's functions follow a line with its number.
func WriteProfile(w io.Writer, functions []Profiled, s *Symbols) error {
	out := bufio.NewWriter(w)
	for i, f := range functions {
		if i == 0 || functions[i-1].CPU != f.CPU {
			fmt.Fprintf(out, "# CPU %d, times in instructions\n", f.CPU)
			fmt.Fprint(out, "  Function                               Hit    Time            Avg             s^2\n")
			fmt.Fprint(out, "  --------                               ---    ----            ---             ---\n")
		}
		fmt.Fprintf(out, "  %-30.30s  %10d    %-12d    %-12d    %d\n", s.Name(f.IP), f.Hits, f.Time, f.Average, f.Variance)
	}
	return out.Flush()
}

// ProfileJSON is the functions as encoding/json takes them.
func ProfileJSON(functions []Profiled, s *Symbols) any {
	type function struct {
		CPU      int    `json:"cpu"`
		IP       string `json:"ip"`
		Function string `json:"function"`
		Hits     uint64 `json:"hits"`
		Time     uint64 `json:"time"`
		Average  uint64 `json:"average"`
		Variance uint64 `json:"variance"`
	}
	list := make([]function, len(functions))
	for i, f := range functions {
		list[i] = function{f.CPU, hex(f.IP), s.Name(f.IP), f.Hits, f.Time, f.Average, f.Variance}
	}
	return list
}
