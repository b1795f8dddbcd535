package services

import (
	"errors"

	"callops/emu"
	"callops/kernelimage"
)

// srcuPeriod is a grace period of an srcu_struct: it waits for the readers that are counted there.
// One that comes meanwhile is waited for too, so it may last longer than the kernel's own.
type srcuPeriod struct {
	request
	ssp uint64
}

// Ended implements [GracePeriod].
func (p *srcuPeriod) Ended() bool {
	n, err := p.s.srcuReaders(p.ssp)
	return err == nil && n == 0
}

// Wait implements [GracePeriod].
func (p *srcuPeriod) Wait(emu.CPU) error {
	if _, err := p.s.srcuReaders(p.ssp); err != nil {
		return err
	}
	_, err := p.sleep(p.Ended, 0, nil)
	return err
}

var errNoSRCU = errors.New("its BTF does not tell where an srcu_struct counts its readers")

// srcuReaders is how many readers an srcu_struct has (kernel/rcu/srcutree.c:
// srcu_readers_active).
func (s *Services) srcuReaders(ssp uint64) (int64, error) {
	l := &s.k.Layout.SRCU
	if l.SDA == kernelimage.Absent || l.Lock == l.Unlock {
		return 0, errNoSRCU
	}
	data, err := s.k.Mem.Load64(ssp + uint64(l.SDA))
	if err != nil || data == 0 { // init_srcu_struct has not run
		return 0, err
	}
	var n int64
	for _, c := range s.k.CPUs {
		for i := range l.Lock {
			came, err := s.k.Mem.Load64(data + c.PerCPU + uint64(l.Lock[i]))
			if err != nil {
				return 0, err
			}
			left, err := s.k.Mem.Load64(data + c.PerCPU + uint64(l.Unlock[i]))
			if err != nil {
				return 0, err
			}
			n += int64(came - left)
		}
	}
	return n, nil
}
