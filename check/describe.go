package check

import (
	"strings"

	"callops/asm"
	"callops/check/event"
	"callops/check/internal/model"
)

// describer puts what a step did into words.
type describer struct{ *model.Subject }

// says has the words for steps that need no others.
var says = map[event.Kind]string{
	event.Store:        "stores",
	event.StoreText:    "stores",
	event.WriteBarrier: "smp_wmb",
	event.DataBarrier:  "waits until its stores are visible (DSB)",
	event.InterruptAll: "interrupts every CPU",
	event.AllAnswered:  "every CPU has answered",
	event.CallReturns:  "returns",
	event.GateReturns:  "goes on",
	event.Schedule:     "leaves its CPU voluntarily, and resumes",
	event.Preempted:    "is preempted, and resumes",
	event.Interrupted:  "answers the interrupt",
}

func (d describer) step(r *model.Report) Step {
	st := Step{Agent: r.Agent, Event: r.Kind, More: r.More, Does: says[r.Kind]}
	if r.PC != 0 {
		st.Where = d.Name(r.PC)
	}
	switch r.Kind {
	case event.OperationBegins:
		st.Does = r.Operation + ": begins"
	case event.OperationReturns:
		st.Does = r.Operation + ": returns"
	case event.StoreText:
		w := r.Write
		st.Writes = []Write{{What: d.Name(w.Addr), Value: d.disassemble(w.Addr, w.Value), Old: d.disassemble(w.Addr, w.Old)}}
	case event.Store:
		w := r.Write
		st.Writes = []Write{{What: d.Place(w.Addr), Value: d.Value(w.Value), Old: d.Value(w.Old)}}
		if w.Release {
			st.Does = "stores, released"
		}
	case event.CleanText:
		st.Does = "cleans and invalidates " + d.Name(r.At)
	case event.GraceBegins:
		st.Does = r.Wait.String() + ": begins"
	case event.GraceEnds:
		st.Does = r.Wait.String() + ": returns"
	case event.CallRCU:
		st.Does = "call_rcu, to free " + strings.Join(r.Freed, ", ")
	case event.Free:
		st.Does = "frees " + strings.Join(r.Freed, ", ")
	case event.CallbackRuns:
		st.Does = "runs, and frees " + strings.Join(r.Freed, ", ")
	case event.CallBegins:
		st.Does = "calls " + d.Name(r.At)
	case event.Execute:
		d.executes(&st, r)
	case event.Preempted, event.Interrupted:
		if r.At != 0 {
			st.Where = d.Name(r.At)
		}
	}
	return st
}

func (d describer) executes(st *Step, r *model.Report) {
	st.Where, st.Does = d.Name(r.At), d.disassemble(r.At, uint64(r.Word))
	if r.Stale != nil {
		st.Newest = d.disassemble(r.At, r.Stale.Newest)
	}
	for _, s := range r.Reads {
		read := Read{What: d.Place(s.Addr), Value: d.Value(s.Value)}
		if s.Stale {
			read.Stale, read.Newest = true, d.Value(s.Newest)
		}
		st.Reads = append(st.Reads, read)
	}
}

func (d describer) disassemble(pc, word uint64) string {
	return asm.Disassemble(uint32(word), pc, d.Symbol)
}
