// Package unicorn is the engine over libunicorn, QEMU's translator as a library.
package unicorn
