package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// maxBreaks is how often in a row a stream may break off without a byte read in between.
const maxBreaks = 5

// NewReader reads a whole object, or what of it lies at off and beyond. Where the stream breaks off it goes on from there with another
// Get: objects never change, so it is the same one. The caller closes it. The error is Size's if there is no such object.
func NewReader(ctx context.Context, b Bucket, key string, off int64) (io.ReadCloser, error) {
	size, err := b.Size(ctx, key)
	if err != nil {
		return nil, err
	}
	return &reader{ctx: ctx, bucket: b, key: key, off: off, size: size}, nil
}

type reader struct {
	ctx       context.Context
	bucket    Bucket
	key       string
	off, size int64
	body      io.ReadCloser // nil where the next Read has to ask for it
	breaks    int
}

func (r *reader) Read(p []byte) (int, error) {
	for r.off < r.size {
		if r.body == nil {
			body, err := r.bucket.Get(r.ctx, r.key, r.off, -1)
			if err != nil {
				return 0, err
			}
			r.body = body
		}
		n, err := r.body.Read(p)
		r.off += int64(n)
		if n > 0 {
			r.breaks = 0
		}
		if err != nil {
			cerr := r.body.Close()
			r.body = nil
			if r.breaks++; n == 0 && r.off < r.size && r.breaks > maxBreaks {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return 0, fmt.Errorf("%w: read %s at %d: %w", ErrUnreachable, r.key, r.off, errors.Join(err, cerr))
			}
			if e := r.ctx.Err(); e != nil {
				return n, e
			}
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

func (r *reader) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
