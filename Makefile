# Each target installs what it needs and does not find (.ci/need).

SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DEFAULT_GOAL := help

# The unicorn binding is a module of its own.
BINDING := bindings/unicorn

# The packages whose goldens -update makes again.
GOLDEN := ./asm ./trampolines ./check ./bench ./bench/report ./try/report ./cmd/callops

# Packages with goroutines of their own, or for use by several.
RACE := ./emu ./emu/interp ./emu/lockstep ./emu/unicorn ./ftrace ./gdb ./kernel ./kernelimage ./machine ./sched

# Hosts that it has to build for, without Unicorn.
PORTS := linux/arm64 darwin/arm64 windows/amd64 js/wasm

# Ends what hangs, and is not reached by what is slow.
LIMIT := -timeout 1h

# A build names its commit where git knows one: not from an archive.
VCS := -buildvcs=$(if $(shell git rev-parse -q --verify HEAD 2>/dev/null),auto,false)

# The interpreter's loop takes up to 15% longer where it doesn't begin at a cache
# line (docs/interpreter.md); functions begin at multiples of 32 otherwise.
ALIGN := -ldflags=-funcalign=64

# Tells go test which kernels there are, so that it takes no result from its
# cache that another set gave.
HAVE_KERNELS = CALLOPS_KERNELS="$$(echo $${XDG_CACHE_HOME:-$$HOME/.cache}/callops/kernels/*)"

# Every file of the tree with its checksum.
TREE = find . \( -name .git -o -path ./bin \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

bench: build ## what a traced call costs [IMAGE=file [BESIDE=file] [TRACEE=func]]
	@bin/callops bench --registration $(if $(IMAGE),--image '$(IMAGE)' ) $(if $(BESIDE),--beside '$(BESIDE)') $(if $(TRACEE),--tracee '$(TRACEE)')

bench-peers: unicorn ## an instruction under callops and other emulators
	@.ci/need 'for t in qemu-aarch64 g++ bison flex; do command -v $$t || exit 1; done; printf "#include <vixl/aarch64/simulator-aarch64.h>\n#include <gmp.h>\n" | g++ -I/usr/include/vixl -E -x c++ -' \
		qemu-user g++ bison flex libvixl-dev libgmp-dev
	@.ci/kernels
	@.ci/gdbsim bin/gdbsim || echo "without gdb's simulator" >&2
	@go build $(VCS) $(ALIGN) -o bin/peers ./bench/peers && bin/peers $$([ -x bin/gdbsim ] && echo -gdbsim bin/gdbsim)

build: unicorn ## bin/callops
	@go build $(VCS) $(ALIGN) -o bin/callops ./cmd/callops

kernels: ## download the Debian arm64 kernels that the tests run on
	@.ci/kernels

samples: cross ## what tracing costs in booted kernels, by their own benchmark, against the reference
	@.ci/samples
	$(HAVE_KERNELS) go test $(LIMIT) ./board -run '^TestSample_' -samples -v

test: unicorn tools ## everything that has to pass
	@.ci/kernels || { [ "$$CI" != true ] && echo "tests that run real kernels are skipped" >&2; }
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted:" $$unformatted >&2; exit 1; fi
	go vet ./...
	cd $(BINDING) && go vet ./... && go test ./...
	CGO_ENABLED=0 go build -buildvcs=false ./...
	CGO_ENABLED=0 go vet ./...
	$(HAVE_KERNELS) go test $(LIMIT) ./...
	$(HAVE_KERNELS) CGO_ENABLED=0 go test $(LIMIT) -short $$(go list ./... | grep -vE '/(check|try|guestcore|ftrace/difftest)') # which use the interpreter alone, either way
	go test $(LIMIT) -tags nommap ./internal/hostmem ./emu ./kernelimage
	$(HAVE_KERNELS) go test $(LIMIT) -race -short $(RACE) # what is heavy was run above

page: ## bin/page, the page of callops serve as a folder that needs no server
	@.ci/page bin/page

browser: build page ## the page's tests, in Chromium
	@.ci/browser

lint: ## golangci-lint, which is built for it
	go tool -modfile=.ci/lint.mod golangci-lint run ./...

ports: ## vet for the hosts that it has to build for
	@for port in $(PORTS); do echo "vet $$port"; CGO_ENABLED=0 GOOS=$${port%/*} GOARCH=$${port#*/} go vet ./...; done

move: ## give the module another path [TO=example.org/you/callops]
	@.ci/move '$(TO)'

runs: kernels cross ## what real workloads execute, from which the interpreter's super-instructions are chosen
	.ci/runs

schedules: cross ## interleavings of booted kernels' CPUs: every workload holds, every planted fault is found
	$(HAVE_KERNELS) go test ./board/schedule -count=1 -v -all -timeout 0

soak: ## a minute of tracing on two CPUs while ops come and go, and random file operations on tracefs [SOAK=time] [OPERATIONS=n] [SEED=n]
	go test ./ftrace -run '^TestSoak$$' -count=1 -v -soak $(or $(SOAK),1m) -timeout 0
	go test ./board ./board/mount -run '^TestSoak_' -count=1 -v -operations $(or $(OPERATIONS),20000) -seed $(or $(SEED),1) -timeout 0

ftracetest: kernels ## the kernel's own ftracetest on a booted 6.12, beside QEMU's results [RUN=regexp] [LOGS=folder]
	@.ci/need 'for t in ping chrt; do command -v $$t || exit 1; done' iputils-ping util-linux
	@.ci/ftracetest
	go test $(LIMIT) ./board/mount -run '^TestFtracetest$$' -count=1 -v -ftracetest '$(or $(RUN),.)' $(if $(LOGS),-ftracetest-logs $(abspath $(LOGS)))

qemu: build kernels ## boot the kernels, and under QEMU beside: instructions, seconds, memory, differences of the logs [LOGS=folder]
	@.ci/need 'command -v qemu-system-aarch64' qemu-system-arm
	go test ./board -run '^TestBoot_BesideQEMU$$' -count=1 -v -qemu qemu-system-aarch64 -callops $(CURDIR)/bin/callops $(if $(LOGS),-logs $(abspath $(LOGS)))

check: unicorn cross ## make again what is generated, and fail where it differs
	@before=$$($(TREE)); \
	go generate ./... && gofmt -w . && go mod tidy && (cd $(BINDING) && go mod tidy) && \
	$(MAKE) --no-print-directory workload && \
	go test $(GOLDEN) -update >/dev/null && \
	go run ./cmd/callops bench --calls 100 --scheme global,callops --format svg >docs/bench.svg && \
	go run ./cmd/callops check --scenario enable --scenario disable --scenario off-and-on --scenario second-arrives --format svg >docs/growth.svg && \
	differ=$$(diff <(echo "$$before") <($(TREE)) | sed -n 's/^[<>] [0-9a-f]*  //p' | sort -u || true); \
	if [ -n "$$differ" ]; then echo "made again, these differ:" $$differ >&2; exit 1; fi

workload: cross ## build the test images again
	$(MAKE) -B -C kernelimage/testdata/workload
	$(MAKE) -B -C kernelimage/module/testdata
	$(MAKE) -B -C trampolines/template
	$(MAKE) -B -C trampolines/template/testdata

clean: ## remove what was built
	rm -rf bin

unicorn:
	@.ci/need 'echo "#include <unicorn/unicorn.h>" | gcc -E -' libunicorn-dev

tools: ## install the programs that tests compare with
	@.ci/need 'for t in trace-cmd protoc gdb-multiarch aarch64-linux-gnu-addr2line; do command -v $$t || exit 1; done' \
		trace-cmd protobuf-compiler gdb-multiarch binutils-aarch64-linux-gnu

cross: ## install the cross compiler for arm64
	@.ci/need 'command -v aarch64-linux-gnu-gcc && command -v aarch64-linux-gnu-as' gcc-aarch64-linux-gnu binutils-aarch64-linux-gnu

.PHONY: help bench bench-peers build kernels samples test page browser lint ports move schedules soak qemu ftracetest check workload clean unicorn tools cross
