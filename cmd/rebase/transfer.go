package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"rebase/transfer"
)

// stdio is the file name that stands for standard input or output.
const stdio = "-"

type importCmd struct {
	File     string   `arg:"" help:"JSON file, gzip if its name ends in .gz; \"-\" is standard input." placeholder:"FILE"`
	To       string   `required:"" help:"Where to: the server, and the node that the file's root becomes, for example http://127.0.0.1:9000/users?ns=app" placeholder:"URL[/path]"`
	Replace  bool     `help:"Delete what is there first. Without it the file is merged in, leaf by leaf. Faster, but nobody else may write there meanwhile."`
	Restart  bool     `help:"Begin anew, though an earlier import of this file was interrupted and could be continued."`
	InFlight int      `default:"4" help:"Writes that may wait for their answers at a time (${default})." placeholder:"N"`
	Batch    byteSize `default:"1MiB" help:"Size of one write, about (${default})." placeholder:"SIZE"`
	Token    string   `help:"Credential, sent as a bearer token." placeholder:"TOKEN"`
	Quiet    bool     `short:"q" help:"Show no progress."`
}

type exportCmd struct {
	From   string `arg:"" help:"What: the server and the node, for example http://127.0.0.1:9000/users?ns=app" placeholder:"URL[/path]"`
	Output string `required:"" short:"o" help:"JSON file, compressed if its name ends in .gz; \"-\" is standard output." placeholder:"FILE"`
	Token  string `help:"Credential, sent as a bearer token." placeholder:"TOKEN"`
	Quiet  bool   `short:"q" help:"Show no progress."`
}

// Run imports the file.
func (c *importCmd) Run(ctx context.Context, std streams) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	to, err := transfer.ParseURL(c.To)
	if err != nil {
		return &usageError{err}
	}
	client := &transfer.Client{Token: c.Token, Waiting: waiting(std.err, c.Quiet)}
	o := transfer.ImportOptions{Replace: c.Replace, Restart: c.Restart, InFlight: c.InFlight, BatchBytes: int(c.Batch)}
	var total int64 = -1
	if info, err := os.Stat(c.File); c.File != stdio && err == nil {
		total = info.Size()
	}
	meter := newMeter(std.err, "importing", total, c.Quiet)
	o.Report = meter.report()
	var p transfer.Progress
	if c.File == stdio {
		p, err = client.Import(ctx, std.in, false, to, o)
	} else {
		p, err = client.ImportFile(ctx, c.File, to, o)
	}
	meter.finish()
	if err != nil {
		if c.File != stdio && p.Leaves > 0 {
			err = fmt.Errorf("%w\n%d leaves are on the server; the same command continues behind what was acknowledged", err, p.Leaves)
		}
		return err
	}
	meter.summary("imported", p)
	return nil
}

// Run exports into the file.
func (c *exportCmd) Run(ctx context.Context, std streams) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	from, err := transfer.ParseURL(c.From)
	if err != nil {
		return &usageError{err}
	}
	client := &transfer.Client{Token: c.Token, Waiting: waiting(std.err, c.Quiet)}
	meter := newMeter(std.err, "exporting", -1, c.Quiet)
	var p transfer.Progress
	if c.Output == stdio {
		p, err = client.Export(ctx, from, std.out, false, meter.report())
	} else {
		p, err = client.ExportFile(ctx, from, c.Output, meter.report())
	}
	meter.finish()
	if err != nil {
		return err
	}
	meter.summary("exported", p)
	return nil
}

// waiting says once that the server is waited for: a minute without a word looks like a program that hangs.
func waiting(w io.Writer, quiet bool) func(error) {
	if quiet {
		return nil
	}
	var once sync.Once
	return func(why error) {
		once.Do(func() { fmt.Fprintf(w, "rebase: %v; trying again for a minute\n", why) })
	}
}

// meter shows how a transfer gets on: a bar on a terminal, else one line at
// the end.
type meter struct {
	w     io.Writer
	quiet bool
	bar   *progressbar.ProgressBar
	start time.Time
}

func newMeter(w io.Writer, what string, total int64, quiet bool) *meter {
	m := &meter{w: w, quiet: quiet, start: time.Now()}
	if f, ok := w.(*os.File); !quiet && ok && term.IsTerminal(int(f.Fd())) {
		m.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(true),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetTheme(progressbar.ThemeASCII),
		)
	}
	return m
}

// report returns the callback for package transfer, nil if nothing is to be shown.
func (m *meter) report() func(transfer.Progress) {
	if m.bar == nil {
		return nil
	}
	return func(p transfer.Progress) {
		m.bar.Describe(fmt.Sprintf("%s leaves, %s/s", thousands(p.Leaves), thousands(m.rate(p))))
		_ = m.bar.Set64(p.Bytes) // a terminal that is gone is no reason to stop
	}
}

func (m *meter) rate(p transfer.Progress) int64 {
	return int64(float64(p.Leaves-p.Skipped) / max(time.Since(m.start).Seconds(), 1e-3))
}

func (m *meter) finish() {
	if m.bar != nil {
		_ = m.bar.Clear()
	}
}

func (m *meter) summary(verb string, p transfer.Progress) {
	if m.quiet {
		return
	}
	fmt.Fprintf(m.w, "%s %s leaves, %.1f MB, in %.1f s (%s leaves/s)", verb, thousands(p.Leaves), float64(p.Bytes)/1e6,
		time.Since(m.start).Seconds(), thousands(m.rate(p)))
	if p.Skipped > 0 {
		fmt.Fprintf(m.w, "; %s of them by an earlier run", thousands(p.Skipped))
	}
	fmt.Fprintln(m.w)
}

// thousands writes n with separators: 1,234,567.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
