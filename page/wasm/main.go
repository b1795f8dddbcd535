//go:build js && wasm

// Command wasm answers the page's questions inside the browser: it defines callopsAsk(question,
// request), which returns a promise of the answer, both in JSON.
package main

import (
	"context"
	"syscall/js"

	"callops/play"
)

func main() {
	server := &play.Server{}
	js.Global().Set("callopsAsk", js.FuncOf(func(_ js.Value, args []js.Value) any {
		question, request := args[0].String(), args[1].String()
		var settle js.Func
		settle = js.FuncOf(func(_ js.Value, promise []js.Value) any {
			go func() {
				defer settle.Release()
				answer, err := server.Answer(context.Background(), question, []byte(request))
				if err != nil {
					promise[1].Invoke(js.Global().Get("Error").New(err.Error()))
					return
				}
				promise[0].Invoke(string(answer))
			}()
			return nil
		})
		return js.Global().Get("Promise").New(settle)
	}))
	select {}
}
