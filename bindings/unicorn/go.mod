module github.com/unicorn-engine/unicorn

go 1.26.0
