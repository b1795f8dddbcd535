package ftrace

import "callops/kernelimage"

// OpsFlag is a bit of ftrace_ops.flags, FTRACE_OPS_FL_* in
// include/linux/ftrace.h.
type OpsFlag uint64

// Flags of an ops. The first group is the caller's to set, the second the
// core's.
const (
	OpsSaveRegs            OpsFlag = 1 << 2  // refused on arm64 unless IfSupported is set too; until 6.2 it has regs
	OpsSaveRegsIfSupported OpsFlag = 1 << 3  // adds SaveRegs on arm64, though there are no regs; not until 6.2
	OpsRecursion           OpsFlag = 1 << 4  // asks for recursion protection: never called directly
	OpsStub                OpsFlag = 1 << 5  // the list function skips it
	OpsIPModify            OpsFlag = 1 << 12 // changes fregs.pc; one such ops per site
	OpsPID                 OpsFlag = 1 << 13
	OpsRCU                 OpsFlag = 1 << 14 // called only while RCU is watching: never called directly
	OpsTraceArray          OpsFlag = 1 << 15
	OpsPermanent           OpsFlag = 1 << 16 // ftrace can't be disabled meanwhile

	OpsEnabled     OpsFlag = 1 << 0
	OpsDynamic     OpsFlag = 1 << 1 // not in the kernel's own data: unregistering waits for grace periods
	OpsInitialized OpsFlag = 1 << 6
	OpsDeleted     OpsFlag = 1 << 7
	OpsAdding      OpsFlag = 1 << 8
	OpsRemoving    OpsFlag = 1 << 9
	OpsModifying   OpsFlag = 1 << 10
	OpsAllocTramp  OpsFlag = 1 << 11
	OpsDirect      OpsFlag = 1 << 17
	OpsSubop       OpsFlag = 1 << 18 // of a graph user: its sites are graph_ops'

	// opsCallerFlags are those that NewOps takes.
	opsCallerFlags = OpsSaveRegs | OpsSaveRegsIfSupported | OpsRecursion | OpsStub |
		OpsIPModify | OpsPID | OpsRCU | OpsTraceArray | OpsPermanent
)

// RecFlags is dyn_ftrace.flags: a reference count in the low bits, flags above.
type RecFlags uint32

// Flags of a record, FTRACE_FL_* in include/linux/ftrace.h. The wishes
// (Regs, Tramp, Direct, CallOps) come from counting; the _EN states are what
// the site has been patched to.
const (
	RecEnabled   RecFlags = 1 << 31
	RecRegs      RecFlags = 1 << 30
	RecRegsEn    RecFlags = 1 << 29
	RecTramp     RecFlags = 1 << 28
	RecTrampEn   RecFlags = 1 << 27
	RecIPModify  RecFlags = 1 << 26
	RecDisabled  RecFlags = 1 << 25
	RecDirect    RecFlags = 1 << 24
	RecDirectEn  RecFlags = 1 << 23
	RecCallOps   RecFlags = 1 << 22
	RecCallOpsEn RecFlags = 1 << 21
	RecTouched   RecFlags = 1 << 20
	RecModified  RecFlags = 1 << 19
)

// profile is what differs between kernels' records. A bit that a kernel
// does not have belongs to its count.
type profile struct {
	countBits uint     // FTRACE_REF_MAX_SHIFT
	callOps   bool     // has the CALL_OPS bits
	history   RecFlags // TOUCHED and MODIFIED, where there are any

	// notraceApart: a notrace hash that changes is counted on its own (until 6.11).
	notraceApart bool

	// tasksIfPreemptible: unregistering waits for synchronize_rcu_tasks with CONFIG_PREEMPTION only (until 6.10).
	tasksIfPreemptible bool

	staysOn   bool // the sysctl refuses to switch ftrace off
	keepsInit bool // register_ftrace_direct leaves INITIALIZED set
}

var profiles = map[kernelimage.Profile]profile{
	kernelimage.Profile73:  {countBits: 19, callOps: true, history: RecTouched | RecModified, staysOn: true, keepsInit: true},
	kernelimage.Profile612: {countBits: 19, callOps: true, history: RecTouched | RecModified},
	kernelimage.ProfileV3:  {countBits: 21, callOps: true, notraceApart: true, tasksIfPreemptible: true},
	kernelimage.Profile61:  {countBits: 23, notraceApart: true, tasksIfPreemptible: true},
}

// refMax is FTRACE_REF_MAX: the count's mask, and the limit that kills ftrace.
func (p profile) refMax() RecFlags { return 1<<p.countBits - 1 }

func (p profile) count(f RecFlags) int { return int(f & p.refMax()) }

// noClear are the flags that outlive a count of 0.
func (p profile) noClear() RecFlags { return RecDisabled | p.history }
