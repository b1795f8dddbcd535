package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"callops/kernelimage"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("peers: ")
	image := flag.String("image", "", "the kernel whose functions are run: 6.12 of `make kernels` if it is not given")
	simulator := flag.String("gdbsim", "", "gdb's simulator for arm64, aarch64-elf's run")
	rounds := flag.Int("rounds", 9, "how often each peer runs each program, taking turns")
	least := flag.Duration("time", 300*time.Millisecond, "CPU time of the longer of two runs, at least")
	only := flag.String("workload", "", "the workloads whose names begin so")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *image, *simulator, *only, max(*rounds, 1), *least); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, image, simulator, only string, rounds int, least time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "callops-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kernel, err := openKernel(ctx, image)
	if err != nil {
		return err
	}
	defer kernel.Close()
	list, absent := peers(dir, simulator)
	fmt.Fprintf(out, "%s, %d CPUs; kernel: %s. CPU time, %d rounds.\n\n", machine(), runtime.NumCPU(), kernel.Name(), rounds)
	fmt.Fprint(out, "| workload | peer | ns per instruction: median | least to most | MIPS | callops takes, of its time |\n|---|---|---:|---:|---:|---:|\n")
	for i := range workloads {
		w := &workloads[i]
		if !strings.HasPrefix(w.name, only) {
			continue
		}
		p, err := newProgram(w, kernel)
		if err != nil {
			return err
		}
		all, err := measure(ctx, w, p, list, rounds, least, dir)
		if err != nil {
			return err
		}
		printRows(out, w, all)
	}
	for _, what := range absent {
		fmt.Fprintf(out, "\nNot here: %s.\n", what)
	}
	return nil
}

func printRows(out io.Writer, w *workload, all []*contender) {
	name := w.name
	if w.loop != 0 {
		name += fmt.Sprintf(", %d instructions", w.loop)
	}
	_, ours, _ := spreadOf(all[0])
	for _, c := range all {
		if c.err != nil {
			fmt.Fprintf(out, "| %s | %s | | | | does not run: %s |\n", name, c.name, strings.ReplaceAll(c.err.Error(), "|", "/"))
		} else {
			least, median, most := c.spread()
			fmt.Fprintf(out, "| %s | %s | %.2f | %.2f to %.2f | %.0f | %.2f |\n", name, c.name, median, least, most, 1000/median, ours/median)
		}
		name = ""
	}
}

// spreadOf is spread for one that may be out.
func spreadOf(c *contender) (least, median, most float64) {
	if c.err != nil {
		return 0, 0, 0
	}
	return c.spread()
}

// openKernel opens a kernel's file: the newest 6.12 that was downloaded, if path is "".
func openKernel(ctx context.Context, path string) (*kernelimage.Image, error) {
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		pattern := filepath.Join(cache, "callops/kernels/linux-image-6.12.*/boot/vmlinuz-*")
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("no kernel at %s: make kernels downloads one", pattern)
		}
		path = found[len(found)-1]
	}
	return kernelimage.Open(ctx, path, nil)
}

// machine is the processor's name, where the host tells it.
func machine() string {
	f, err := os.Open("/proc/cpuinfo")
	if err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			if name, is := strings.CutPrefix(s.Text(), "model name"); is {
				return strings.Trim(name, "\t: ")
			}
		}
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}
