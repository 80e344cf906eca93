package server

import (
	"errors"
	"testing"

	"rebase/gateway/adminapi"
	"rebase/gateway/clusteradmin"
)

// Credentials of an engine do not get into the chain, which everyone sees who may see the log's status.
func TestEndpointsWithCredentials(t *testing.T) {
	for _, kind := range []string{"etcd", "zookeeper"} {
		in := clusteradmin.Reconfiguration{Kind: kind, Endpoints: []string{"http://10.0.0.7:2379", "http://me:secret@10.0.0.8:2379"}}
		var refused *adminapi.Refusal
		if err := new(Server).reconfigure(t.Context(), in); !errors.As(err, &refused) || refused.Code != 400 {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
