package trace

// Kind is what an event tells of.
type Kind uint8

// The kinds of events.
const (
	KindFunction    Kind = iota // a traced call: IP, ParentIP, Args
	KindGraphEntry              // a call that function_graph traces: IP, ParentIP, Depth, Args
	KindGraphReturn             // its return: IP, Depth, Start, Value
	KindPatch                   // a store to the kernel's text: IP, Size, Old, Value, Text
	KindInsn                    // an instruction that was executed: IP, Value, Text
	KindPrintk                  // a line of the kernel's log: Text
	KindSwitch                  // a CPU goes from PID to Next: Depth
)

// Event is one thing that happened. What a kind does not name above is 0.
type Event struct {
	Kind Kind
	Size uint8  // bytes that a patch stored, 4 or 8
	CPU  uint32 // of a patch: the patcher's
	PID  uint32 // of the task, a key of [Recording.Tasks]; 0: the idle task, or not known
	Next uint32 // PID of the task that the CPU switched to

	Time     uint64 // instructions this CPU had executed (CNTVCT_EL0), since Rings.Start
	IP       uint64 // the function, the instruction, or where was stored
	ParentIP uint64 // where the function was called from

	Depth int32      // calls that function_graph traces above this one; of a switch: the task's state, 0 runnable
	Start uint64     // Time of the entry that a return belongs to
	Old   uint64     // what a patch replaced
	Value uint64     // what the function returned, the word that was executed, or what a patch stored
	Args  *[8]uint64 // x0 to x7 at the call; nil where they were not recorded
	Text  string     // of a patch or an instruction: in words
}

// Recording is what was traced.
type Recording struct {
	CPUs   int               // on which was traced
	Events []Event           // those of a CPU by time
	Lost   []uint64          // of each CPU: events that were lost before those; nil: none anywhere
	Tasks  map[uint32]string // the names of tasks (comm), by PID; 0, the idle tasks, need none
}

// Overrun is how many events were lost, on all CPUs.
func (r *Recording) Overrun() (n uint64) {
	if r == nil {
		return 0
	}
	for _, lost := range r.Lost {
		n += lost
	}
	return n
}
