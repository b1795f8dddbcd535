package kernel

import (
	"errors"
	"testing"

	"callops/kernelimage/module"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSubscribe_ModulesAreAnnouncedInMemory(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	var seen []string
	stop := k.Subscribe(func(e Event, m *module.Module) error {
		seen = append(seen, e.String()+": "+m.Name)
		w, err := k.Mem.Load32(m.Image.Text()[0].Start)
		assert.NoError(t, err)
		assert.NotZero(t, w, "its text is there")
		return nil
	})
	m, err := k.LoadModuleFile(t.Context(), fixtureKo, nil)
	require.NoError(t, err)
	require.NoError(t, k.Unload(m))
	assert.Equal(t, []string{"module coming: fixture", "module going: fixture"}, seen)

	stop()
	_, err = k.LoadModuleFile(t.Context(), fixtureKo, nil)
	require.NoError(t, err)
	assert.Len(t, seen, 2)
}

func TestSubscribe_ARefusedModuleIsTakenAwayFromThoseWhoTookIt(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	var took []Event
	k.Subscribe(func(e Event, _ *module.Module) error { took = append(took, e); return nil })
	refused := errors.New("refused")
	stop := k.Subscribe(func(e Event, _ *module.Module) error {
		assert.Equal(t, ModuleComing, e)
		return refused
	})
	k.Subscribe(func(Event, *module.Module) error { t.Error("is not asked"); return nil })
	before := k.Symbols.All()
	_, err := k.LoadModuleFile(t.Context(), fixtureKo, nil)
	require.ErrorIs(t, err, refused)
	assert.Equal(t, []Event{ModuleComing, ModuleGoing}, took)
	assert.Empty(t, k.Modules())
	assert.Equal(t, before, k.Symbols.All())
	stop()
}

func TestSubscribe_AModuleGoesWhateverIsSaid(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	m, err := k.LoadModuleFile(t.Context(), fixtureKo, nil)
	require.NoError(t, err)
	broken := errors.New("broken")
	told := 0
	k.Subscribe(func(Event, *module.Module) error { return broken })
	k.Subscribe(func(Event, *module.Module) error { told++; return nil })
	assert.ErrorIs(t, k.Unload(m), broken)
	assert.Equal(t, 1, told)
	assert.Empty(t, k.Modules())
}

func TestSubscribe_APanicLeavesNothingHalfLoaded(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	stop := k.Subscribe(func(Event, *module.Module) error { panic("in a subscriber") })
	assert.PanicsWithValue(t, "in a subscriber", func() { _, _ = k.LoadModuleFile(t.Context(), fixtureKo, nil) })
	assert.Empty(t, k.Modules())
	stop()
	_, err := k.LoadModuleFile(t.Context(), fixtureKo, nil)
	assert.NoError(t, err)
}
