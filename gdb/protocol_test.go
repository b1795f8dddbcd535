package gdb_test

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/gdb"
	"callops/internal/errno"
	"callops/machine"
)

// peer is a debugger that says what a test wants.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func newPeer(t testing.TB, conn net.Conn) *peer { return &peer{t, conn, bufio.NewReader(conn)} }

// connected is a debugger that is connected to the stub, which serves until the test ends. The guest calls body.
func (d *debugged) connected(body func() error) (p *peer, ended <-chan error) {
	d.t.Helper()
	d.stub.Attach(d.Machine)
	done := make(chan error, 1)
	go func() {
		err := body()
		d.stub.Close()
		done <- err
	}()
	return d.connect(), done
}

func (d *debugged) connect() *peer {
	d.t.Helper()
	here, there := net.Pipe()
	talked := make(chan struct{})
	go func() {
		defer close(talked)
		_ = d.stub.Talk(there) // what a broken connection ends with is no matter
	}()
	d.t.Cleanup(func() {
		assert.NoError(d.t, here.Close())
		<-talked
	})
	require.NoError(d.t, here.SetDeadline(time.Now().Add(limit)))
	return newPeer(d.t, here)
}

// send sends bytes as they are.
func (p *peer) send(s string) {
	p.t.Helper()
	_, err := io.WriteString(p.conn, s)
	require.NoError(p.t, err)
}

// ask sends a packet, and returns the reply, without acknowledgements.
func (p *peer) ask(packet string) string {
	p.t.Helper()
	sum := byte(0)
	for i := range len(packet) {
		sum += packet[i]
	}
	p.send(fmt.Sprintf("$%s#%02x", packet, sum))
	return p.reply()
}

func (p *peer) reply() string {
	p.t.Helper()
	_, err := p.r.ReadString('$')
	require.NoError(p.t, err)
	s, err := p.r.ReadString('#')
	require.NoError(p.t, err)
	_, err = p.r.Discard(2)
	require.NoError(p.t, err)
	return strings.TrimSuffix(s, "#")
}

func TestTalk_AnswersWhatMakesNoSenseWithErrors(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	p, ended := d.connected(d.call(55, "fib", 10))
	require.Equal(t, "OK", p.ask("QStartNoAckMode"))
	require.Equal(t, "T05thread:1;", p.ask("?"))
	for _, r := range []struct{ packet, reply string }{
		{"", ""}, {"nonsense", ""}, {"vMustReplyEmpty", ""}, {"qNonsense:1", ""}, {"\xff\x00", ""},
		{"m", "E16"}, {"m0,8", "E0e"}, {"mffffffffffffffff,ffff", "E0e"}, {"m10000000000000000,1", "E16"}, {"m,", "E16"},
		{"M0,1", "E16"}, {"M0,2:41", "E16"}, {"M0,1:41", "E0e"}, {"M0,1:4", "E16"}, {"X0,1:ab", "E16"}, {"X0,2:ab", "E0e"}, {"X", "E16"},
		{"p", "E16"}, {"pffff", "E16"}, {"P20", "E16"}, {"P20=00", "E16"}, {"P20=zz00000000000000", "E16"}, {"P33=0000000000000000", "E.cntvct_el0 can't be written"},
		{"G00", "OK"}, {"Gzzzzzzzzzzzzzzzz", "E16"},
		{"Z", "E16"}, {"Z0", "E16"}, {"Z0,", "E16"}, {"Z0,1", "E16"}, {"Z9,1,4", ""}, {"Z2,0,0", "E16"}, {"Z2,0,ffffffff", "E16"}, {"Z2,ffffffffffffffff,8", "E16"},
		{"Z0,0,4;X1,0", "E16"}, {"z0,0,4", "OK"}, {"Z0,3,4", "OK"}, {"z0,3,4", "OK"},
		{"vCont", "E16"}, {"vCont;", "E16"}, {"vCont;q", "E16"}, {"vCont;c:7", "E16"}, {"vCont;c:zz", "E16"}, {"bz", ""}, {"b", ""},
		{"Hg7", "E16"}, {"H", "E16"}, {"Hx1", ""}, {"T7", "E16"}, {"T1", "OK"}, {"T", "E16"}, {"qThreadExtraInfo,9", "E16"},
		{"qXfer:features:read:other.xml:0,100", "E16"}, {"qXfer:features:read:target.xml:ffffffffffffffff,1", "l"}, {"qXfer:features:write:target.xml:0,1", ""},
		{"qXfer:features:read:target.xml:0", "E16"}, {"qXfer:auxv:read::0,1", ""}, {"qXfer", ""},
		{"vFile:open:2f,0,0", "F-1,2"}, {"vFile:open:zz", "E16"}, {"vFile:pread:3,10,0", "F-1,9"}, {"vFile:close:3", "F-1,9"}, {"vFile:fstat:3", "F-1,9"}, {"vFile:unlink:2f", ""},
		{"qRcmd,zz", "E16"}, {"s10000000000000000", "E16"},
	} {
		assert.Equal(t, r.reply, p.ask(r.packet), "%q", r.packet)
	}
	assert.Equal(t, "W00", p.ask("vCont;c"))
	require.NoError(t, <-ended)
}

func TestTalk_SendsAgainWhatDidNotArrive(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	p, ended := d.connected(d.call(55, "fib", 10))
	p.send("+++garbage$qC#00")
	b, err := p.r.ReadByte()
	require.NoError(t, err)
	assert.Equal(t, byte('-'), b, "its checksum is wrong")
	assert.Equal(t, "QC1", p.ask("qC"))
	p.send("-")
	assert.Equal(t, "QC1", p.reply())
	p.send("$lost$qC#b4")
	assert.Equal(t, "QC1", p.reply())
	assert.Equal(t, "W00", p.ask("c"))
	require.NoError(t, <-ended)
}

// A debugger that goes away leaves the guest stopped, or running without breakpoints.
func TestTalk_TheDebuggerMayGoAwayAtAnyTime(t *testing.T) {
	for _, r := range []struct {
		name    string
		packets []string
		last    string // sent before it goes away, without waiting for an answer
		stopped bool   // the guest waits for another debugger
	}{
		{"before it says anything", nil, "", true},
		{"within a packet", []string{"?"}, "$m0,", true},
		{"while the guest stands", []string{"?", "Z0,ffff8000800001c8,4"}, "", true},
		{"while the guest runs", []string{"QStartNoAckMode", "?", "Z0,0,4"}, "$vCont;c#a8", false},
		{"with a packet too long", []string{"?"}, "$" + strings.Repeat("m", 1<<17), true},
		{"detached", []string{"?", "D"}, "", false},
	} {
		t.Run(r.name, func(t *testing.T) {
			d := newDebugged(t, machine.Config{})
			p, ended := d.connected(d.call(17711, "fib", 22))
			for _, packet := range r.packets {
				p.ask(packet)
			}
			if r.last != "" {
				_, _ = io.WriteString(p.conn, r.last) // of a packet too long the end is not read
			}
			require.NoError(t, p.conn.Close())
			if r.stopped {
				select {
				case err := <-ended:
					t.Fatalf("the guest has gone on: %v", err)
				case <-time.After(20 * time.Millisecond):
				}
				p = d.connect()
				require.Equal(t, "T05thread:1;", p.ask("?"))
				require.Equal(t, "OK", p.ask("D"))
			}
			select {
			case err := <-ended:
				require.NoError(t, err)
			case <-time.After(limit):
				t.Fatal("the guest does not go on")
			}
		})
	}
}

func TestTalk_EndsWithTheGuestWhereTheDebuggerDoesNotRead(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	d.stub.Attach(d.Machine)
	here, there := net.Pipe()
	talked := make(chan error, 1)
	go func() { talked <- d.stub.Talk(there) }()
	_, err := io.WriteString(here, "$?#3f")
	require.NoError(t, err)
	_, err = io.ReadFull(here, make([]byte, 1)) // the acknowledgement, and nothing of the reply
	require.NoError(t, err)
	d.stub.Close()
	select {
	case err := <-talked:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(limit):
		t.Error("it still waits for the debugger")
	}
	require.NoError(t, here.Close())
}

func TestTalk_KillEndsTheGuest(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	p, ended := d.connected(d.call(55, "fib", 10))
	require.Equal(t, "T05thread:1;", p.ask("?"))
	require.Equal(t, "OK", p.ask("vKill;1"))
	require.ErrorIs(t, <-ended, gdb.ErrKilled)
}

// Nothing that it floods the stub with is kept.
func TestTalk_AFloodIsAnsweredInItsOrder(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	p, ended := d.connected(d.call(55, "fib", 10))
	require.Equal(t, "OK", p.ask("QStartNoAckMode"))
	require.Equal(t, "T05thread:1;", p.ask("?"))
	const n = 2000
	go func() {
		for range n {
			if _, err := io.WriteString(p.conn, "\x03\x03+-junk$qC#b4$m0,1#fa"); err != nil {
				return
			}
		}
	}()
	last := "T05thread:1;"
	for range n {
		require.Equal(t, last, p.reply()) // the - asks for it again
		require.Equal(t, "QC1", p.reply())
		last = p.reply()
		require.Equal(t, "E0e", last)
	}
	require.NoError(t, p.conn.Close())
	p = d.connect()
	require.Equal(t, "OK", p.ask("D"))
	require.NoError(t, <-ended)
}

func TestServe_RefusesASecondDebugger(t *testing.T) {
	d := newDebugged(t, machine.Config{})
	l, err := gdb.Listen(t.Context(), "127.0.0.1:0", false)
	require.NoError(t, err)
	d.stub.Attach(d.Machine)
	served := make(chan error, 1)
	go func() { served <- d.stub.Serve(l) }()
	dial := func() *peer {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(limit)))
		return newPeer(t, conn)
	}
	first := dial()
	require.Equal(t, "QC1", first.ask("qC"))
	second := dial()
	_, err = second.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "QC1", first.ask("qC"))
	require.NoError(t, first.conn.Close())
	require.Eventually(t, func() bool {
		p := dial()
		_, err := p.conn.Write([]byte("$qC#b4"))
		if err == nil {
			_, err = p.r.ReadByte()
		}
		return err == nil
	}, limit, time.Millisecond, "the next one may come")
	d.stub.Close()
	require.NoError(t, <-served)
	assert.Contains(t, d.log.String(), "refused: another debugger is connected")
}

func TestListen_RefusesAddressesThatOtherHostsReach(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0"} {
		_, err := gdb.Listen(t.Context(), addr, false)
		require.ErrorIs(t, err, errno.EPERM, addr)
	}
	l, err := gdb.Listen(t.Context(), "0.0.0.0:0", true)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = gdb.Listen(t.Context(), "nonsense", false)
	require.Error(t, err)
	assert.False(t, errors.Is(err, errno.EPERM))
}

// FuzzTalk sends anything at all, as bytes and as packets, to a guest that stands in a call of Go code's.
func FuzzTalk(f *testing.F) {
	for _, seed := range []string{
		"?", "g", "p20", "m0,8", "Z2,ffff8000800001c0,8\ns\nvCont;c", "bs\nbc\ns\nbs\nP0=0100000000000000", "k", "D", "vCont;s:1;c", "qRcmd,68656c70",
		"qRcmd," + hex.EncodeToString([]byte("register mine gcd &")) + "\nvCont;s:2\nvCont;c", "qXfer:threads:read::0,ffff", "G00", "\x03", "vFile:open:2f,0,0",
		"qRcmd," + hex.EncodeToString([]byte("register mine *")) + "\nqRcmd," + hex.EncodeToString([]byte("unregister mine")) + "\nbs\nc",
		"X0,1:}", "$", "Hg1\nHc1\ns", "Z0,ffff8000800001c8,4\nc\nbc\nc",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		watchdog := time.AfterFunc(limit/10, func() { panic(fmt.Sprintf("hangs after %q", lines)) }) // which shows all goroutines
		defer watchdog.Stop()
		d := newDebugged(t, machine.Config{})
		p, ended := d.connected(func() error {
			_, err := d.Kernel.CallName(t.Context(), 0, nil, "fib", 5)
			return err
		})
		go func() { _, _ = io.Copy(io.Discard, p.conn) }()
		send := func(s string) bool { _, err := io.WriteString(p.conn, s); return err == nil }
		for line := range strings.SplitSeq(lines, "\n") {
			sum := byte(0)
			for i := range len(line) {
				sum += line[i]
			}
			if !send(fmt.Sprintf("$%s#%02x", line, sum)) || !send(line) {
				break
			}
		}
		_ = p.conn.Close() // the deferred close is the second
		d.stub.Close()
		select {
		case <-ended: // whatever the debugger made of it
		case <-time.After(limit):
			t.Fatal("the guest does not end")
		}
	})
}
