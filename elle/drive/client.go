package drive

import (
	"context"
	"errors"
	"fmt"
)

// client speaks to the server for one process. An error that is no *refusal leaves open what has happened.
type client interface {
	// get reads a location. tag is for put, if it was asked for.
	get(ctx context.Context, path string, tagged bool) (value []byte, tag string, err error)
	// put writes a location. With a tag only if it is still what the tag was read with.
	put(ctx context.Context, path, tag string, value []byte) error
	// patch writes locations below path at once.
	patch(ctx context.Context, path string, values []byte) error
	close()
}

// refusal is an error after which it is certain that nothing was written.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refused(format string, args ...any) error { return &refusal{fmt.Errorf(format, args...)} }

// certain tells whether nothing can have been written.
func certain(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}
