package etcd

import (
	"fmt"
	"strconv"
	"strings"

	"rebase/vlog"
)

// keys names what a Loglet stores. Numbers are 16 hex digits, so that keys are in the order of the numbers.
type keys struct {
	index string // exists for as long as anything of the Loglet may
	base  string
}

func keysOf(prefix string, id, creation uint64) keys {
	name := fmt.Sprintf("%016x-%016x", id, creation)
	return keys{index: indexPrefix(prefix) + name, base: strings.TrimRight(prefix, "/") + "/" + name + "/"}
}

func indexPrefix(prefix string) string { return strings.TrimRight(prefix, "/") + "/index/" }

// parseIndex reads the numbers out of an index key.
func parseIndex(prefix, key string) (id, creation uint64, ok bool) {
	name, ok := strings.CutPrefix(key, indexPrefix(prefix))
	if !ok || len(name) != 33 || name[16] != '-' {
		return 0, 0, false
	}
	id, err := strconv.ParseUint(name[:16], 16, 64)
	creation, err2 := strconv.ParseUint(name[17:], 16, 64)
	return id, creation, err == nil && err2 == nil
}

func (k keys) state() string { return k.base + "state/" } // what a watch watches
func (k keys) tail() string  { return k.base + "state/tail" }
func (k keys) seal() string  { return k.base + "state/seal" }

func (k keys) writer(w uint64) string { return k.base + "w/" + writerName(w) }
func (k keys) late() string           { return k.base + "late" }

func writerName(w uint64) string { return fmt.Sprintf("%016x", w) }

func (k keys) entries() string { return k.base + "e/" }
func (k keys) entry(first vlog.Position) string {
	return fmt.Sprintf("%se/%016x", k.base, uint64(first))
}

// An Append that is too large for one request is stored in pieces beforehand. The intent exists until a batch refers to
// them: without it they may be deleted. The big key tells, from then on, which pieces go when the batch is trimmed.
func (k keys) intents() string                  { return k.base + "i/" }
func (k keys) intent(id string) string          { return k.base + "i/" + id }
func (k keys) pieces(id string) string          { return k.base + "c/" + id + "/" }
func (k keys) piece(id string, i int) string    { return fmt.Sprintf("%sc/%s/%08x", k.base, id, i) }
func (k keys) bigs() string                     { return k.base + "b/" }
func (k keys) big(first vlog.Position) string   { return fmt.Sprintf("%sb/%016x", k.base, uint64(first)) }
func (k keys) firstOf(key string) vlog.Position { return vlog.Position(lastHex(key)) }

func lastHex(key string) uint64 {
	n, err := strconv.ParseUint(key[strings.LastIndexByte(key, '/')+1:], 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// The tail's value is its position in decimal, and a writer's what it did last: its number and where it stands. An operator
// can read them with etcdctl.

func tailValue(next vlog.Position) string { return strconv.FormatUint(uint64(next), 10) }

func parseTail(b []byte) (vlog.Position, error) {
	n, err := strconv.ParseUint(string(b), 10, 64)
	return vlog.Position(n), err
}

func writerValue(number uint64, first vlog.Position) string {
	return fmt.Sprintf("%d %d", number, uint64(first))
}

func parseWriter(b []byte) (number uint64, first vlog.Position, err error) {
	_, err = fmt.Sscanf(string(b), "%d %d", &number, &first)
	return number, first, err
}
