package vlog_test

import (
	"context"
	"errors"
	"slices"

	"rebase/vlog"
)

// simMeta is the register. What is asked of it is applied at one moment, or never, and answered at a later one, or not; who got no answer may still see
// his write happen much later.
type simMeta struct {
	w       *sim
	trouble int // of 100 answers, so many are lost

	value   []byte
	version uint64
	open    []*metaOp // not yet answered, or not yet applied
	down    bool
}

type metaOp struct {
	proc     *simProc
	store    bool
	value    []byte
	version  uint64 // the condition, then the result
	err      error
	applied  bool
	answered bool
	done     chan struct{}
}

var errNoAnswer = errors.New("no answer from the register")

// clientMeta is the register as a process sees it.
type clientMeta struct {
	*simMeta
	proc *simProc
}

func (m clientMeta) Load(ctx context.Context) ([]byte, uint64, error) {
	op, err := m.do(ctx, &metaOp{})
	if err != nil {
		return nil, 0, err
	}
	return op.value, op.version, op.err
}

func (m clientMeta) Store(ctx context.Context, value []byte, ifVersion uint64) (uint64, error) {
	op, err := m.do(ctx, &metaOp{store: true, value: slices.Clone(value), version: ifVersion})
	if err != nil {
		return 0, err
	}
	return op.version, op.err
}

func (m clientMeta) do(ctx context.Context, op *metaOp) (*metaOp, error) {
	op.proc, op.done = m.proc, make(chan struct{})
	m.w.mu.Lock()
	if !m.proc.up {
		m.w.mu.Unlock()
		return nil, errNoAnswer
	}
	m.open = append(m.open, op)
	m.w.mu.Unlock()
	select {
	case <-op.done:
		m.w.mu.Lock()
		defer m.w.mu.Unlock()
		return op, nil
	case <-ctx.Done():
	case <-m.proc.gone:
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	op.answered = true // nobody hears it
	return nil, errNoAnswer
}

func (m *simMeta) drop(op *metaOp) {
	m.open = slices.DeleteFunc(m.open, func(o *metaOp) bool { return o == op })
}

// step moves one question a step further. Caller holds mu.
func (m *simMeta) step() {
	w := m.w
	if !w.healing && m.trouble > 0 && w.rng.IntN(60) == 0 {
		m.down = !m.down
		w.note("the register is down: %v", m.down)
	}
	if w.healing {
		m.down = false
	}
	if len(m.open) == 0 {
		return
	}
	op := m.open[w.rng.IntN(len(m.open))]
	lost := !w.healing && w.rng.IntN(100) < m.trouble
	switch {
	case op.proc.paused:
		if w.healing {
			panic("paused")
		}
	case op.answered: // with nothing, but it may still happen
		if op.store && !op.applied && !m.down && w.rng.IntN(3) > 0 {
			m.apply(op)
		}
		m.drop(op)
	case m.down:
		if w.rng.IntN(3) == 0 {
			m.answer(op, errNoAnswer)
		}
	case !op.applied:
		if lost {
			m.answer(op, errNoAnswer) // it may happen later
			return
		}
		m.apply(op)
	case lost:
		if w.rng.IntN(8) == 0 { // it takes long to give up
			m.answer(op, errNoAnswer)
		}
	default:
		m.answer(op, op.err)
		m.drop(op)
	}
}

func (m *simMeta) answer(op *metaOp, err error) {
	m.w.note("the register answers %d (store %v): version %d, %v", op.proc.id, op.store, op.version, err)
	op.answered, op.err = true, err
	m.w.wakes = append(m.w.wakes, func() { close(op.done) })
}

func (m *simMeta) apply(op *metaOp) {
	op.applied = true
	if !op.store {
		op.value, op.version = slices.Clone(m.value), m.version
		return
	}
	if op.version != m.version {
		m.w.note("the register refuses a chain of %d", op.proc.id)
		op.err = vlog.ErrConflict
		return
	}
	m.version++
	m.w.check.chain(m.w, m.value, op.value)
	m.value, op.version = op.value, m.version
	m.w.note("the register takes a chain of %d: version %d", op.proc.id, m.version)
}
