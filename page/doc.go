// Package page is a page in a browser: a traced call gone through step by step, with ops that come
// and go meanwhile, what it costs before CALL_OPS and with it, and counterexamples of package check.
//
// The page in static/ is the same in two places. Served by Handler it asks over HTTP, about any
// image. As a folder, which needs no server, it asks a WebAssembly build of play.Server (page/wasm), about
// the built-in kernel. Neither loads anything from elsewhere.
package page
