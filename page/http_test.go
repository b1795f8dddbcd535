package page_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/check"
	"callops/page"
	"callops/play"
)

// post asks a server a question.
func post(t *testing.T, srv *httptest.Server, question, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/ask/"+question, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	res, err := srv.Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(answer)
}

func serve(t *testing.T) *httptest.Server {
	srv := httptest.NewServer(page.Handler(&play.Server{}))
	t.Cleanup(srv.Close)
	return srv
}

func TestHandler_AnswersWhatThePageAsks(t *testing.T) {
	srv := serve(t)
	code, answer := post(t, srv, "about", "null")
	require.Equal(t, http.StatusOK, code)
	var about play.About
	require.NoError(t, json.Unmarshal([]byte(answer), &about))
	require.Equal(t, "gcd", about.Func)
	require.NotEmpty(t, about.Other)

	code, answer = post(t, srv, "functions", `"sum_"`)
	require.Equal(t, http.StatusOK, code)
	require.JSONEq(t, `["sum_words"]`, answer)

	code, answer = post(t, srv, "play", `{"scheme":"sets","func":"gcd","args":[84,36]}`)
	require.Equal(t, http.StatusOK, code)
	var rec play.Recording
	require.NoError(t, json.Unmarshal([]byte(answer), &rec))
	require.Equal(t, "0xc", rec.Result)

	film, err := json.Marshal(about.Films[0])
	require.NoError(t, err)
	code, answer = post(t, srv, "film", string(film))
	require.Equal(t, http.StatusOK, code)
	var found check.Counterexample
	require.NoError(t, json.Unmarshal([]byte(answer), &found))
	require.Equal(t, about.Films[0].Mutation, found.Mutation)
	require.NotEmpty(t, found.Steps)
}

func TestHandler_RefusesWhatItCannotAnswer(t *testing.T) {
	srv := serve(t)
	for name, tc := range map[string]struct {
		question, body string
		header         []string
		want           int
	}{
		"an unknown question": {"what", "null", nil, http.StatusNotFound},
		"no JSON":             {"play", "{", nil, http.StatusBadRequest},
		"another type":        {"play", `{"func":1}`, nil, http.StatusBadRequest},
		"an unknown function": {"play", `{"func":"gcdd"}`, nil, http.StatusNotFound},
		"an unknown film":     {"film", `{"scenario":"x"}`, nil, http.StatusNotFound},
		"a film that holds":   {"film", `{"scenario":"enable"}`, nil, http.StatusNotFound},
		"too much":            {"play", strings.Repeat(" ", 1<<17), nil, http.StatusRequestEntityTooLarge},
		"another origin":      {"about", "null", []string{"Origin", "http://elsewhere.example"}, http.StatusForbidden},
		"another name for it": {"about", "null", []string{"Host", "elsewhere.example"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			code, _ := post(t, srv, tc.question, tc.body, tc.header...)
			require.Equal(t, tc.want, code)
		})
	}
	code, _ := post(t, srv, "about", "null", "Host", "localhost:80")
	require.Equal(t, http.StatusOK, code)
}

// Every film that the page offers can be shown.
func TestServer_FindsEveryFilm(t *testing.T) {
	if testing.Short() {
		t.Skip("searches for all of them")
	}
	srv := serve(t)
	_, answer := post(t, srv, "about", "null")
	var about play.About
	require.NoError(t, json.Unmarshal([]byte(answer), &about))
	for _, f := range about.Films {
		body, err := json.Marshal(f)
		require.NoError(t, err)
		code, answer := post(t, srv, "film", string(body))
		require.Equal(t, http.StatusOK, code, "%+v: %s", f, answer)
	}
}

// The page loads nothing from elsewhere, and what it names is there.
func TestStatic_NamesOnlyItsOwnFiles(t *testing.T) {
	srv := serve(t)
	get := func(path string) (int, string) {
		res, err := srv.Client().Get(srv.URL + "/" + path)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(body)
	}
	_, html := get("")
	named := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1)
	require.NotEmpty(t, named)
	for _, m := range named {
		code, body := get(m[1])
		require.Equal(t, http.StatusOK, code, m[1])
		require.NotContains(t, strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), "://", m[1])
	}
}
