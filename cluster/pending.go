package cluster

import (
	"errors"

	"rebase/vlog/native"
)

func (c *Cluster) stripedWish(w native.Wish, stripes int) ([]byte, error) {
	return nil, errors.New("there are no striped logs yet")
}
