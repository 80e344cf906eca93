package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rebase/vlog"
)

// deletesTogether is how many nodes one transaction deletes.
const deletesTogether = 200

// Trim implements vlog.Loglet. It trims to the very position; batches are deleted that lie wholly below it, but for the last of all.
func (l *Loglet) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	if err := l.usable(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := l.bind(ctx)
	defer cancel()
	t, _ := l.tail()
	if before > t.Next && !t.Sealed {
		var err error
		if t, err = l.Tail(ctx); err != nil {
			return 0, err
		}
	}
	before = min(before, t.Next)
	for {
		p, version, err := l.readTrim(ctx)
		if errors.Is(err, codeNoNode) { // removed
			return t.Next, nil
		}
		if err != nil {
			return 0, l.failed(err)
		}
		if p >= before {
			return p, nil
		}
		_, err = l.client.ask(ctx, setData{l.node(trimNode), encodeTrim(before), version})
		if errors.Is(err, codeBadVersion) || errors.Is(err, errLost) {
			continue // whether it was this one or another: it only rises
		}
		if err != nil {
			return 0, l.failed(err)
		}
		l.mu.Lock()
		l.trimmed = max(l.trimmed, before)
		l.mu.Unlock()
		return before, l.failed(l.deleteBelow(ctx, before))
	}
}

// deleteBelow deletes the batches that end at or below p. A batch ends where the next begins; of the last it is not known.
func (l *Loglet) deleteBelow(ctx context.Context, p vlog.Position) error {
	chunks, err := l.listChunks(ctx)
	if err != nil {
		return err
	}
	var last batchName // not yet known where it ends
	empty := 0         // so many chunks have been deleted
	for i, c := range chunks {
		if c > chunkOf(p) {
			break
		}
		names, err := l.list(ctx, c)
		if errors.Is(err, codeNoNode) {
			continue // another trims, too
		}
		if err != nil {
			return err
		}
		var paths []string
		for _, n := range names {
			if last.first != 0 && n.first <= p {
				paths = append(paths, l.batchPath(last))
			}
			last = n
		}
		if err := l.deleteAll(ctx, paths); err != nil {
			return err
		}
		if len(names) == 0 || names[0].first > p {
			continue
		}
		// The chunks before are empty, and nobody makes a batch in them again, since there is a later chunk.
		for ; empty < i; empty++ {
			_, err := l.client.insist(ctx, deleteNode{l.chunkPath(chunks[empty]), anyVersion})
			if err != nil && !errors.Is(err, codeNoNode) && !errors.Is(err, codeNotEmpty) {
				return err
			}
		}
	}
	return l.deleteLarge(ctx, p, last)
}

// deleteLarge deletes the parts of batches that have been deleted.
func (l *Loglet) deleteLarge(ctx context.Context, p vlog.Position, last batchName) error {
	large, err := l.children(ctx, l.node(largeNode))
	if err != nil {
		return err
	}
	for _, s := range large {
		var first uint64
		if _, err := fmt.Sscanf(s, "%x", &first); err != nil || vlog.Position(first) >= p {
			continue
		}
		n := vlog.Position(first)
		if n == last.first {
			continue
		}
		// It is below the trim point; it may reach beyond it only if it is the one that holds it.
		if names, err := l.locate(ctx, p); err == nil && len(names) > 0 && names[0].first == n {
			continue
		}
		r, err := l.client.insist(ctx, getData{l.largePath(n), false})
		if errors.Is(err, codeNoNode) {
			continue
		}
		if err != nil {
			return err
		}
		if folder := string(r.bytes()); folder != "" && !strings.Contains(folder, "/") {
			if err := l.deleteTree(ctx, l.node(partsNode)+"/"+folder); err != nil {
				return err
			}
		}
		if err := l.deleteAll(ctx, []string{l.largePath(n)}); err != nil {
			return err
		}
	}
	return nil
}

// deleteAll deletes nodes; that they are gone already is no error.
func (l *Loglet) deleteAll(ctx context.Context, paths []string) error {
	for len(paths) > 0 {
		n := min(deletesTogether, len(paths))
		var m multi
		for _, p := range paths[:n] {
			m = append(m, deleteNode{p, anyVersion})
		}
		answer, err := l.client.insist(ctx, m)
		if err == nil {
			err = decodeMulti(answer.p)
		}
		if errors.Is(err, codeNoNode) {
			for _, p := range paths[:n] {
				if _, err := l.client.insist(ctx, deleteNode{p, anyVersion}); err != nil && !errors.Is(err, codeNoNode) {
					return err
				}
			}
		} else if err != nil {
			return err
		}
		paths = paths[n:]
	}
	return nil
}

// deleteTree deletes a node and all below it.
func (l *Loglet) deleteTree(ctx context.Context, path string) error {
	children, err := l.children(ctx, path)
	if errors.Is(err, codeNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	var leaves []string
	for _, c := range children {
		leaves = append(leaves, path+"/"+c)
	}
	err = l.deleteAll(ctx, leaves)
	if errors.Is(err, codeNotEmpty) {
		for _, c := range leaves {
			if err := l.deleteTree(ctx, c); err != nil {
				return err
			}
		}
		err = nil
	}
	if err != nil {
		return err
	}
	_, err = l.client.insist(ctx, deleteNode{path, anyVersion})
	switch {
	case errors.Is(err, codeNoNode):
		return nil
	case errors.Is(err, codeNotEmpty):
		return l.deleteTree(ctx, path)
	}
	return err
}

// Remove implements vlog.Remover: it deletes all nodes of the loglet. Handles of others find it sealed.
func (l *Loglet) Remove(ctx context.Context) error {
	// A handle that has been closed has no connection any more.
	c := newClient(&l.opts, l.cfg.Servers)
	defer c.close()
	r := &Loglet{opts: l.opts, path: l.path, client: c}
	// No append can succeed any more once these are gone, so that nothing comes into being behind the deletion.
	err := r.deleteAll(ctx, []string{l.node(tailNode), l.node(sealNode)})
	if err == nil {
		err = r.deleteTree(ctx, l.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("vlog/zookeeper: remove %s: %w", l.path, err), l.Close())
	}
	return l.Close()
}
