package store

import "bytes"

// A gap is a stretch of the key space of which the writer knows that it holds
// no data: right behind the record that it wrote last. Whoever brings in a list
// in order writes every next child into it, and need not look, which is most of
// what a write into an existing tree costs otherwise: the batch is not read, so
// it needs no index either. A bulk merge takes half the time.
//
// Like every fact it stays true until the writer itself changes it. Index
// entries and records of other kinds may come and go within a gap, and so may
// the priority of an object that the gap ends in: it says nothing that the
// gap's end does not.
type gap struct {
	known bool
	lo    []byte // the record that was written last
	hi    []byte // the first key behind, of whatever kind, when the gap was found; nil if there was none
	open  bool   // there was none
}

// maxInsertFacts is how many of a batch's writes into gaps leave facts behind.
// A bulk import must not drive out what is known of the nodes in daily use.
const maxInsertFacts = 16

// locate is place.locate for a place within the gap. It reports whether that is
// so; the place is absent then, and no ancestor is a leaf.
func (g *gap) locate(pl *place) bool {
	if !g.known || bytes.Compare(g.lo, pl.key) >= 0 {
		return false
	}
	exists := pl.sharedDepth(g.lo)
	if exists >= 0 && len(g.lo) == pl.ends[exists] {
		return false // the record written last is a leaf, and would become an object
	}
	if !g.open {
		if bytes.Compare(pl.key, g.hi) > 0 || bytes.HasPrefix(g.hi, pl.key) {
			return false
		}
		exists = max(exists, pl.sharedDepth(g.hi))
	}
	pl.exists = exists
	return true
}

// found notes the gap that was written into, of which last is now the last
// record before next.
func (g *gap) found(last, next []byte, end bool) {
	g.known, g.open = true, end
	g.lo = append(g.lo[:0], last...)
	g.hi = append(g.hi[:0], next...)
}

// filled notes that last has become the last record.
func (g *gap) filled(last []byte) { g.lo = append(g.lo[:0], last...) }
