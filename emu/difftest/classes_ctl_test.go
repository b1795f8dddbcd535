package difftest

// Branches, exceptions, hints, barriers, system registers, cache maintenance.
var controlClasses = concat([]class{
	{name: "b", mask: 0xfc000000, value: 0x14000000, fix: near(0, 26), kind: branch},
	{name: "bl", mask: 0xfc000000, value: 0x94000000, fix: near(0, 26), kind: branch},
	{name: "b.cond", mask: 0xff000010, value: 0x54000000, fix: near(5, 19), kind: branch},
	{name: "cbz", mask: 0x7f000000, value: 0x34000000, fix: near(5, 19), kind: branch},
	{name: "cbnz", mask: 0x7f000000, value: 0x35000000, fix: near(5, 19), kind: branch},
	{name: "tbz", mask: 0x7f000000, value: 0x36000000, fix: near(5, 14), kind: branch},
	{name: "tbnz", mask: 0x7f000000, value: 0x37000000, fix: near(5, 14), kind: branch},
	{name: "br", mask: 0xfffffc1f, value: 0xd61f0000, kind: branch},
	{name: "blr", mask: 0xfffffc1f, value: 0xd63f0000, kind: branch},
	{name: "ret", mask: 0xfffffc1f, value: 0xd65f0000, kind: branch},
	{name: "braaz, brabz", mask: 0xfffff81f, value: 0xd61f081f, kind: branch},
	{name: "blraaz, blrabz", mask: 0xfffff81f, value: 0xd63f081f, kind: branch},
	{name: "braa, brab", mask: 0xfffff800, value: 0xd71f0800, kind: branch},
	{name: "blraa, blrab", mask: 0xfffff800, value: 0xd73f0800, kind: branch},
	{name: "retaa, retab", mask: 0xfffffbff, value: 0xd65f0bff, kind: branch},

	{name: "svc", mask: 0xffe0001f, value: 0xd4000001, kind: ends},
	{name: "hvc", mask: 0xffe0001f, value: 0xd4000002, kind: ends},
	{name: "smc", mask: 0xffe0001f, value: 0xd4000003, kind: ends},
	{name: "brk", mask: 0xffe0001f, value: 0xd4200000, kind: ends},
	{name: "hlt", mask: 0xffe0001f, value: 0xd4400000, kind: ends},
	{name: "udf", mask: 0xffff0000, value: 0x00000000, kind: ends},

	{name: "hint", mask: 0xfffff01f, value: 0xd503201f},
	{name: "clrex", mask: 0xfffff0ff, value: 0xd503305f},
	{name: "dsb", mask: 0xfffff0ff, value: 0xd503309f},
	{name: "dmb", mask: 0xfffff0ff, value: 0xd50330bf},
	{name: "isb", mask: 0xfffff0ff, value: 0xd50330df},
	{name: "sb", mask: 0xffffffff, value: 0xd50330ff},
	{name: "cfinv", mask: 0xffffffff, value: 0xd500401f},
	{name: "xaflag", mask: 0xffffffff, value: 0xd500403f},
	{name: "axflag", mask: 0xffffffff, value: 0xd500405f},
	{name: "msr daifset", mask: 0xfffff0ff, value: 0xd50340df},
	{name: "msr daifclr", mask: 0xfffff0ff, value: 0xd50340ff},

	{name: "dc zva", mask: 0xffffffe0, value: 0xd50b7420, kind: zeroes},
	{name: "dc cvac", mask: 0xffffffe0, value: 0xd50b7a20, kind: zeroes},
	{name: "dc cvau", mask: 0xffffffe0, value: 0xd50b7b20, kind: zeroes},
	{name: "dc cvap", mask: 0xffffffe0, value: 0xd50b7c20, kind: zeroes},
	{name: "dc cvadp", mask: 0xffffffe0, value: 0xd50b7d20, kind: zeroes},
	{name: "dc civac", mask: 0xffffffe0, value: 0xd50b7e20, kind: zeroes},
	{name: "dc ivac", mask: 0xffffffe0, value: 0xd5087620, kind: zeroes},
	{name: "dc isw", mask: 0xffffffe0, value: 0xd5087640},
	{name: "dc csw", mask: 0xffffffe0, value: 0xd5087a40},
	{name: "dc cisw", mask: 0xffffffe0, value: 0xd5087e40},
	{name: "ic ivau", mask: 0xffffffe0, value: 0xd50b7520, kind: zeroes},
	{name: "ic iallu", mask: 0xffffffff, value: 0xd508751f},
	{name: "ic ialluis", mask: 0xffffffff, value: 0xd508711f},
}, systemRegisters("mrs ", 1, "sp_el0", "tpidr_el0", "tpidr_el1", "nzcv", "daif", "currentel", "ctr_el0", "dczid_el0", "midr_el1", "cntvct_el0"),
	systemRegisters("msr ", 0, "sp_el0", "tpidr_el0", "tpidr_el1", "nzcv", "daif"))

// systemRegister numbers are o0, op1, CRn, CRm and op2 as they stand in mrs.
var systemRegister = map[string]uint32{
	"sp_el0": sysreg(3, 0, 4, 1, 0), "tpidr_el0": sysreg(3, 3, 13, 0, 2), "tpidr_el1": sysreg(3, 0, 13, 0, 4),
	"nzcv": sysreg(3, 3, 4, 2, 0), "daif": sysreg(3, 3, 4, 2, 1), "currentel": sysreg(3, 0, 4, 2, 2),
	"ctr_el0": sysreg(3, 3, 0, 0, 1), "dczid_el0": sysreg(3, 3, 0, 0, 7), "midr_el1": sysreg(3, 0, 0, 0, 0),
	"cntvct_el0": sysreg(3, 3, 14, 0, 2),
}

func sysreg(op0, op1, crn, crm, op2 uint32) uint32 {
	return 0xd5000000 | op0<<19 | op1<<16 | crn<<12 | crm<<8 | op2<<5
}

func systemRegisters(prefix string, read uint32, names ...string) []class {
	var list []class
	for _, n := range names {
		list = append(list, class{name: prefix + n, mask: 0xffffffe0, value: systemRegister[n] | read<<21})
	}
	return list
}
