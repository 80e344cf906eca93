package history

import (
	"errors"
	"strings"
	"testing"
)

// Every mistake is told with its line and field.
func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		field      string
		says       string
	}{
		{"no type", "{:f :txn :value [] :process 1}", 1, "type", "missing"},
		{"odd type", "{:type :ok :process 1}\n{:type :okay :process 1}", 2, "type", ":okay"},
		{"number as type", "{:type 7}", 1, "type", "7"},
		{"odd process", "\n\n{:type :ok :process [1]}", 3, "process", "[1]"},
		{"odd time", "{:type :ok :time :noon}", 1, "time", ":noon"},
		{"odd index", "{:type :ok :index 1.5}", 1, "index", "1.5"},
		{"odd f", "{:type :ok :f 3}", 1, "f", "3"},
		{"no list", "{:type :ok :f :txn :value 3}", 1, "value", "3 is no list"},
		{"unknown step", "{:type :ok :f :txn :value [[:r 1 nil] [:cas 1 2]]}", 1, "value", "micro-operation 2, [:cas 1 2]"},
		{"step without value", "{:type :ok :f :txn :value [[:w 1]]}", 1, "value", "micro-operation 1 has no value"},
		{"step with more", "{:type :ok :f :txn :value [[:w 1 2 3]]}", 1, "value", "more than"},
		{"write of nil", "{:type :ok :f :txn :value [[:append 1 nil]]}", 1, "value", "writes nil"},
		{"open process", "{:type :invoke :process 3}\n{:type :invoke :process 3}", 2, "process", "index 0 is open"},
		{"no map", "42", 1, "", "a map"},
		{"cut off", "{:type :ok :value [[:r 1 nil]", 1, "", "ends within"},
		{"open vector", "[{:type :ok}\n", 1, "", "does not end"},
		{"stray bracket", "{:type :ok}\n]", 2, "", "closes nothing"},
		{"key without value", "{:type :ok :value {1}}", 1, "value", "without a value"},
		{"odd escape", `{:type :ok :value "\q"}`, 1, "value", `escape \q`},
		{"deep", "{:type :ok :value " + strings.Repeat("[", 200) + "}", 1, "value", "deeper"},

		{"json: no type", `{"f":"txn"}`, 1, "type", "missing"},
		{"json: odd type", "[{\"type\":\"ok\"},\n{\"type\":\"okay\"}]", 2, "type", "okay"},
		{"json: no colon", `{"type" "ok"}`, 1, "type", "':'"},
		{"json: no comma", `{"type":"ok" "f":"x"}`, 1, "type", "comma"},
		{"json: bare word", `{"type":ok}`, 1, "type", `"ok" is no value`},
		{"json: unknown step", `{"type":"ok","f":"txn","value":[["r",1,null],["cas",1,2]]}`, 1, "value", "micro-operation 2"},
		{"json: write of null", `{"type":"ok","f":"txn","value":[["w",1,null]]}`, 1, "value", "writes null"},
		{"json: cut off", `{"type":"ok","value":[`, 1, "value", "ends within"},

		{"sessions: odd line", "r 1 2\nx 1 2", 2, "", "x 1 2"},
		{"sessions: short line", "w 1", 1, "", "w 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(c.text), ParseOptions{})
			var at *Error
			if !errors.As(err, &at) {
				t.Fatalf("error %v", err)
			}
			if at.Line != c.line || !strings.Contains(at.Reason, c.says) || at.Field != c.field && !strings.Contains(at.Reason, "ends within") {
				t.Errorf("%v; want line %d, field %q, and %q", err, c.line, c.field, c.says)
			}
		})
	}
}

// What is no mistake.
func TestForms(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"vector", "[{:type :ok :process 1 :value [[:r :x [1 2]]]}]", "ok [:r :x [1 2]]"},
		{"list", "({:type :ok :process 1 :value ((:r :x (1 2)))})", "ok [:r :x [1 2]]"},
		{"comments", "; a history\n{:type :ok ; fine\n :value [[:w 1 2]]}", "ok [:w 1 2]"},
		{"record", "#jepsen.history.Op{:type :ok, :value [[:w 1 2]]}", "ok [:w 1 2]"},
		{"discarded", "{:type :ok :error [#_ 3 4] :value [[:w 1 2]]}", "ok [:w 1 2]"},
		{"tagged", `{:type :ok :at #inst "2020-01-01" :value [[:w 1 2]]}`, "ok [:w 1 2]"},
		{"words for reads", "{:type :ok :value [[:read 1 nil] [:write 1 2]]}", "ok [:r 1 nil] [:w 1 2]"},
		{"unknown result", "{:type :ok :value [[:r 1]]}", "ok [:r 1 nil]"},
		{"strings", `{:type :ok :value [["r" "x\n" nil] ["append" "y" "z"]]}`, `ok [:r "x\n" nil] [:append "y" "z"]`},
		{"numbers", "{:type :ok :value [[:w -1 12345678901] [:w 1 -7]]}", "ok [:w -1 12345678901] [:w 1 -7]"},
		{"nothing", "{:type :ok :f :txn :value []}", "ok"},
		{"byte order mark", "\ufeff{:type :ok :f :txn :value []}", "ok"},
		{"json array", `[{"type":"ok","process":1,"value":[["r","x",[1,2]]]}]`, `ok [:r "x" [1 2]]`},
		{"json lines", "{\"type\":\"ok\",\"process\":1,\"value\":[[\"w\",1,2]]}\n", "ok [:w 1 2]"},
		{"json unicode", `{"type":"ok","value":[["w","é\u00e9",2]]}`, `ok [:w "éé" 2]`},
		{"json empty list", `{"type":"ok","value":[["r",1,[]]]}`, "ok [:r 1 []]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := Parse(strings.NewReader(c.text), ParseOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := told(h); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// told are the operations of h and what they do, on one line.
func told(h *History) string {
	var words []string
	for op := range h.Ops {
		words = append(words, h.Ops[op].Type.String())
		for _, m := range h.Mops(op) {
			words = append(words, h.Micro(m).String())
		}
	}
	return strings.Join(words, " ")
}

func TestNotesAndKeys(t *testing.T) {
	h, err := Parse(strings.NewReader(`
		{:type :invoke :process 0 :f :read :key "a" :value nil}
		{:type :info :process :nemesis :f :kill :value ["n1"]}
		{:type :ok :process 0 :f :read :key "a" :value 3}`), ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Notes) != 1 || h.Notes[0].Process != "nemesis" || h.Notes[0].Before != 1 || h.Notes[0].F != "kill" {
		t.Errorf("notes: %+v", h.Notes)
	}
	if len(h.Ops) != 1 || h.Datum(h.Ops[0].Val).String() != `["a" 3]` || h.Datum(h.Ops[0].Arg).String() != `["a" nil]` {
		t.Errorf("operations: %+v", h.Ops)
	}
}

// Small windows make every entry span several reads.
func TestWindows(t *testing.T) {
	text := strings.Repeat("{:type :invoke :process 1 :f :txn :value [[:append 100 7] [:r :key nil]]}\n"+
		"{:type :ok :process 1 :f :txn :value [[:append 100 7] [:r :key [1 2 3 4 5 6 7 8 9 10 11 12]]]}\n", 20)
	want, err := Parse(strings.NewReader(text), ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 400; n += 7 {
		h, err := Parse(strings.NewReader(text), ParseOptions{Window: n})
		if err != nil || told(h) != told(want) {
			t.Fatalf("window %d: %v", n, err)
		}
	}
	_, err = Parse(strings.NewReader(text+"{:type 3}"), ParseOptions{Window: 16})
	var at *Error
	if !errors.As(err, &at) || at.Line != 41 {
		t.Errorf("%v, want line 41", err)
	}
}
