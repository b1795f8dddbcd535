package figure

import (
	"bytes"
	"html/template"
	"io"
)

// Table is one of a page: its first row is the head.
type Table struct {
	Caption string
	Rows    [][]string
}

// Page is figures and tables.
type Page struct {
	Title   string
	Figures []*Figure
	Tables  []Table
}

var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 "Liberation Sans", Arial, Helvetica, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
svg { max-width: 100%; height: auto; background: #fff }
table { border-collapse: collapse; margin: 2rem 0; font-variant-numeric: tabular-nums }
caption { text-align: left; padding-bottom: .5rem }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #8884 }
th:first-child, td:first-child { text-align: left }
</style>
<h1>{{.Title}}</h1>
{{range .Figures}}<figure>{{.}}</figure>
{{end}}{{range .Tables}}<table>
<caption>{{.Caption}}</caption>
{{range $i, $row := .Rows}}<tr>{{range $row}}{{if $i}}<td>{{.}}</td>{{else}}<th>{{.}}</th>{{end}}{{end}}</tr>
{{end}}</table>
{{end}}</html>
`))

// WriteHTML writes the page. It loads nothing: figures are in it.
func (p *Page) WriteHTML(w io.Writer) error {
	data := struct {
		Title   string
		Figures []template.HTML
		Tables  []Table
	}{Title: p.Title, Tables: p.Tables}
	for _, f := range p.Figures {
		var b bytes.Buffer
		if err := f.WriteSVG(&b); err != nil {
			return err
		}
		svg := b.Bytes()
		svg = svg[max(bytes.Index(svg, []byte("<svg")), 0):] // without what makes it a file
		data.Figures = append(data.Figures, template.HTML(svg))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, data); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
