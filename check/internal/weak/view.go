package weak

// Range calls f with each version of l that a CPU may see at now: from the
// newest to oldest, which is the oldest that it may still see.
func (h *History) Range(l *Location, now Time, oldest Version, f func(Version)) {
	for v := l.latest[now]; ; v = h.Before(l, v) {
		f(v)
		if v <= oldest {
			return
		}
	}
}

// Oldest is the oldest version of a data location that a CPU may still read:
// low is up to when it has seen everything, or what the address depends on
// has; read is the version it read there last.
func (h *History) Oldest(l *Location, low Time, read Version) Version {
	return max(l.latest[low], read)
}

// Fetched is what a CPU that fetched a version of an instruction does not miss in what it does after, in program
// order: all data up to low is visible to it, and all instructions cleaned up to text are.
func (h *History) Fetched(l *Location, v Version) (low, text Time) {
	return l.versions[v].rel, l.versions[v].at
}

// canon fills the tables of Canon.
func (h *History) canon() {
	h.data = make([]Time, len(h.nodes))
	h.text = make([]Time, len(h.nodes))
	for t := 1; t < len(h.nodes); t++ {
		p := h.nodes[t].parent
		h.data[t], h.text[t] = h.data[p], h.text[p]
		for i := range h.locs {
			l := &h.locs[i]
			switch {
			case !l.relevant:
			case l.Text && l.clean[t] != l.clean[p]:
				h.text[t] = Time(t)
			case !l.Text && l.latest[t] != l.latest[p]:
				h.data[t] = Time(t)
			}
		}
	}
}

// MarkRead notes which locations CPUs read or fetch. Stores to others make no
// difference to any view.
func (h *History) MarkRead(locs map[int]bool) {
	for i := range h.locs {
		h.locs[i].relevant = locs[i]
	}
	h.canon()
}

// Relevant reports whether the event at t makes a difference to what a CPU may
// see: false for stores to what no CPU reads, and for what is no store.
func (h *History) Relevant(t Time) bool {
	p := h.nodes[t].parent
	return h.data[t] != h.data[p] || h.text[t] != h.text[p] || h.textStore(t)
}

func (h *History) textStore(t Time) bool {
	n := &h.nodes[t]
	if n.Kind != Store && n.Kind != Release {
		return false
	}
	l := &h.locs[h.byPos[n.Addr&^3]]
	return l.Text && l.relevant
}

// CanonData is the earliest time at which a CPU has seen as much data as at t.
func (h *History) CanonData(t Time) Time { return h.data[t] }

// CanonText is the earliest time at which as much text was clean as at t.
func (h *History) CanonText(t Time) Time { return h.text[t] }

// IsRead reports whether CPUs are known to read or fetch a location.
func (h *History) IsRead(loc int) bool { return h.locs[loc].relevant }
