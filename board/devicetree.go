package board

import "fmt"

// What lies where on the board, as on QEMU's "virt".
const (
	gicDistributor = 0x0800_0000
	gicInterface   = 0x0801_0000
	gicSize        = 0x1_0000
	uartBase       = 0x0900_0000
	uartSize       = 0x1000
	ramBase        = 0x4000_0000
)

// Interrupts (PPIs, from 16 on) of the architected timers, in the order of their binding.
const (
	timerSecure   = 13
	timerPhysical = 14
	timerVirtual  = 11
	timerHyp      = 10
)

// earlycon has the kernel print through the UART from the first line to the last; see docs/boot.md.
var earlycon = fmt.Sprintf("earlycon=pl011,%#x keep_bootcon", uartBase)

// extent is a range of physical memory.
type extent struct{ start, end uint64 }

// deviceTree describes the board to the kernel.
func deviceTree(cpus int, ram uint64, cmdline string, initrd extent) []byte {
	const gic = 1 // its phandle
	f := &fdt{}
	f.node("", func() {
		f.text("compatible", "callops,board", "linux,dummy-virt")
		f.text("model", "callops,board")
		f.cells("#address-cells", 2)
		f.cells("#size-cells", 2)
		f.cells("interrupt-parent", gic)
		f.node("chosen", func() {
			f.text("bootargs", cmdline)
			f.cells("linux,initrd-start", 0, uint32(initrd.start))
			f.cells("linux,initrd-end", 0, uint32(initrd.end))
			f.prop("rng-seed", []byte("the same in every run of a board"))
		})
		f.node("memory@40000000", func() {
			f.text("device_type", "memory")
			f.reg(ramBase, ram)
		})
		f.node("cpus", func() {
			f.cells("#address-cells", 1)
			f.cells("#size-cells", 0)
			for i := range cpus {
				f.node(fmt.Sprintf("cpu@%d", i), func() {
					f.text("device_type", "cpu")
					f.text("compatible", "arm,armv8")
					f.cells("reg", uint32(i))
					f.text("enable-method", "psci")
				})
			}
		})
		f.node("psci", func() {
			f.text("compatible", "arm,psci-1.0", "arm,psci-0.2")
			f.text("method", "hvc")
		})
		f.node("intc@8000000", func() {
			f.text("compatible", "arm,cortex-a15-gic")
			f.cells("#interrupt-cells", 3)
			f.prop("interrupt-controller", nil)
			f.reg(gicDistributor, gicSize, gicInterface, gicSize)
			f.cells("phandle", gic)
		})
		f.node("timer", func() {
			f.text("compatible", "arm,armv8-timer")
			f.prop("always-on", nil)
			const ppi, levelHigh = 1, 4
			mask := uint32(1<<cpus-1) << 8
			var cells []uint32
			for _, n := range []uint32{timerSecure, timerPhysical, timerVirtual, timerHyp} {
				cells = append(cells, ppi, n, mask|levelHigh)
			}
			f.cells("interrupts", cells...)
		})
	})
	return f.bytes()
}
