package ftrace

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/internal/errno"
)

// Every exported method of a Registry takes nil for each of its arguments:
// options are then defaults, and anything else is EINVAL, or nothing found.
func TestRegistry_NilArguments(t *testing.T) {
	k := bootIdle(t, nil, nil)

	r := reflect.ValueOf(k.Registry)
	for i := range r.NumMethod() {
		name, method := r.Type().Method(i).Name, r.Method(i)
		if name == "Close" || name == "Kill" {
			continue // these end the registry; they have no argument
		}
		t.Run(name, func(t *testing.T) {
			var args []reflect.Value
			required := false
			for in := range method.Type().NumIn() {
				typ := method.Type().In(in)
				args = append(args, reflect.Zero(typ))
				required = required || needs(typ)
			}
			out := method.Call(args)
			if !required {
				return
			}
			if err, ok := out[len(out)-1].Interface().(error); ok {
				assert.ErrorIs(t, err, errno.EINVAL)
			} else {
				assert.True(t, out[0].IsZero(), "got %v", out[0])
			}
		})
	}
	assert.NoError(t, k.Validate())
	assert.Empty(t, k.enabledLines())

	_, err := New(nil, nil)
	assert.ErrorIs(t, err, errno.EINVAL)
}

// needs reports whether a nil of that type is refused: options and slices are not.
func needs(typ reflect.Type) bool {
	switch typ.Kind() {
	case reflect.Interface, reflect.Func:
		return true
	case reflect.Pointer:
		return typ != reflect.TypeFor[*OpsOptions]() && typ != reflect.TypeFor[*FilterOptions]()
	}
	return false
}
