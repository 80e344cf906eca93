package cluster

import (
	"context"
	"crypto/tls"
	"net"

	"rebase/cluster/secret"
)

// dialPeer connects to a peer port.
func dialPeer(ctx context.Context, addr string, id *secret.Identity) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil || id == nil {
		return c, err
	}
	t := tls.Client(c, id.Client())
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, secret.Explain(err)
	}
	return t, nil
}
