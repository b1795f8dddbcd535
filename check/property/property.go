// Package property names the properties that package check tests in every state.
package property

import "fmt"

// Property is something that has to hold in every state. The zero value is None.
type Property uint8

// The properties. Their names are stable; each stands for a claim, see [Property.Claim].
const (
	None Property = iota

	// Of ops and calls.
	FuncHasItsOps
	ToldCallSite
	ToldCaller
	Protected
	EveryCallSeen
	NoStrayCall
	SeenOnce
	NewestFirst
	DirectCallEntry
	ReturnAskedFor
	ReturnSeen

	// Of the traced function and its task.
	RegistersKept
	FramesChain
	StackGivenBack
	TaskKept
	ResultKept

	// Of memory.
	NoUseAfterFree
	ReadWhole
	TextExchangeable
	TextNotRead
	WritesItsOwn

	// Of any code.
	ExecutesCode
	CodeMapped
	NoFault
	StackAboveSP
	SPInStack
	FewWords
	CallsEnd
	NoDeadlock

	count
)

var table = [count]struct{ name, claim string }{
	None:             {"", ""},
	FuncHasItsOps:    {"func-has-its-ops", "func is called with the ops that it belongs to"},
	ToldCallSite:     {"told-call-site", "a tracer is passed the call site's address"},
	ToldCaller:       {"told-caller", "a tracer is passed the caller's address"},
	Protected:        {"called-protected", "an ops that asks for protection is called under it"},
	EveryCallSeen:    {"every-call-seen", "a registered ops sees every call"},
	NoStrayCall:      {"no-stray-call", "an ops that is not registered sees no call"},
	SeenOnce:         {"seen-once", "an ops sees a call once"},
	NewestFirst:      {"newest-first", "the ops of a site are called newest first, as the list has them"},
	DirectCallEntry:  {"direct-call-entry", "a direct call is entered with the registers that the call site left"},
	ReturnAskedFor:   {"return-asked-for", "a graph user is told of the return of a call that it was told of, once"},
	ReturnSeen:       {"return-seen", "a graph user that stays is told of every return that it wants"},
	RegistersKept:    {"registers-kept", "the traced function finds its registers as its caller left them"},
	FramesChain:      {"frames-chain", "frame records chain"},
	StackGivenBack:   {"stack-given-back", "a call restores the stack pointer"},
	TaskKept:         {"task-kept", "a call leaves its task as it was"},
	ResultKept:       {"result-kept", "the caller of a traced function gets what it returned"},
	NoUseAfterFree:   {"no-use-after-free", "freed memory is not used"},
	ReadWhole:        {"read-whole", "a value that is read was stored in one piece"},
	TextExchangeable: {"text-exchangeable", "an instruction changes while a CPU may execute it only where the architecture allows that"},
	TextNotRead:      {"text-not-read", "instructions that change are not read as data"},
	WritesItsOwn:     {"writes-its-own", "a CPU writes only memory of its own"},
	ExecutesCode:     {"executes-code", "a CPU executes only instructions"},
	CodeMapped:       {"code-mapped", "called code is mapped"},
	NoFault:          {"no-fault", "code runs without a fault"},
	StackAboveSP:     {"stack-above-sp", "a CPU does not access its stack below sp"},
	SPInStack:        {"sp-in-stack", "sp stays within the task's stack"},
	FewWords:         {"few-words", "an access covers only a few words"},
	CallsEnd:         {"calls-end", "every call ends"},
	NoDeadlock:       {"no-deadlock", "nothing waits forever"},
}

// All returns every property.
func All() []Property {
	var all []Property
	for p := None + 1; p < count; p++ {
		all = append(all, p)
	}
	return all
}

// String is the property's name: a few words with hyphens.
func (p Property) String() string {
	if p >= count {
		return fmt.Sprintf("property(%d)", uint8(p))
	}
	return table[p].name
}

// Claim is what holds where the property does, as a sentence without a full stop.
func (p Property) Claim() string {
	if p >= count {
		return p.String()
	}
	return table[p].claim
}

// MarshalText is String.
func (p Property) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText takes a name; "" is None.
func (p *Property) UnmarshalText(name []byte) error {
	for i := range table {
		if table[i].name == string(name) {
			*p = Property(i)
			return nil
		}
	}
	return fmt.Errorf("no property %q", name)
}

// Broken is a property that does not hold.
type Broken struct {
	Property Property
	Detail   string // what was found instead
}

// Break returns a Broken with a formatted detail.
func Break(p Property, format string, args ...any) *Broken {
	return &Broken{p, fmt.Sprintf(format, args...)}
}
