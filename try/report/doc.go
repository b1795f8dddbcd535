// Package report renders what package try found: as a page of text, as Markdown for a mail
// or a comment, and as JSON.
package report
