package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"callops/kernelimage"
	"callops/page"
	"callops/play"
)

// serving holds the flags of `callops serve`.
type serving struct {
	image  string
	listen string
}

// newServe builds `callops serve`.
func newServe() *cobra.Command {
	s := &serving{}
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Show a traced call, and races, in a browser",
		Long: `serve shows a page in a browser: a traced call gone through step by step, forward
and back, with its registers, stack and code, ops that are registered and
unregistered while it stands between two instructions, and what they cost before
CALL_OPS and with it; and the checker's counterexamples, step by step.

It listens on loopback only, and ends on Ctrl-C. The page loads nothing from
elsewhere. 'make page' makes a folder of it that needs no server.`,
		Example: `  callops serve
  callops serve --image vmlinuz --listen 127.0.0.1:9000`,
		Args: argCount(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	cmd.Flags().Var((*fileName)(&s.image), "image", "`FILE` to call functions of, instead of the built-in kernel's: ELF, or a kernel's Image")
	cmd.Flags().StringVar(&s.listen, "listen", "127.0.0.1:8080", "`ADDRESS` to listen on: a loopback address and a port, 0 for any that is free")
	return cmd
}

func (s *serving) run(cmd *cobra.Command) (err error) {
	addr, err := netip.ParseAddrPort(strings.Replace(s.listen, "localhost:", "127.0.0.1:", 1))
	if err != nil {
		return usagef("--listen %q is no address and port, such as 127.0.0.1:8080", s.listen)
	}
	if !addr.Addr().IsLoopback() {
		return usagef("--listen %s is no loopback address: what is served there is for this machine", addr)
	}
	server := &play.Server{}
	if s.image != "" {
		img, err := kernelimage.Open(cmd.Context(), s.image, nil)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		server.Image = img
	}
	l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", addr.String())
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "http://%s/\n", l.Addr())
	web := &http.Server{
		Handler: page.Handler(server), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return cmd.Context() },
	}
	stop := context.AfterFunc(cmd.Context(), func() { _ = web.Close() })
	defer stop()
	if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
