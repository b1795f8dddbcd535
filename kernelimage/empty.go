package kernelimage

// What may follow the call site of a function that does nothing.
const (
	wordRet     = 0xd65f03c0
	wordPaciasp = 0xd503233f
	wordAutiasp = 0xd50323bf
)

// EmptyFuncs returns the first n functions with a call site that do nothing, in
// the order of the symbols: what follows the site is RET, and between at most
// what signs and checks the return address.
func (img *Image) EmptyFuncs(n int) (empty []Symbol) {
	if img.reading(func() { empty = img.emptyFuncs(n) }) != nil {
		return nil
	}
	return empty
}

func (img *Image) emptyFuncs(n int) (empty []Symbol) {
	for _, s := range img.symbols {
		if len(empty) == n {
			break
		}
		if s.Func && img.isEmpty(s.Addr) {
			empty = append(empty, s)
		}
	}
	return empty
}

func (img *Image) isEmpty(addr uint64) bool {
	site, ok := img.Site(addr)
	if !ok || site.Init || site.Func() != addr {
		return false
	}
	for at := site.IP + 4; ; at += 4 {
		switch word, ok := img.word(at); {
		case !ok:
			return false
		case word == wordRet:
			return true
		case word != wordPaciasp && word != wordAutiasp:
			return false
		}
	}
}
