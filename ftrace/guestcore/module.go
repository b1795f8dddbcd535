package guestcore

import (
	"callops/kernelimage/module"
)

type kernelModule = module.Module

// guestModule is a struct module, and the array of call sites that it names.
type guestModule struct{ addr, callsites uint64 }

func (c *Core) moduleComing(m *module.Module) error { return nil }
func (c *Core) moduleGoing(m *module.Module) error  { return nil }
