package services

import "callops/emu"

// request is a call of a replaced function.
type request struct {
	s    *Services
	r    Replaced
	cpu  emu.CPU
	args [8]uint64
	how  string // what else an error about an address has to say of the call
}

// serving makes functions that a Go function of the request stands in for. Where it
// returns an error the call ends there.
func serving(serve func(c *request) (uint64, error)) func(*Services, Replaced) emu.GateFunc {
	return func(s *Services, r Replaced) emu.GateFunc {
		return func(cpu emu.CPU, args [8]uint64) (uint64, error) {
			x0, err := serve(&request{s: s, r: r, cpu: cpu, args: args})
			if err != nil {
				return r.leave(cpu, err)
			}
			return x0, nil
		}
	}
}

func (c *request) caller() string { return c.s.caller(c.cpu) }
