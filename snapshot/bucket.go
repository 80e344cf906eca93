package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"rebase/blob"
	"rebase/store"
)

// Info names a snapshot in a bucket.
type Info struct {
	Key      string
	Position uint64
	Bytes    int64
}

const suffix = ".rbs"

// keyOf is the name of a snapshot; names rise with positions.
func keyOf(prefix string, position uint64) string {
	return fmt.Sprintf("%s/%016x%s", prefix, position, suffix)
}

// Upload stores the present state of the store as an object below prefix. If there is one of the same position already, it is left as
// it is: the state is the same.
func Upload(ctx context.Context, s *store.Store, b blob.Bucket, prefix string, o Options) (info Info, err error) {
	src, err := Open(s, o)
	if err != nil {
		return Info{}, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	info = Info{Key: keyOf(prefix, src.Position()), Position: src.Position(), Bytes: src.Bytes()}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(src.Write(ctx, w)) // nil is EOF
	}()
	err = b.Put(ctx, info.Key, r, info.Bytes)
	r.CloseWithError(errors.New("snapshot: nobody reads any more"))
	<-done // it reads files that Close removes
	if errors.Is(err, blob.ErrExists) {
		info.Bytes, err = b.Size(ctx, info.Key)
	}
	if err != nil {
		return Info{}, fmt.Errorf("snapshot: upload: %w", err)
	}
	return info, nil
}

// List returns the snapshots below prefix, the oldest position first.
func List(ctx context.Context, b blob.Bucket, prefix string) ([]Info, error) {
	var out []Info
	for o, err := range b.List(ctx, prefix+"/") {
		if err != nil {
			return nil, fmt.Errorf("snapshot: list: %w", err)
		}
		digits, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, prefix+"/"), suffix)
		position, err := strconv.ParseUint(digits, 16, 64)
		if ok && err == nil && keyOf(prefix, position) == o.Key {
			out = append(out, Info{Key: o.Key, Position: position, Bytes: o.Size})
		}
	}
	return out, nil
}

// Latest returns the snapshot of the highest position below prefix; blob.ErrNotFound if there is none.
func Latest(ctx context.Context, b blob.Bucket, prefix string) (Info, error) {
	all, err := List(ctx, b, prefix)
	if err != nil {
		return Info{}, err
	}
	if len(all) == 0 {
		return Info{}, fmt.Errorf("%w: there is no snapshot below %s in %s", blob.ErrNotFound, prefix, b.URL())
	}
	return all[len(all)-1], nil
}

// Download restores a snapshot into dir, as Restore does. A connection that breaks off is taken up again where it was.
func Download(ctx context.Context, b blob.Bucket, info Info, dir string, o Options) (position uint64, err error) {
	r, err := blob.NewReader(ctx, b, info.Key, 0)
	if err != nil {
		return 0, fmt.Errorf("snapshot: download: %w", err)
	}
	position, err = Restore(ctx, r, dir, o)
	if err = errors.Join(err, r.Close()); err != nil {
		return 0, fmt.Errorf("snapshot: download %s: %w", info.Key, err)
	}
	return position, nil
}

// Prune deletes all snapshots below prefix but the keep newest, of which at least one is kept. Whoever downloads one of the others
// fails and has to begin again with the latest.
func Prune(ctx context.Context, b blob.Bucket, prefix string, keep int) (deleted int, err error) {
	all, err := List(ctx, b, prefix)
	if err != nil {
		return 0, err
	}
	for _, info := range all[:max(0, len(all)-max(keep, 1))] {
		if err := b.Delete(ctx, info.Key); err != nil {
			return deleted, fmt.Errorf("snapshot: prune: %w", err)
		}
		deleted++
	}
	return deleted, nil
}
