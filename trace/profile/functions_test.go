package profile

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/kernelimage"
)

func TestFunctions_MostExpensiveFirst(t *testing.T) {
	counter := NewCounter(1, NewNames([]kernelimage.Symbol{{Name: "a", Addr: 0x1000, Size: 16, Func: true}, {Name: "b", Addr: 0x1010, Size: 16, Func: true}}))
	const nop, bl, ret = 0xd503201f, 0x94000004, 0xd65f03c0
	counter.Step(0, 0x1000, bl, 0x1010)
	counter.Step(0, 0x1010, nop, 0x1014)
	counter.Step(0, 0x1014, ret, 0x1004)
	counter.Step(0, 0x1004, bl, 0x1010)
	counter.Step(0, 0x1010, ret, 0x1008)
	assert.Equal(t, []Function{{"b", 0x1010, 3}, {"a", 0x1000, 2}}, counter.Profile().Functions())
}
