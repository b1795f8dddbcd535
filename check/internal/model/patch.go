package model

import (
	"callops/check/event"
	"callops/check/internal/guest"
	"callops/check/internal/search"
	"callops/check/internal/weak"
	"callops/sched"
)

// patched is what a step of the program makes of a CPU's block.
func (m *product) patched(t weak.Time, kind int, id search.Part) search.Part {
	old := m.block(id)
	b := append([]byte(nil), old.bytes...)
	switch st := &m.p.steps[t]; st.Kind {
	case event.GraceBegins:
		m.hold(b, old.node, 0, st.Wait.Holds(m.reader(kind)))
	case event.InterruptAll:
		m.hold(b, old.node, 0, true)
	case event.CallRCU:
		m.hold(b, old.node, 1+st.Call, st.Wait.Holds(m.reader(kind)))
	case event.OperationBegins, event.OperationReturns:
		if m.reduced {
			m.forgetOwed(b, m.settled[t])
		}
	default:
		return id
	}
	return m.number(kind, b)
}

// hold notes that the CPU has to be waited for. One that has nothing left to do
// goes through its scheduler, and answers, at once.
func (m *product) hold(b []byte, n *guest.Node, bit int, holds bool) {
	if holds && n.Kind != guest.Done {
		put16(b, cpuWaits, get16(b, cpuWaits)|1<<bit)
	}
}

// reader is what the rules of grace periods want to know of a CPU's task. RCU
// learns that a CPU is preemptible only from the CPU itself, so at first none
// is.
func (m *product) reader(kind int) sched.Reader {
	return sched.Reader{Running: true, Kernel: true, Idle: m.sc.Tasks[kind].Idle}
}

// forgetOwed rounds down the times at which the CPU knew what was owed to ops:
// since some of that has changed, less of it matters.
func (m *product) forgetOwed(b []byte, now weak.Time) {
	for _, off := range []int{cpuKnown, cpuBegun, cpuKnew} {
		if t := getTime(b, off); t != 0 {
			putTime(b, off, m.p.owedSince(now, t))
		}
	}
}
