package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClockReplay(t *testing.T) {
	code, out, errs := rebase(t, "process A B\nA a send m\nB b receive m\n", "clock", "replay", "-", "--clock=vector")
	want := "EVENT  PROCESS  WHAT       STAMP\n" +
		"a      A        send m     [1,0]\n" +
		"b      B        receive m  [1,1]\n"
	if code != exitOK || out != want || errs != "" {
		t.Errorf("exit code %d, %q, %q; want %q", code, out, errs, want)
	}
}

func TestClockReplayDraws(t *testing.T) {
	dir := t.TempDir()
	file, picture := filepath.Join(dir, "x.events"), filepath.Join(dir, "x.svg")
	if err := os.WriteFile(file, []byte("process A\nA a\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := rebase(t, "", "clock", "replay", file, "--svg", picture); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	svg, err := os.ReadFile(picture)
	if err != nil || !strings.HasPrefix(string(svg), "<svg ") {
		t.Errorf("the picture is %.40q, %v", svg, err)
	}
	if code, out, _ := rebase(t, "", "clock", "replay", file, "--svg=-"); code != exitOK || out != string(svg) {
		t.Errorf("on standard output, with exit code %d, it is another", code)
	}
}

func TestClockReplayErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.events")
	if err := os.WriteFile(file, []byte("process A\nA a\nA b receive m\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   string
		args []string
		code int
		says string
	}{
		{"", []string{file}, exitFailure, file + ":3:13: message m has not been sent"},
		{"process A\nA a jump\n", []string{"-"}, exitFailure, "standard input:2:5: expected send"},
		{"process A B\nA a meet B b\n", []string{"-"}, exitFailure, "standard input:2:3: event a is a rendezvous"},
		{"", []string{filepath.Join(dir, "none")}, exitFailure, "no such file"},
		{"", []string{file, "--clock=sundial"}, exitUsage, "sundial"},
		{"", []string{}, exitUsage, "<file>"},
		{strings.Repeat("#\n", maxScript/2+1), []string{"-"}, exitFailure, "bytes"},
		{"process A\nA a\n", []string{"-", "--svg=" + filepath.Join(dir, "no", "such")}, exitFailure, "no such file"},
	} {
		code, _, errs := rebase(t, c.in, append([]string{"clock", "replay"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%q: exit code %d, %q; want %d, %q", c.args, code, errs, c.code, c.says)
		}
	}
	if code, out, _ := rebase(t, "", "clock", "replay", "--help"); code != exitOK || !strings.Contains(out, "PROCESS EVENT receive MESSAGE") {
		t.Errorf("--help, with exit code %d, does not describe the language: %s", code, out)
	}
}
