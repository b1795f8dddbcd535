//go:build unix

package board

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

var (
	qemuProgram    = flag.String("qemu", "", "qemu-system-aarch64: TestBoot_BesideQEMU boots the kernels with it too")
	callopsProgram = flag.String("callops", "", "the command that TestBoot_BesideQEMU boots them with")
	logFolder      = flag.String("logs", "", "the folder that TestBoot_BesideQEMU leaves the consoles in")
)

// boot is what one boot took.
type boot struct {
	name         string
	instructions uint64 // 0: not known
	cpu, wall    time.Duration
	memory       int64 // bytes at most
	log          []string
}

func (b boot) String() string {
	count := "-"
	if b.instructions != 0 {
		count = fmt.Sprintf("%d M", b.instructions/1_000_000)
	}
	return fmt.Sprintf("%-22s %8s %6.2f s CPU %6.2f s %5d MB", b.name, count, b.cpu.Seconds(), b.wall.Seconds(), b.memory>>20)
}

// The same Image with the same command line, root file system and memory boots under QEMU and here. Each difference between
// the two consoles has a reason.
func TestBoot_BesideQEMU(t *testing.T) {
	if *qemuProgram == "" || *callopsProgram == "" {
		t.Skip("make qemu runs it")
	}
	for _, series := range []string{kernels.Linux61, kernels.Linux612, kernels.Linux7} {
		t.Run(series, func(t *testing.T) {
			image := kernels.Path(t, series)
			ours := boot{name: "callops"}
			cmd := exec.Command(*callopsProgram, "boot", "--image", image)
			var errOut bytes.Buffer
			cmd.Stderr = &errOut
			measure(t, &ours, cmd, nil)
			_, err := fmt.Sscanf(errOut.String(), "callops: booted in %d instructions", &ours.instructions)
			require.NoError(t, err)
			plain := boot{name: "QEMU"}
			measure(t, &plain, qemu(t, image), nil)
			counted := boot{name: "QEMU, -icount shift=0"}
			dir := t.TempDir()
			socket := filepath.Join(dir, "qmp")
			// What is recorded is counted. At the end QEMU waits for the question.
			cmd = qemu(t, image, "-icount", "shift=0,rr=record,rrfile="+filepath.Join(dir, "rr"), "-no-shutdown", "-qmp", "unix:"+socket+",server=on,wait=off")
			measure(t, &counted, cmd, func() { counted.instructions = askCount(t, socket) })
			for _, b := range []boot{ours, plain, counted} {
				t.Log(b)
			}
			t.Logf("callops' CPU time is %.2f of QEMU's, %.2f of QEMU's with -icount, and its instructions are %.2f of QEMU's",
				ours.cpu.Seconds()/plain.cpu.Seconds(), ours.cpu.Seconds()/counted.cpu.Seconds(), float64(ours.instructions)/float64(counted.instructions))
			keepLog(t, series, ours, counted)
			for _, d := range differences(ours.log, counted.log) {
				assert.True(t, expected(d), "no reason is known for %s", d)
			}
		})
	}
}

// qemu is a machine like the board.
func qemu(t *testing.T, image string, more ...string) *exec.Cmd {
	t.Helper()
	root := filepath.Join(t.TempDir(), "initramfs")
	require.NoError(t, os.WriteFile(root, initramfs(), 0o600))
	return exec.Command(*qemuProgram, append([]string{
		"-M", "virt,gic-version=2", "-cpu", "max,sve=off,pauth=off", "-m", strconv.Itoa(ramSize >> 20), "-smp", "1",
		"-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", image, "-initrd", root, "-append", commandLine(""),
	}, more...)...)
}

// lastLine is what a console ends with when nothing is left to run: QEMU has no host that stands in for /init.
const lastLine = "Run /init as init process"

// measure runs a command whose output is a console. atEnd is called when the last line has come.
func measure(t *testing.T, b *boot, cmd *exec.Cmd, atEnd func()) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, cmd.Start())
	ended := false
	for s := bufio.NewScanner(out); s.Scan(); {
		line := strings.TrimSuffix(s.Text(), "\r")
		if !ended {
			b.log = append(b.log, line)
		}
		if !ended && strings.HasSuffix(line, lastLine) {
			ended = true
			if atEnd != nil {
				atEnd()
			}
		}
	}
	require.NoError(t, cmd.Wait())
	b.wall = time.Since(began)
	b.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	b.memory = maxMemory(cmd.ProcessState)
	require.True(t, ended, "the kernel has not booted: %s", strings.Join(b.log, "\n"))
}

// maxMemory is the most that a process had in memory, in bytes.
func maxMemory(p *os.ProcessState) int64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	switch {
	case !ok:
		return 0
	case runtime.GOOS == "darwin":
		return usage.Maxrss
	}
	return usage.Maxrss << 10
}

// askCount waits until QEMU's machine has halted, asks how many instructions it has executed, and ends it.
func askCount(t *testing.T, socket string) (n uint64) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	d := json.NewDecoder(c)
	ask := func(request string) (text string) {
		_, err := io.WriteString(c, request+"\n")
		require.NoError(t, err)
		for {
			var answer struct {
				Return json.RawMessage
				Error  json.RawMessage
			}
			require.NoError(t, d.Decode(&answer))
			require.Empty(t, answer.Error)
			if answer.Return != nil {
				return string(answer.Return)
			}
		}
	}
	ask(`{"execute": "qmp_capabilities"}`)
	for strings.Contains(ask(`{"execute": "query-status"}`), `"running": true`) {
		time.Sleep(10 * time.Millisecond)
	}
	text := ask(`{"execute": "human-monitor-command", "arguments": {"command-line": "info replay"}}`)
	count := regexp.MustCompile(`[Ii]nstruction count = (\d+)`).FindStringSubmatch(text)
	require.NotNil(t, count, text)
	n, err = strconv.ParseUint(count[1], 10, 64)
	require.NoError(t, err)
	ask(`{"execute": "quit"}`)
	return n
}

func keepLog(t *testing.T, series string, list ...boot) {
	t.Helper()
	if *logFolder == "" {
		return
	}
	for _, b := range list {
		name, _, _ := strings.Cut(b.name, ",")
		require.NoError(t, os.WriteFile(filepath.Join(*logFolder, series+"-"+name+".log"), []byte(strings.Join(b.log, "\n")+"\n"), 0o600))
	}
}

// difference is a line that one of the consoles has.
type difference struct {
	qemu bool
	line string
}

func (d difference) String() string {
	if d.qemu {
		return "QEMU's " + strconv.Quote(d.line)
	}
	return "the board's " + strconv.Quote(d.line)
}

var stamp = regexp.MustCompile(`^\[ *\d+\.\d+\] `)

// differences are the lines that only one console has, without their time stamps. QEMU's second console on the same
// UART repeats lines.
func differences(ours, theirs []string) (list []difference) {
	have := [2]map[string]bool{{}, {}}
	for i, log := range [2][]string{ours, theirs} {
		for _, line := range log {
			have[i][stamp.ReplaceAllString(line, "")] = true
		}
	}
	for i, log := range [2][]string{ours, theirs} {
		told := make(map[string]bool)
		for _, line := range log {
			line = stamp.ReplaceAllString(line, "")
			if !have[1-i][line] && !told[line] {
				list = append(list, difference{i == 1, line})
				told[line] = true
			}
		}
	}
	return list
}

// reasons are the lines that differ; docs/boot.md has the table.
var reasons = regexp.MustCompile(`^(` + strings.Join([]string{
	// the device tree
	`Machine model: `, `NODE_DATA\(0\) allocated`, `NUMA: NODE_DATA `, `software IO TLB: mapped`, `Memory: \d+K/262144K available`, `.*psci: PSCIv1\.[01] detected`,
	// devices that the board has not
	`GICv2m: `, `9000000\.pl011: `, `printk: (legacy )?console \[ttyAMA0\] enabled`, `pl061_gpio `, `rtc-pl031 `, `pci`, `PCI: `, `hw perfevents: `, `ACPI`,
	// the counter
	`arch_timer: `, `clocksource: arch_sys_counter: `, `sched_clock: `, `Calibrating delay loop`, `audit: type=2000`, `node 0 deferred pages initialised`,
	// the CPU
	`CPU features: `, `Floating-point is not implemented`, `Advanced SIMD is not implemented`, `alternatives: `,
}, "|") + `)`)

func expected(d difference) bool { return reasons.MatchString(d.line) }
