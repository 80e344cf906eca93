package store

import (
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"rebase/query"
	"rebase/rules"
)

// SetIndexes makes the indexes that r declares those of a namespace: others
// are dropped, missing ones are built in the background, in chunks, while the
// store is in use. Every batch from now on maintains them all, ready or not. A
// build that a crash or Close ends goes on after Open; what a crash takes back,
// as it may an unflushed batch, has to be declared again. No batch with changes
// of trees may be open.
//
// A small tree's indexes are ready when SetIndexes returns.
func (s *Store) SetIndexes(ns string, r *rules.Rules) error {
	if err := checkNamespace(ns); err != nil {
		return err
	}
	missing, err := s.declare(ns, r)
	if err != nil {
		return err
	}
	if s.tune.manualBuild {
		return nil
	}
	for _, def := range missing {
		if _, err := s.buildChunk(ns, def.id); err != nil {
			return err
		}
	}
	s.builder.wake()
	return nil
}

// declare changes the definitions, and returns those not ready.
func (s *Store) declare(ns string, r *rules.Rules) (missing []*indexDef, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.defs.of(ns)
	if old == nil {
		old = &nsDefinitions{nextID: firstIndexID}
	}
	neu := &nsDefinitions{nextID: old.nextID}
	for _, want := range r.Indexes() {
		if want.Index.Kind != query.ByValue && want.Index.Kind != query.ByChild {
			continue
		}
		if neu.declares(want) != nil {
			continue
		}
		def := old.declares(want)
		if def == nil {
			def = (&indexDef{id: neu.nextID, pattern: want.Pattern}).withIndex(want.Index)
			neu.nextID++
		}
		if !def.ready {
			missing = append(missing, def)
		}
		neu.defs = append(neu.defs, def)
	}
	if neu.nextID == old.nextID && len(neu.defs) == len(old.defs) {
		return missing, nil
	}
	pb := s.db.NewBatch()
	defer pb.Close()
	for _, def := range old.defs {
		if !slices.Contains(neu.defs, def) {
			lower, upper := indexIDRange(ns, def.id)
			if err := pb.DeleteRange(lower, upper, nil); err != nil {
				return nil, err
			}
		}
	}
	return missing, s.define(pb, ns, neu, s.defs.generation+1)
}

// define commits pb together with new definitions. s.mu is held.
func (s *Store) define(pb *pebble.Batch, ns string, neu *nsDefinitions, generation uint64) error {
	if err := pb.Set(definitionsKey(ns), neu.encode(), nil); err != nil {
		return err
	}
	defs := &definitions{generation: generation, byNS: make(map[string]*nsDefinitions, len(s.defs.byNS)+1)}
	for name, d := range s.defs.byNS {
		defs.byNS[name] = d
	}
	defs.byNS[ns] = neu
	s.viewMu.Lock()
	defer s.viewMu.Unlock()
	if err := s.apply(pb); err != nil {
		return err
	}
	s.defs = defs
	return nil
}

// declares returns the definition of an index, nil if there is none.
func (n *nsDefinitions) declares(want rules.IndexDef) *indexDef {
	for _, d := range n.defs {
		if d.index == want.Index && slices.Equal(d.pattern, want.Pattern) {
			return d
		}
	}
	return nil
}

func (n *nsDefinitions) byID(id uint32) *indexDef {
	if n == nil {
		return nil
	}
	for _, d := range n.defs {
		if d.id == id {
			return d
		}
	}
	return nil
}
