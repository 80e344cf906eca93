// Package clusteradmin is the administration of the log and of the cluster over HTTP, below /_rebase/log and /_rebase/cluster:
//
//	GET  /_rebase/log                 the chain: loglets, where they begin and end, tails, seals; how far this node has applied it
//	POST /_rebase/log/reconfigure     continue the log in another loglet (Reconfiguration)
//	GET  /_rebase/cluster             the nodes, as this one sees them
//	POST /_rebase/cluster/drain       a node sends its clients elsewhere, and serves and orders the log no more
//	POST /_rebase/cluster/undrain     the reverse
//	POST /_rebase/cluster/remove      a node is none of the cluster's any more
//	POST /_rebase/cluster/digest      compare the state of all replicas
//
// As in all administration, it is for the holder of the root secret, JSON both ways, and errors say what to do (package adminapi). Every change goes to the
// audit journal.
//
// The package knows neither log nor cluster: the server gives it functions.
package clusteradmin
