// Package report renders what package bench measured: tables for people, CSV,
// JSON, and plots as SVG, PNG and HTML. It computes nothing but differences between rows (how
// the overhead grows), and adds nothing but figures of real kernels, in columns
// of their own.
package report
