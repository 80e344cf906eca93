package rtdb

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"rebase/tree"
)

// TestMachine plays the conversations in testdata/machine. The commands are described in testdata/machine/README.
func TestMachine(t *testing.T) {
	datadriven.Walk(t, "testdata/machine", func(t *testing.T, path string) {
		if strings.HasSuffix(path, "README") {
			return
		}
		s := &conversation{limit: 1 << 20}
		s.m.ns, s.m.out.epoch = "test", 1
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.run(t, d)
		})
	})
}

type conversation struct {
	m     machine
	limit int
	now   time.Duration
}

func (s *conversation) run(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	m := &s.m
	lines := strings.Split(strings.TrimSpace(d.Input), "\n")
	switch d.Cmd {
	case "recv", "recv-secondary":
		from := primary
		if d.Cmd == "recv-secondary" {
			from = secondary
		}
		for _, l := range lines {
			e, err := m.receive(from, []byte(l))
			if err != nil {
				fmt.Fprintf(&b, "fatal: %v\n", err)
				continue
			}
			describe(&b, &e)
			if e.kind == answer {
				m.fill(e.slot, e.status, e.payload, 0)
			}
		}
	case "offer":
		f, ok := m.offer()
		fmt.Fprintf(&b, "%v %s\n", ok, f.text())
	case "secondary-lost":
		fmt.Fprintf(&b, "end session: %v\n", m.secondaryLost())
	case "fill":
		var slot, seq uint64
		status := "ok"
		d.ScanArgs(t, "slot", &slot)
		d.MaybeScanArgs(t, "seq", &seq)
		d.MaybeScanArgs(t, "status", &status)
		payload := emptyText
		if d.Input != "" {
			payload = []byte(lines[0])
		}
		m.fill(slot, status, payload, seq)
		fmt.Fprintf(&b, "outstanding %d\n", m.answers.outstanding())
	case "limit":
		d.ScanArgs(t, "bytes", &s.limit)
	case "push":
		epoch := int(m.out.epoch)
		d.MaybeScanArgs(t, "epoch", &epoch)
		for _, l := range lines {
			if m.out.push(frameOf([]byte(l)), uint32(epoch), s.limit) {
				b.WriteString("stale\n")
			}
		}
	case "bulk":
		fmt.Fprintf(&b, "epoch %d\n", m.out.bulk(frameOf([]byte(lines[0]))))
	case "begin-resync":
		m.out.beginResync()
	case "resynced":
		m.out.resynced()
	case "caught-up":
		m.out.caughtUp()
	case "take":
		limit := 1 << 30
		d.MaybeScanArgs(t, "bytes", &limit)
		for _, it := range m.out.take(nil, limit) {
			fmt.Fprintf(&b, "%s\n", it.f.text())
		}
		if d.HasArg("seq") {
			fmt.Fprintf(&b, "(answered up to %d)\n", m.out.answered)
		}
		if m.out.needsResync() {
			b.WriteString("(needs resync)\n")
		}
		if m.out.empty() && m.out.pushBytes != 0 {
			fmt.Fprintf(&b, "(%d bytes of pushes in an empty outbox)\n", m.out.pushBytes)
		}
	case "heard":
		m.live.heard = s.now
	case "mute":
		m.live.mute = true
	case "delivered":
		m.live.delivered(m.out.answered)
	case "tick":
		var at string
		d.ScanArgs(t, "at", &at)
		now, err := time.ParseDuration(at)
		if err != nil {
			t.Fatal(err)
		}
		s.now = now
		k := m.live.tick(now, m.out.answered)
		if k.ping {
			fmt.Fprintf(&b, "ping %d\n", k.payload)
		}
		if k.probe {
			b.WriteString("probe\n")
		}
		if k.giveUp {
			b.WriteString("give up\n")
		} else {
			fmt.Fprintf(&b, "next at %v\n", k.next)
		}
	case "pong":
		seq, ok := m.live.pong([]byte(lines[0]))
		fmt.Fprintf(&b, "confirms %d %v\n", seq, ok)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	if b.Len() == 0 {
		return "-\n"
	}
	return b.String()
}

func describe(b *strings.Builder, e *effect) {
	names := [...]string{"nothing", "answer", "propose", "listen", "unlisten", "get", "authenticate", "forget", "check-app", "forget-app", "say", "end-primary", "await-old"}
	fmt.Fprint(b, names[e.kind])
	switch e.kind {
	case nothing, endPrimary, awaitOld:
		fmt.Fprintln(b)
		return
	case say:
		fmt.Fprintf(b, " %s\n", e.reply.text())
		return
	}
	fmt.Fprintf(b, " slot=%d", e.slot)
	switch e.kind {
	case answer:
		fmt.Fprintf(b, " %s %s", e.status, e.payload)
	case propose:
		op := e.op
		kinds := [...]string{"?", "set", "merge", "disconnect-set", "disconnect-merge", "disconnect-cancel"}
		fmt.Fprintf(b, " %s /%s", kinds[op.Kind], op.Path)
		if op.Priority {
			fmt.Fprint(b, " priority")
		}
		if op.Updates == nil {
			fmt.Fprintf(b, " %s", tree.AppendExport(nil, op.Value))
		}
		for _, u := range op.Updates {
			fmt.Fprintf(b, " [%s %v %s]", u.Path, u.Priority, tree.AppendExport(nil, u.Value))
		}
		if op.Hash != nil {
			fmt.Fprintf(b, " if=%q", *op.Hash)
		}
		fmt.Fprintf(b, " re-sendable=%v", op.Fingerprint != 0)
	case listen, unlisten, get:
		fmt.Fprintf(b, " /%s %s", e.path, e.query.ID())
		if e.tag != nil {
			fmt.Fprintf(b, " tag=%d", *e.tag)
		}
		if e.hash != nil {
			fmt.Fprintf(b, " has=%q", *e.hash)
		}
		if e.comp != nil {
			fmt.Fprintf(b, " ranges=%d", len(e.comp.hashes))
		}
	case authenticate:
		fmt.Fprintf(b, " scheme=%d token=%s override=%s none=%v", e.cred.Scheme, e.cred.Token, e.cred.Override, e.cred.Unauthenticated)
	case checkApp:
		fmt.Fprintf(b, " token=%s", e.token)
	}
	fmt.Fprintln(b)
}
