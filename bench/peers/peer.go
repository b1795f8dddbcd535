package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"callops/emu"
	"callops/emu/engines"
)

// result is what one run of a program gave.
type result struct {
	exit  uint8         // the low bits of what main returned, or what the process exited with
	count uint64        // instructions; 0 where the peer does not count
	cpu   time.Duration // CPU time, the start of a process with it
}

// peer executes programs.
type peer struct {
	name string
	// prepare readies a program for any number of runs. A nil run says that the peer can't.
	prepare func(p *program, dir string) (run func(ctx context.Context, n uint64) (result, error), err error)
}

// engine is one of callops' engines, in this process.
func engine(name string, open emu.NewEngine) peer {
	return peer{name, func(p *program, _ string) (func(context.Context, uint64) (result, error), error) {
		mem := emu.NewMemory()
		for _, s := range p.segments {
			size := (s.size + emu.PageSize - 1) &^ (emu.PageSize - 1)
			if _, err := mem.Map(fmt.Sprintf("%#x", s.addr), s.addr, size, s.perm); err != nil {
				return nil, err
			}
			if err := mem.Write(s.addr, s.data); err != nil {
				return nil, err
			}
		}
		e, err := open(mem)
		if err != nil {
			return nil, err
		}
		cpu, err := e.NewCPU(0)
		if err != nil {
			return nil, err
		}
		caller := emu.Caller{Gates: emu.NewGates()}
		return func(ctx context.Context, n uint64) (result, error) {
			if err := mem.Store64(countAt, n); err != nil {
				return result{}, err
			}
			cpu.Regs().SP = stackTop
			before := cpuTime()
			res, err := caller.Call(ctx, cpu, &emu.CallOptions{Budget: 1 << 50}, p.main)
			return result{uint8(res.X0 & 0x7f), res.Count, cpuTime() - before}, err
		}, nil
	}}
}

// command runs the program's file with a command, which gets its path as the last argument. Its exit status is main's result.
func command(name string, args ...string) peer {
	return peer{name, func(p *program, dir string) (func(context.Context, uint64) (result, error), error) {
		path := filepath.Join(dir, "program")
		_ = os.Remove(path) // who still runs it keeps it
		countOff, err := p.write(path)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, n uint64) (result, error) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return result{}, err
			}
			_, err = f.WriteAt(binary.LittleEndian.AppendUint64(nil, n), countOff)
			if err := errors.Join(err, f.Close()); err != nil {
				return result{}, err
			}
			c := exec.CommandContext(ctx, args[0], append(args[1:], path)...)
			out, err := c.CombinedOutput()
			var exited *exec.ExitError
			if err != nil && (!errors.As(err, &exited) || exited.ExitCode() < 0) {
				return result{}, fmt.Errorf("%s: %w: %s", name, err, lastLine(out))
			}
			return result{exit: uint8(c.ProcessState.ExitCode()), cpu: c.ProcessState.UserTime() + c.ProcessState.SystemTime()}, nil
		}, nil
	}}
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

//go:embed vixl/vixl.cc
var vixlSource []byte

// peers are those that there are on this host, callops first. simulator is gdb's, "" for none.
func peers(dir, simulator string) (list []peer, absent []string) {
	for _, e := range engines.All() {
		name := map[string]string{"interp": "callops"}[e.Name]
		if name == "" {
			name = "Unicorn"
		}
		list = append(list, engine(name, e.New))
	}
	if path, err := exec.LookPath("qemu-aarch64"); err == nil {
		// A CPU with LSE and without pointer authentication, which would cost it more than all else.
		list = append(list, command("qemu-aarch64 "+version(path, "--version"), path, "-cpu", "neoverse-n1"))
	} else {
		absent = append(absent, "qemu-aarch64 (package qemu-user)")
	}
	if vixl, err := buildVIXL(dir); err == nil {
		list = append(list, command("VIXL's simulator", vixl))
	} else {
		absent = append(absent, "VIXL (packages libvixl-dev and g++): "+err.Error())
	}
	if simulator != "" {
		list = append(list, command("gdb's simulator", simulator))
	} else {
		absent = append(absent, "gdb's simulator (-gdbsim, which .ci/gdbsim builds)")
	}
	return list, absent
}

var number = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// version is the first number that a program says.
func version(path, flag string) string {
	out, _ := exec.Command(path, flag).Output()
	return number.FindString(string(out))
}

// buildVIXL builds the program that loads an ELF file into VIXL's simulator.
func buildVIXL(dir string) (string, error) {
	source, path := filepath.Join(dir, "vixl.cc"), filepath.Join(dir, "vixl")
	if err := os.WriteFile(source, vixlSource, 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command("g++", "-O2", "-std=c++17", "-I/usr/include/vixl", "-DVIXL_INCLUDE_TARGET_AARCH64", "-DVIXL_INCLUDE_TARGET_A64", "-DVIXL_INCLUDE_SIMULATOR_AARCH64", "-DVIXL_CODE_BUFFER_MALLOC", "-o", path, source, "-lvixl").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, lastLine(out))
	}
	return path, nil
}
