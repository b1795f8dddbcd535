package play

// Recording is what happened.
type Recording struct {
	Script Script  `json:"script"`
	Image  string  `json:"image"`
	Start  []Reg   `json:"start"` // the registers that the first instruction begins with
	Site   Site    `json:"site"`  // of the function that is called, before the first frame
	Code   []Block `json:"code"`  // what was executed, in address order, as it was before the first frame
	Frames []Frame `json:"frames"`
	Calls  []Call  `json:"calls"`
	Result string  `json:"result"` // of the last call
	Error  string  `json:"error,omitempty"`
}

// Site is a call site: its two words, and what its literal points at.
type Site struct {
	Addr        uint64 `json:"-"`
	Where       string `json:"where"`
	LiteralAddr uint64 `json:"-"`
	Literal     string `json:"literal,omitempty"` // "": there is none
	Words       []Line `json:"words"`
}

// Reg is a register and its value.
type Reg struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Block is a function's code.
type Block struct {
	Name  string `json:"name"`
	Part  Part   `json:"part"`
	Lines []Line `json:"lines"`
}

// Line is an instruction. Addresses are hexadecimal: JavaScript's numbers do not hold them.
type Line struct {
	Addr string `json:"addr"`
	Text string `json:"text"`
}

// Part is what an instruction belongs to.
type Part string

// The parts of a traced call.
const (
	Traced Part = "function" // what is traced, and what it calls
	Caller Part = "caller"   // ftrace_caller
	List   Part = "list"     // the list function, or that of a set
	Tracer Part = "tracer"   // the funcs of ops
)

// Kind is what a Frame shows.
type Kind string

// The kinds of frames.
const (
	Insn   Kind = "insn"   // the CPU has executed an instruction
	Begin  Kind = "begin"  // an operation begins
	Store  Kind = "store"  // the patcher stores to text
	Notice Kind = "notice" // the patcher interrupts the CPUs, waits, frees
	End    Kind = "end"    // an operation has ended
	Return Kind = "return" // the call has returned
)

// Frame is one step.
type Frame struct {
	Kind Kind `json:"kind"`
	N    int  `json:"n"` // instructions executed by then, this one included

	Addr  string   `json:"addr,omitempty"`
	Where string   `json:"where,omitempty"`
	Text  string   `json:"text"` // the instruction, or what happens
	Part  Part     `json:"part,omitempty"`
	Regs  []Reg    `json:"regs,omitempty"`  // those that changed
	Reads []Access `json:"reads,omitempty"` // of an instruction
	Stack []Word   `json:"stack,omitempty"` // what an instruction stored there
	Next  string   `json:"next,omitempty"`  // where the CPU goes on, as an address

	// Of a store: the instruction at Addr from here on, or what the literal points at.
	New string `json:"new,omitempty"`
	Old string `json:"old,omitempty"`
	// Literal reports that the store is one to a literal.
	Literal bool `json:"literal,omitempty"`
}

// Access is what an instruction loaded from something that has a name.
type Access struct {
	What  string `json:"what"`
	Value string `json:"value"`
}

// Word is a doubleword of the stack.
type Word struct {
	Addr  string `json:"addr"`
	Value string `json:"value"`
	Name  string `json:"name,omitempty"` // what it points at
}

// Call is one of the script's calls: how many instructions each part took.
type Call struct {
	First  int          `json:"first"` // index of its first frame
	Parts  map[Part]int `json:"parts"`
	Result string       `json:"result"`
}
